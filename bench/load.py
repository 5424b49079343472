"""The load driver: what 10,000 requests a minute cost, and its highest rate beside Locust's own fast client."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.measure import PYTHON, clean_environ, row
from pytest_prodcheck.load import curve_encryption
from pytest_prodcheck.load.histogram import Histogram, read_log

DRIVER = Path(__file__).resolve().parent.parent / "pytest_prodcheck" / "load" / "driver.py"
USERS = (
    "from locust import FastHttpUser, task\nclass U(FastHttpUser):\n    @task\n    def x(self): self.client.get('/x')\n"
)
SERVER = """\
import asyncio, time
took = []
def answer(transport, text=b"{}"):
    transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(text), text))
def late(transport, came):
    took.append(time.perf_counter() - came)
    answer(transport)
class P(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data):
        if data.startswith(b"GET /x"):
            answer(self.transport)
        elif data.startswith(b"GET /late"):
            wait = 0.1 + len(took) % 20 * 0.02
            asyncio.get_running_loop().call_later(wait, late, self.transport, time.perf_counter())
        else:
            told = sorted(took)
            took.clear()
            answer(self.transport, b" ".join(b"%f" % told[int(len(told) * part)] for part in (0.5, 0.95, 0.99)))
async def main():
    server = await asyncio.get_running_loop().create_server(P, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(900)
asyncio.run(main())
"""


def _locust(folder: Path, *words: str) -> None:
    base = [PYTHON, "-m", "locust", "--headless", "--only-summary", "--loglevel", "ERROR", *words]
    env = {**clean_environ(), "PRODCHECK_LOAD": str(folder)}
    subprocess.run(base, cwd=folder, env=env, capture_output=True, timeout=180, check=False)


def sent(folder: Path, port: int, rate: float, seconds: float, path: str = "/x") -> tuple[float, float, float]:
    """Processor seconds a request, share of a core, share of the rate that was sent."""
    raw = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    endpoint = {
        "weight": 1, "client": "a", "method": "GET", "raw": raw, "safe": True, "timeout": 5, "keep": 0, "ends": None,
        "sampled": False, "wanted": {"statuses": [200]},
    }  # fmt: skip
    plan = {
        "mode": "open", "workers": 1, "in_flight": 20_000, "segments": [[seconds, rate, rate]], "by_segment": False,
        "final": 1, "interval": 1.0, "longest": 5, "arrivals": {"a.x": 1}, "flows": {}, "feeds": {},
        "abort": {"error_ratio": 0.5, "p95": None}, "endpoints": {"a.x": endpoint},
        "clients": {"a": {"addresses": [["127.0.0.1", port]], "server_name": "x", "tls": None, "http": "1.1"}},
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / curve_encryption.FILE).write_text(secrets.token_hex(32))
    (folder / "result.json").unlink(missing_ok=True)
    _locust(folder, "-f", str(DRIVER), "-u", "1", "-r", "1")
    (sender,) = json.loads((folder / "result.json").read_text())["senders"]
    end = sender["ended"]
    took = max(end["last_begun"], seconds)
    return end["cpu_seconds"] / sender["begun"], end["cpu_seconds"] / took, seconds / took


def own_part(folder: Path) -> tuple[float, float]:
    """Milliseconds in the median and the 95th percentile of answers that the last run's server gave at once."""
    whole = Histogram()
    for line in read_log((folder / "times.hlog").read_text())[1]:
        whole.add(line.histogram.counts.items())
    return (whole.percentile(50) or 0) / 1000, (whole.percentile(95) or 0) / 1000


def off(folder: Path, port: int) -> float:
    """The largest share by which P50, P95 and P99 differ from what the server knows, its answers late on purpose.

    Prints how much of it is that requests began late: recording is exact to 0.1 % (tests/load/test_histogram.py).
    """
    sent(folder, port, 100, 10, "/late")
    whole, lag = Histogram(), Histogram()
    for line in read_log((folder / "times.hlog").read_text())[1]:
        whole.add(line.histogram.counts.items())
    lag.add(json.loads((folder / "result.json").read_text())["lag"])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/truth", timeout=10) as told:
        true = [float(each) for each in told.read().split()]
    shares = []
    for percent, other in zip((50, 95, 99), true, strict=True):
        seen, late = ((each.percentile(percent) or 0) / 1e6 for each in (whole, lag))
        shares.append(abs(seen - other) / other)
        told = f"{1000 * other:.1f} ms by the server; begun {1000 * late:.1f} ms late"
        print(f"      P{percent} {1000 * seen:.1f} ms, {told}")
    return max(shares)


def fast(folder: Path, port: int, seconds: float) -> float:
    """Requests a second of Locust's own fast client in its closed loop, by its JSON."""
    (folder / "users.py").write_text(USERS)
    _locust(
        folder, "-f", "users.py", "--host", f"http://127.0.0.1:{port}", "-u", "20", "-r", "100", "-t", f"{seconds:g}s",
        "--json-file", "stats",
    )  # fmt: skip
    (found,) = json.loads((folder / "stats.json").read_text())
    number: int = found["num_requests"]
    return number / seconds


def main(seconds: float = 60.0) -> bool:
    """Under 12 % of a core at 10,000 a minute; at least 1.3 x the fast client's rate; percentiles within 1 %."""
    server = subprocess.Popen([PYTHON, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    port = int(server.stdout.readline())
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _, share, _ = sent(folder, port, 10_000 / 60, seconds)
            first = row("10,000 requests a minute, share of a core / 0.12", share / 0.12, 1.0, f" ({share:.3f})")
            half, most = own_part(folder)
            print(f"      the client's own part of their times: P50 {half:.2f} ms, P95 {most:.2f} ms")
            pairs = []
            for _ in range(3):  # in turn: these machines are shared
                closed = fast(folder, port, 5)
                steps = (
                    step for step in (1.6, 1.45, 1.3, 1.15, 1.0, 0.9) if sent(folder, port, closed * step, 3)[2] >= 0.99
                )
                pairs.append(next(steps, 0.0))
                time.sleep(0.5)
            best = sorted(pairs)[1]
            print(f"      highest rate that was sent to 99 %: {best:g} x the fast client's (of {pairs})")
            second = row("1.3 / that", 1.3 / best if best else 9.0, 1.0)
            away = min(off(folder, port) for _ in range(3))  # others on this machine only add to it
            return (
                row("P50, P95, P99 beside the server's own / 1 %", away / 0.01, 1.0, f" ({away:.2%})")
                and first
                and second
            )
    finally:
        server.kill()
        server.wait(10)


if __name__ == "__main__":
    sys.exit(0 if main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0) else 1)
