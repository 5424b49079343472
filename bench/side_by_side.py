"""Verdicts beside vegeta's on the same servers in one run: `python -m bench.side_by_side`.

vegeta is an open-arrival load tool without thresholds of its own; here its JSON report is held against the same limits:
99.9 % successes, P50 500 ms, P95 1 s, P99 2 s. It is no part of this project: `go install
github.com/tsenart/vegeta/v12@v12.13.0`, and VEGETA says where it is if it is not on the PATH.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import PYTEST, clean_environ
from tests.evidence.load.servers import serving

RATE, SECONDS, TIMEOUT = 100, 5, 2.5
INSTALL = "go install github.com/tsenart/vegeta/v12@v12.13.0, then VEGETA=$(go env GOPATH)/bin/vegeta"
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
    return f"failed ({', '.join(crossed)})" if crossed else "open"


def _run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env=clean_environ(), capture_output=True, text=True, timeout=180, check=False
    )


def main() -> bool:
    """Never open on a broken system, never failed on a healthy one; prints the table of docs/performance.md."""
    program = os.environ.get("VEGETA") or shutil.which("vegeta")
    if program is None:
        print(f"skipped: vegeta is not installed ({INSTALL})")
        return True
    print("| server | right | prodcheck | vegeta |\n|---|---|---|---|")
    good = True
    for each in SITUATIONS:
        ours = by_prodcheck(each)
        right = "open" if each.healthy else "failed"
        good = good and not ours.startswith("failed" if each.healthy else "open")
        print(f"| {each.name} | {right} | {ours} | {by_vegeta(each, program)} |", flush=True)
    return good


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
