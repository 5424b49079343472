"""Reports from the trackers of load tools, rebuilt on one server that keeps the truth and met by one load."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import brotli
import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.run import load_run
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.load.samples import Samples
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records.load import LoadEndpoint, LoadRun, SchemaSample
from suites.performance import test_latency, test_load
from tests.evidence.contexts import context_for
from tests.evidence.load.servers import GOOD, LIMITED, NOT_FOUND, Last, Slowly, serving
from tests.evidence.load.test_load import is_as, judged, only

TIMEOUT, SLOW, EACH = 2.0, 1.2, 20  # seconds, seconds, requests of each endpoint in a load of two seconds
ERRORS = Limit(warn="5%", fail="0.1%")
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
    "hints": {},
    "redirect": {},
    "ends": {},
    "cut-length": {},
    "late-404": {},
    "brotli": {"contains": "chair"},
    "packed-twice": {"contains": "chair"},
    "one-second": {},
    "waiting-room": {"status": None, "schema": "item.json"},
    "no-price": {"schema": "priced.json"},
    "catalogue": {"schema": "priced.json"},
    "latin-1": {"contains": "Größe"},
    "said-utf-8": {"contains": "Größe"},
    "large": {},
    "rare-and-slow": {},
    "signed-out": {"status": None},
    "moved": {"status": None},
    "slow-body": {},
    "endless-body": {},
    "nothing-in-it": {"status": None, "schema": "item.json"},
    "no-content": {"status": None, "schema": "item.json"},
}
SCHEMAS = {"item.json": {"type": "object"}, "priced.json": {"type": "object", "required": ["price"]}}


class Shop:
    """Answers by path, and counts what came."""

    def __init__(self) -> None:
        self.came: Counter[str] = Counter()
        self.began = 0.0
        self.numbers = itertools.count()
        self.lock = threading.Lock()

    def answer(self, raw: bytes) -> bytes | None:
        name = raw.split(b" ", 2)[1].decode().strip("/")
        with self.lock:
            self.came[name] += 1
            self.began = self.began or time.monotonic()
            number = self.came[name]
        told: bytes | None = getattr(self, name.replace("-", "_"))(number)
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

    def hints(self, number: int) -> bytes:
        return b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" * 2 + GOOD

    def redirect(self, number: int) -> bytes:
        return b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"

    def ends(self, number: int) -> None:
        return None

    def cut_length(self, number: int) -> bytes:
        return Last(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nhello")

    def late_404(self, number: int) -> bytes:
        time.sleep(TIMEOUT + 0.5)
        return NOT_FOUND

    def brotli(self, number: int) -> bytes:
        return packed(brotli.compress(CHAIR.encode()), "br")

    def packed_twice(self, number: int) -> bytes:
        return packed(brotli.compress(gzip.compress(CHAIR.encode())), "gzip, br")

    def one_second(self, number: int) -> bytes:
        time.sleep(1)
        return GOOD

    def signed_out(self, number: int) -> bytes:
        return GOOD if number <= EACH // 2 else self.redirect(number)

    def moved(self, number: int) -> bytes:
        return self.redirect(number)

    def waiting_room(self, number: int) -> bytes:
        return GOOD if number % 5 == 0 else self.redirect(number)

    def no_price(self, number: int) -> bytes:
        return of_json({"text": "x" * 100_000})

    def catalogue(self, number: int) -> bytes:
        return of_json({"text": "x" * 1_100_000})

    def latin_1(self, number: int) -> bytes:
        return text("Größe".encode("iso-8859-1"), "iso-8859-1")

    def said_utf_8(self, number: int) -> bytes:
        return text("Größe".encode("iso-8859-1"), "utf-8")

    def large(self, number: int) -> bytes:
        return text(b"x" * 1_200_000, "utf-8")

    def rare_and_slow(self, number: int) -> bytes:
        time.sleep(1.5)
        return GOOD

    def slow_body(self, number: int) -> bytes:
        return Slowly(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n    ")

    def endless_body(self, number: int) -> bytes:
        return Slowly(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n         ")

    def nothing_in_it(self, number: int) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"

    def no_content(self, number: int) -> bytes:
        return b"HTTP/1.1 204 No Content\r\n\r\n"


def packed(body: bytes, coding: str = "gzip") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def of_json(document: Any) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def text(body: bytes, charset: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={charset}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


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
    folder = tmp_path_factory.mktemp("shop")
    for name, schema in SCHEMAS.items():
        (folder / name).write_text(json.dumps(schema))
    with serving(shop.answer) as port:
        service = {"url": f"http://127.0.0.1:{port}", "endpoints": endpoints, "timeout": f"{TIMEOUT}s"}
        load = {
            "hosts": ["127.0.0.1"], "mix": {f"shop.{name}": 1 for name in DECLARED}, "duration": "2s",
            "rate": f"{EACH * len(DECLARED) / 2}/s", "abort": {"error_ratio": 1},
        }  # fmt: skip
        context = context_for(folder, services={"shop": service}, load={"it": load})
        run = load_run.gather("it", context, Deadline(60))
    return Met(run, shop.came)


def test_everything_that_was_sent_is_accounted_for(met: Met) -> None:
    assert all(each.begun == each.good + each.failed == EACH for each in met.run.endpoints)
    assert met.run.unanswered == 0
    assert sum(met.came.values()) == met.run.begun + met.run.overall.retried + ended_twice(met)


@pytest.mark.parametrize(
    "name",
    [
        "head", "closing", "until-close", "gzip", "hints", "brotli", "packed-twice", "one-second", "latin-1", "large",
        "slow-body", "moved",
    ],
)  # fmt: skip
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
        ("endless-body", EACH, f"not whole answered within {TIMEOUT:g} s"),
        ("never", EACH, f"answered within {TIMEOUT:g} s"),
        ("redirect", EACH, "answered 302"),
        ("signed-out", EACH // 2, "answered 302, and the first request 200"),
        ("ends", EACH, "connection reset"),
        ("cut-length", EACH, "connection reset inside the answer"),
        ("late-404", EACH, f"answered within {TIMEOUT:g} s"),
        ("waiting-room", EACH * 4 // 5, "answered 302"),
        ("said-utf-8", EACH, "the declared text is missing"),
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
    never = ("bad-gzip", "cut-chunks", "never", "redirect", "ends", "cut-length", "late-404", "said-utf-8")
    assert answered <= {f"shop.{name}" for name in (*never, "endless-body", "no-content")}


def ended_twice(met: Met) -> int:
    """Requests that were repeated, for a kept connection ended, and ended again."""
    return sum(number for why, number in met.run.overall.reasons if "also on a new connection" in why)


def test_a_request_on_a_new_connection_is_not_repeated(met: Met) -> None:
    """Only a kept connection may have ended before the request came."""
    reasons = dict(met.endpoint("ends").reasons)
    assert met.came["ends"] == EACH + ended_twice(met)
    assert reasons["connection reset"] == EACH - ended_twice(met) > 0


def test_one_second_is_one_second(met: Met) -> None:
    assert 1 <= (met.endpoint("one-second").times.percentile(1) or 0) < TIMEOUT


def test_a_body_that_comes_slowly_is_as_late_as_its_last_byte(met: Met) -> None:
    """hatoo/oha#727, undera/jmeter-plugins#68: the first byte is there at once; a deadline is that of the whole."""
    assert (met.endpoint("slow-body").times.percentile(1) or 0) >= SLOW
    assert (met.endpoint("endless-body").times.percentile(1) or 0) >= TIMEOUT * 0.99


