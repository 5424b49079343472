"""Verdicts beside those of k6 and vegeta on the same servers in one run: `python -m bench.side_by_side`.

All have the same limits: 99.9 % successes, P50 500 ms, P95 1 s, P99 2 s. k6 has them as thresholds, and is judged
twice: as its introduction writes them, and with checks of what is declared of the answers besides. vegeta has none; its
JSON report is held against them. Both are programs beside ours and no part of this project; K6 and VEGETA say where
they are if they are not on the PATH.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import PYTEST, clean_environ
from tests.evidence.load.servers import serving

RATE, SECONDS, TIMEOUT = 100, 5, 2.5
INSTALL = {
    "k6": "go install go.k6.io/k6@v1.8.1",
    "vegeta": "go install github.com/tsenart/vegeta/v12@v12.13.0",
}
ITEM = b'{"name": "chair", "price": 42}'
TOML = f"""\
version = 1
[environments.dev]
light.enabled = false
[environments.dev.services.web]
url = "http://127.0.0.1:PORT"
timeout = "{TIMEOUT}s"
endpoints.item = {{ request = "GET /item", DECLARED }}
endpoints.pay = {{ request = "GET /pay", status = 200 }}
[environments.dev.load.go]
hosts = ["127.0.0.1"]
mix = {{ "web.item" = 9, "web.pay" = 1 }}
rate = "{RATE}/s"
duration = "{SECONDS}s"
abort.error_ratio = "100%"
"""
SCHEMA = {"type": "object", "required": ["price"]}
K6_LIMITS = {
    "http_req_failed": ["rate<0.001"], "http_req_duration": ["p(50)<500", "p(95)<1000", "p(99)<2000"],
    "dropped_iterations": ["count<1"], "checks": ["rate>0.999"],
}  # fmt: skip
K6_SCRIPT = f"""\
import http from "k6/http";
import {{ check }} from "k6";
import exec from "k6/execution";
export const options = {{
  scenarios: {{
    go: {{ executor: "constant-arrival-rate", rate: {RATE}, duration: "{SECONDS}s", preAllocatedVUs: 400 }},
  }},
  thresholds: {json.dumps(K6_LIMITS)},
  summaryTrendStats: ["p(50)", "p(95)", "p(99)"],
}};
function price(answer) {{
  try {{ return answer.json("price") !== undefined; }} catch (error) {{ return false; }}
}}
export default function () {{
  const name = exec.scenario.iterationInTest % 10 === 5 ? "pay" : "item";
  const answer = http.get(`http://127.0.0.1:PORT/${{name}}`, {{ timeout: "{TIMEOUT}s" }});
  check(answer, {{ "as declared": (answer) => answer.status === 200 && (name === "pay" || DECLARED) }});
}}
export function handleSummary(data) {{
  return {{ "found.json": JSON.stringify(data.metrics) }};
}}
"""
K6_CHECKS = {
    "status = 200": "true", 'contains = "chair"': 'String(answer.body).includes("chair")',
    'contains = "price"': 'String(answer.body).includes("price")', 'schema = "item.json"': "price(answer)",
}  # fmt: skip
Answer = Callable[[bytes], bytes | None]  # a request's head -> what is sent; None ends the connection


def reply(body: bytes = ITEM, status: int = 200, *fields: str, kind: str = "application/json") -> bytes:
    """A whole answer."""
    more = "".join(f"{each}\r\n" for each in (f"Content-Type: {kind}", *fields))
    return f"HTTP/1.1 {status} X\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Situation:
    """What a server does, whether users are served by it, and what prodcheck.toml says of its answers."""

    name: str
    healthy: bool
    make: Callable[[], Answer]
    declared: str = "status = 200"


def every(count: int, odd: Callable[[], bytes | None]) -> Callable[[], Answer]:
    """Of so many requests one goes another way."""

    def make() -> Answer:
        numbers = itertools.count(1)
        return lambda head: odd() if next(numbers) % count == 0 else reply()

    return make


def late(seconds: float) -> bytes:
    """A good answer after a time."""
    time.sleep(seconds)
    return reply()


def stalled() -> Answer:
    """Nothing is answered between the second second and the fourth."""
    began: list[float] = []

    def answer(head: bytes) -> bytes:
        began.append(time.monotonic())
        at = began[-1] - began[0]
        return late(max(4 - at, 0) if at > 2 else 0)

    return answer


def waiting_room(head: bytes) -> bytes:
    """Half of the people are sent to wait, where they get a nice page."""
    if b"/wait" in head:
        return reply(b"please wait", kind="text/html")
    return reply(b"", 302, "Location: /wait") if time.time_ns() % 2 else reply()


def rare() -> Answer:
    """Two of five payments take more than a second; there are few of them."""
    numbers = itertools.count()
    return lambda head: late(1.6) if b"/pay" in head and next(numbers) % 5 < 2 else reply()


def stale(head: bytes) -> bytes:
    """Who asks as browsers do gets the packed file of the last release."""
    if b"gzip" in head.lower():
        return reply(gzip.compress(b'{"name": "old"}'), 200, "Content-Encoding: gzip")
    return reply()


SITUATIONS = (
    Situation("all is well", True, every(1 << 30, reply)),
    Situation("answers of 1.2 MB", True, lambda: lambda head: reply(b"x" * 1_200_000, kind="text/plain")),
    Situation("kept connections end unannounced, one request in 200", True, every(200, lambda: None)),
    Situation("one answer in twelve takes 1.6 s", False, every(12, lambda: late(1.6))),
    Situation("nothing is answered for two seconds", False, stalled),
    Situation("one answer in 40 is a 503", False, every(40, lambda: reply(b"", 503))),
    Situation("one request in ten is never answered", False, every(10, lambda: late(TIMEOUT + 1))),
    Situation("one page in four says \"sorry\" with 200", False, every(4, lambda: reply(b"sorry")),
              'contains = "chair"'),
    Situation("half of the people are sent to a waiting room (302)", False, lambda: waiting_room,
              'schema = "item.json"'),
    Situation("the price is gone from the answers", False, lambda: lambda head: reply(b'{"name": "chair"}'),
              'schema = "item.json"'),
    Situation("two of five payments, one in ten requests, take 1.6 s", False, rare),
    Situation("packed answers are of the last release", False, lambda: stale, 'contains = "price"'),
)  # fmt: skip


@contextmanager
def folder_of(situation: Situation) -> Iterator[tuple[Path, int]]:
    """A project of one situation, its server running; yields its port too."""
    with tempfile.TemporaryDirectory() as name, serving(situation.make()) as port:
        folder = Path(name)
        toml = TOML.replace("PORT", str(port)).replace("DECLARED", situation.declared)
        (folder / "prodcheck.toml").write_text(toml, encoding="utf-8")
        (folder / "item.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
        yield folder, port


def by_prodcheck(situation: Situation) -> str:
    """Its word, and the checks of `performance` that failed."""
    with folder_of(situation) as (folder, _):
        done = _run([*PYTEST, "-m", "performance", "--env", "dev"], folder)
    word = {0: "open", 1: "failed"}.get(done.returncode, "cannot tell")
    told = re.findall(r"^ +(\S+) performance\.(\S+) on go", done.stdout, flags=re.MULTILINE)
    failed = ", ".join(sorted(name for mark, name in told if mark not in ("❓", "⚠️")))
    return f"{word} ({failed})" if failed else word


def by_vegeta(situation: Situation, program: str) -> str:
    """Its report, held against the same limits."""
    with folder_of(situation) as (folder, port):
        base = f"GET http://127.0.0.1:{port}"
        targets = "\n".join([f"{base}/item"] * 9 + [f"{base}/pay"]) + "\n"
        (folder / "targets").write_text(targets, encoding="utf-8")
        words = [program, "attack", "-targets=targets", f"-rate={RATE}", f"-duration={SECONDS}s"]
        _run([*words, f"-timeout={TIMEOUT}s", "-output=found"], folder)
        told = json.loads(_run([program, "report", "-type=json", "found"], folder).stdout)
    times = {name: told["latencies"][name] / 1e9 for name in ("50th", "95th", "99th")}
    crossed = [f"{name} {times[name]:.2f} s" for name, most in (("50th", 0.5), ("95th", 1), ("99th", 2))
               if times[name] > most]  # fmt: skip
    if told["success"] < 0.999:
        crossed.insert(0, f"{100 * (1 - told['success']):.3g} % errors")
    return _word(crossed)


def by_k6(situation: Situation, program: str) -> tuple[str, str]:
    """Its word by thresholds alone, and by thresholds and checks."""
    with folder_of(situation) as (folder, port):
        script = K6_SCRIPT.replace("PORT", str(port)).replace("DECLARED", K6_CHECKS[situation.declared])
        (folder / "go.js").write_text(script, encoding="utf-8")
        done = _run([program, "run", "--quiet", "--no-usage-report", "go.js"], folder)
        try:
            metrics: Mapping[str, Any] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SystemExit(f"k6 left no summary (exit {done.returncode}): {done.stderr[-2000:]}") from None
    crossed = [
        (name, limit) for name in K6_LIMITS for limit, told in metrics.get(name, {}).get("thresholds", {}).items()
        if not told["ok"]
    ]  # fmt: skip
    return _word(_k6_told(metrics, *each) for each in crossed if each[0] != "checks"), _word(
        _k6_told(metrics, *each) for each in crossed
    )


def _k6_told(metrics: Mapping[str, Any], name: str, limit: str) -> str:
    """A threshold that was crossed, and by what."""
    values = metrics[name]["values"]
    if name == "http_req_duration":
        percentile = limit.partition("<")[0]
        return f"{percentile} {values[percentile] / 1000:.2f} s"
    share = values.get("rate", 0.0)
    return {
        "http_req_failed": f"{100 * share:.3g} % errors", "checks": f"{100 * (1 - share):.3g} % of the checks",
        "dropped_iterations": f"{values.get('count', 0):.0f} not sent",
    }[name]  # fmt: skip


def _word(crossed: Iterable[str]) -> str:
    told = ", ".join(crossed)
    return f"failed ({told})" if told else "open"


def _run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env=clean_environ(), capture_output=True, text=True, timeout=180, check=False
    )


def main() -> bool:
    """Never open on a broken system, never failed on a healthy one; prints the table of docs/performance.md."""
    programs = {name: os.environ.get(name.upper()) or shutil.which(name) for name in INSTALL}
    for name, found in programs.items():
        if found is None:
            told = f"{INSTALL[name]}, then {name.upper()}=$(go env GOPATH)/bin/{name}"
            print(f"without {name}, which is not installed: {told}")
    print("| server | right | prodcheck | k6, thresholds | k6, thresholds and checks | vegeta |")
    print("|---|---|---|---|---|---|")
    good = True
    for each in SITUATIONS:
        ours = by_prodcheck(each)
        right = "open" if each.healthy else "failed"
        good = good and not ours.startswith("failed" if each.healthy else "open")
        k6 = by_k6(each, programs["k6"]) if programs["k6"] else ("", "")
        vegeta = by_vegeta(each, programs["vegeta"]) if programs["vegeta"] else ""
        print(f"| {' | '.join((each.name, right, ours, *k6, vegeta))} |", flush=True)
    return good


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
