"""Reports from the trackers of load tools, rebuilt on one server that keeps the truth and met by one load."""

from __future__ import annotations

import gzip
import itertools
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.run import load_run
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records.load import LoadEndpoint, LoadRun
from suites.performance import test_load
from tests.evidence.contexts import context_for
from tests.evidence.load.servers import GOOD, LIMITED, Last, serving
from tests.evidence.load.test_load import is_as, judged

TIMEOUT, SLOW, EACH = 2.0, 1.2, 20  # seconds, seconds, requests of each endpoint in a load of two seconds
CHAIR = '{"name": "chair"}'
DECLARED: Mapping[str, dict[str, Any]] = {
    "head": {"request": "HEAD /head"},
    "closing": {},
    "until-close": {"contains": "chair"},
    "gzip": {"contains": "chair"},
    "bad-gzip": {},
    "soft-error": {"contains": "chair"},
    "cut-chunks": {},
    "limited": {},
    "late-at-the-end": {},
    "never": {},
}


class Shop:
    """Answers by path, and counts what came."""

    def __init__(self) -> None:
        self.came: Counter[str] = Counter()
        self.began = 0.0
        self.numbers = itertools.count()
        self.lock = threading.Lock()

    def answer(self, raw: bytes) -> bytes:
        name = raw.split(b" ", 2)[1].decode().strip("/")
        with self.lock:
            self.came[name] += 1
            self.began = self.began or time.monotonic()
            number = self.came[name]
        told: bytes = getattr(self, name.replace("-", "_"))(number)
        return told

    def head(self, number: int) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"

    def closing(self, number: int) -> bytes:
        return Last(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")

    def until_close(self, number: int) -> bytes:
        return Last(f"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{CHAIR}".encode())

    def gzip(self, number: int) -> bytes:
        return packed(gzip.compress(CHAIR.encode()))

    def bad_gzip(self, number: int) -> bytes:
        return packed(CHAIR.encode())

    def soft_error(self, number: int) -> bytes:
        text = CHAIR if number % 2 else '{"error": "no"}'
        return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()

    def cut_chunks(self, number: int) -> bytes:
        return Last(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    def limited(self, number: int) -> bytes:
        if number % 2:
            return LIMITED
        time.sleep(0.3)
        return GOOD

    def late_at_the_end(self, number: int) -> bytes:
        if time.monotonic() - self.began > 1.0:
            time.sleep(SLOW)
        return GOOD

    def never(self, number: int) -> bytes:
        time.sleep(TIMEOUT + 1)
        return GOOD


def packed(body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Met:
    """What one load saw, and what the server knows."""

    run: LoadRun
    came: Counter[str]

    def endpoint(self, name: str) -> LoadEndpoint:
        (found,) = (each for each in self.run.endpoints if each.name == f"shop.{name}")
        return found


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Met:
    shop = Shop()
    endpoints = {name: {"request": f"GET /{name}", "status": 200, **more} for name, more in DECLARED.items()}
    with serving(shop.answer) as port:
        service = {"url": f"http://127.0.0.1:{port}", "endpoints": endpoints, "timeout": f"{TIMEOUT}s"}
        load = {
            "hosts": ["127.0.0.1"], "mix": {f"shop.{name}": 1 for name in DECLARED}, "duration": "2s",
            "rate": f"{EACH * len(DECLARED) / 2}/s", "abort": {"error_ratio": 1},
        }  # fmt: skip
        context = context_for(tmp_path_factory.mktemp("shop"), services={"shop": service}, load={"it": load})
        run = load_run.gather("it", context, Deadline(60))
    return Met(run, shop.came)


def test_everything_that_was_sent_is_accounted_for(met: Met) -> None:
    assert all(each.begun == each.good + each.failed == EACH for each in met.run.endpoints)
    assert met.run.unanswered == 0


@pytest.mark.parametrize("name", ["head", "closing", "until-close", "gzip"])
def test_what_is_good(name: str, met: Met) -> None:
    assert (met.endpoint(name).good, met.endpoint(name).reasons) == (EACH, ())
    assert met.came[name] == EACH


@pytest.mark.parametrize(
    ("name", "failed", "why"),
    [
        ("bad-gzip", EACH, "its compression is broken"),
        ("soft-error", EACH // 2, "the declared text is missing"),
        ("limited", EACH // 2, "answered 429"),
        ("cut-chunks", EACH, "connection reset inside the answer"),
        ("never", EACH, f"answered within {TIMEOUT:g} s"),
    ],
)
def test_what_is_not(name: str, failed: int, why: str, met: Met) -> None:
    found = met.endpoint(name)
    assert found.failed == failed
    assert why in found.reasons[0][0]


def test_what_is_under_way_at_the_end_counts(met: Met) -> None:
    """Half of it began when answers had got slow, and ended after the load."""
    found = met.endpoint("late-at-the-end")
    assert found.good == EACH
    assert (found.times.percentile(75) or 0) >= SLOW


def test_quick_refusals_are_no_latencies_and_time_outs_are(met: Met) -> None:
    assert (met.endpoint("limited").times.percentile(1) or 0) >= 0.3
    assert (met.endpoint("never").times.percentile(1) or 0) >= TIMEOUT * 0.99


def test_no_sample_is_no_success(met: Met) -> None:
    found = judged(test_load.test_errors_are_rare, met.run, Limit(fail="90%"))
    assert is_as(found.outcome, Outcome.FAILED, met.run)
    answered = {each.of for each in found.judgements if each.outcome is Outcome.FAILED and "answered" in each.what}
    assert answered <= {"shop.bad-gzip", "shop.cut-chunks", "shop.never"}