@pytest.mark.parametrize("name", ["nothing-in-it", "no-content"])
def test_an_answer_without_content_matches_no_schema(name: str, met: Met) -> None:
    """grafana/k6#863: a script that looked at the status alone went on without the token."""
    run = only(met.run, f"shop.{name}", EACH)
    assert is_as(judged(test_load.test_errors_are_rare, run, ERRORS).outcome, Outcome.FAILED, run)


def test_sampled_answers_are_held_against_the_schema(met: Met) -> None:
    run = only(met.run, "shop.no-price", EACH)
    (sample,) = run.samples
    assert sample.wrong == sample.sampled > 3
    assert run.overall.failed == 0
    assert is_as(judged(test_load.test_errors_are_rare, run, ERRORS).outcome, Outcome.FAILED, run)


def test_answers_that_are_too_large_for_their_schema_are_named(met: Met) -> None:
    run = only(met.run, "shop.catalogue", EACH)
    assert run.samples == (SchemaSample("shop.catalogue", 0, 0, ""),)
    found = judged(test_load.test_errors_are_rare, run, ERRORS)
    if found.judgements:  # else this machine was too busy to tell
        (named,) = (each for each in found.judgements if "schema" in each.what)
        assert (named.outcome, named.of, named.value) == (Outcome.PASSED, "shop.catalogue", 0)


def test_samples_are_of_the_whole_run() -> None:
    """A shop whose recommendations go away under load: answers break their schema from the second minute on."""
    samples = Samples({"most": 20, "every": 180 / 20, "bytes": 1000})
    kept = [at for at in range(180) if samples.wants("shop.item", 40, at)]
    assert len(kept) == 20
    assert sum(at > 60 for at in kept) > 10
    assert [samples.wants("shop.list", size, 0) for size in (1001, 1000, 1)] == [False, True, False]


def test_a_schema_alone_takes_no_redirect(met: Met) -> None:
    run = only(met.run, "shop.waiting-room", EACH)
    assert is_as(judged(test_load.test_errors_are_rare, run, ERRORS).outcome, Outcome.FAILED, run)


def test_few_answers_may_prove_that_an_endpoint_is_slow(met: Met) -> None:
    """They prove no P95, and disprove it."""
    for name, proven in (("rare-and-slow", True), ("gzip", False), ("head", False), ("hints", False)):
        run = only(met.run, f"shop.{name}", EACH)
        found = judged(test_latency.test_most_answers_are_quick, run, Limit(fail="1s"))
        if proven:
            assert is_as(found.outcome, Outcome.FAILED, run), name
        else:
            assert found.outcome is not Outcome.FAILED, name
