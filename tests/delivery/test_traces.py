"""A run as a trace, read by OpenTelemetry's own schema; services join it or are linked.

No collector runs here: none is in Debian or on PyPI, and building one from its Go modules would take CI minutes. What
is sent over real HTTP is decoded by the official classes of opentelemetry-proto, as a collector's receiver decodes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pytest_prodcheck.delivery.traces import send_trace
from pytest_prodcheck.environments.sections.base import SecretRef
from pytest_prodcheck.environments.sections.delivery import Traces
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.plugin.http_exchanges import requests_of, trace_ids
from pytest_prodcheck.records import Evidence, Exchange
from pytest_prodcheck.trace_context import ids_in, ids_of_run, traceparent
from tests.delivery.receivers import Taken, http
from tests.reports.samples import BLOCKED, FAILED, RUN

THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Taken]:
    with http() as made:
        yield made


def spans(collector: Taken) -> list[Any]:
    """What a collector reads from the last request."""
    read = ExportTraceServiceRequest.FromString(_unpacked(collector.requests[-1]))
    return [span for each in read.resource_spans for scope in each.scope_spans for span in scope.spans]


def _unpacked(request: tuple[str, str, dict[str, str], bytes]) -> bytes:
    import gzip

    return gzip.decompress(request[3]) if request[2].get("Content-Encoding") == "gzip" else request[3]


def sent(collector: Taken, seen: dict[str, list[tuple[int, int]]] | None = None, **more: Any) -> list[str]:
    declared = Traces(url=f"http://127.0.0.1:{collector.port}/v1/traces", **more)
    return list(send_trace(declared, RUN, [BLOCKED], lambda _: "Bearer very-secret-token", seen))


def test_one_span_for_the_run_and_one_for_each_result(collector: Taken) -> None:
    assert sent(collector, headers={"Authorization": SecretRef(env="TOKEN")}) == []
    assert collector.requests[0][1] == "/v1/traces"
    assert {name.lower(): value for name, value in collector.requests[0][2].items()}["authorization"].endswith("token")
    found = spans(collector)
    *inner, root = found
    assert root.name == "prodcheck run"
    assert [each.name for each in inner] == [each.check for each in RUN.results]
    assert {each.parent_span_id for each in inner} == {root.span_id}
    assert traceparent(RUN.id) == f"00-{root.trace_id.hex()}-{root.span_id.hex()}-01"
    assert all(
        root.start_time_unix_nano <= each.start_time_unix_nano <= each.end_time_unix_nano <= root.end_time_unix_nano
        for each in inner
    )
    bad = [each.name for each in inner if each.status.code == 2]
    assert bad == [each.check for each in RUN.results if each.outcome in (Outcome.FAILED, Outcome.ERRORED)]
    told = {each.key: each.value for each in inner[2].attributes}
    assert told["prodcheck.target"].string_value == "checkout"
    assert told["prodcheck.outcome"].string_value == "failed"


def test_services_that_name_their_own_trace_are_linked(collector: Taken) -> None:
    """What joined the run's own trace needs no link."""
    answer = Exchange("GET", "https://x", 500, (("traceresponse", THEIRS),), "", 0, 0.1)
    joined = Exchange("GET", "https://x", 500, (("traceresponse", traceparent(RUN.id)),), "", 0, 0.1)
    piece = Evidence("http-addresses:checkout", "x", "checkout", 0.0, 0.0, record=cast("Any", [answer, joined]))
    source = cast("Any", SimpleNamespace(get=lambda _key, _timeout=0.0: piece))
    seen = trace_ids(source, FAILED.evidence)
    assert seen == {FAILED.evidence[0]: [ids_in(THEIRS), ids_of_run(RUN.id)]}
    assert sent(collector, seen) == []
    (link,) = [link for each in spans(collector) for link in each.links]
    assert (link.trace_id.hex(), link.span_id.hex()) == (THEIRS.split("-")[1], THEIRS.split("-")[2])


@pytest.mark.parametrize("answer", [400, 401])
def test_what_the_collector_does_not_take_is_said_without_the_secret(answer: int, collector: Taken) -> None:
    collector.answer = answer
    (problem,) = sent(collector, headers={"Authorization": SecretRef(env="TOKEN")})
    assert "did not accept it" in problem
    assert "very-secret" not in problem


@pytest.mark.parametrize("answer", [302, 307, 308])
def test_a_redirect_is_not_followed_and_no_success(answer: int, collector: Taken) -> None:
    with http() as other:
        collector.answer, collector.location = answer, f"http://127.0.0.1:{other.port}/"
        (problem,) = sent(collector, headers={"X-Token": SecretRef(env="TOKEN")})
        assert "did not accept it" in problem
        assert other.requests == []


def test_the_page_shows_no_secret_that_the_run_learned_late() -> None:
    """Also where the end of the excerpt would cut it in two."""
    secret = "learned-with-an-answer"
    body = f"{'x' * 390} {secret}"
    answer = Exchange("GET", f"https://x/?key={secret}", 500, (), body, 0, 0.1, repeat=f"curl {secret}", quotable=True)
    piece = Evidence(FAILED.evidence[0], "x", "checkout", 0.0, 0.0, record=cast("Any", [answer]))
    source = cast("Any", SimpleNamespace(get=lambda _key, _timeout=0.0: piece))
    (asked,) = requests_of(source, RUN, lambda text: text.replace(secret, "***"))[FAILED.evidence[0]]
    assert "learned" not in f"{asked.line} {asked.excerpt} {asked.repeat}"
    assert asked.excerpt.endswith("***")


def test_only_the_first_line_of_a_reason_is_sent(collector: Taken) -> None:
    run = replace(RUN, results=(replace(FAILED, reason="500 instead of 200\nbody: a row of a customer"),))
    assert list(send_trace(Traces(url=f"http://127.0.0.1:{collector.port}/"), run, [], lambda _: "")) == []
    assert spans(collector)[0].status.message == "500 instead of 200"


def test_hostile_texts_are_no_attributes_that_anybody_obeys(collector: Taken) -> None:
    run = replace(RUN, results=(replace(FAILED, reason="\x1b[2J" * 1000, target="\u202ex"),))
    assert list(send_trace(Traces(url=f"http://127.0.0.1:{collector.port}/"), run, [], lambda _: "")) == []
    span = spans(collector)[0]
    assert "\x1b" not in span.status.message


@pytest.mark.parametrize(
    "text", ["", "x", "00-0-0-01", f"ff{THEIRS[2:]}", f"00-{'0' * 32}-{'1' * 16}-01", "00-zz" * 20]
)
def test_what_is_no_trace_context(text: str) -> None:
    assert ids_in(text) is None


def test_a_trace_context_that_can_be_read() -> None:
    assert ids_in(f" {THEIRS} ") == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
    assert ids_of_run("a") != ids_of_run("b")
