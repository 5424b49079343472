"""What Prometheus, a proxy in front of it or one of its kin may answer: a number, or a problem that says what to do."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.monitoring import metrics
from pytest_prodcheck.evidence.monitoring.prometheus import prometheus
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, web

JSON = {"Content-Type": "application/json"}
METRIC = {"query": 'errors{revision="{revision}"}', "samples": "n[{window}]", "min_samples": 1, "at_most": 1}


def query_answer(kind: str, result: Any, **more: Any) -> Answer:
    body = {"status": "success", "data": {"resultType": kind, "result": result}, **more}
    return 200, JSON, json.dumps(body).encode()


def failed(status: int, kind: str, error: str) -> Answer:
    return status, JSON, json.dumps({"status": "error", "errorType": kind, "error": error}).encode()


def vector_element(text: str, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [1_800_000_000.1, text]}


def context_of(root: Path, port: int, **settings: Any) -> Context:
    asked = {"url": f"http://127.0.0.1:{port}/prom/", "timeout": "1s", **settings}
    return context_for(root, prometheus=asked, metrics={"errors": METRIC})


GOOD = [
    (query_answer("vector", [vector_element("0.25", job="a")]), [({"job": "a"}, 0.25)]),
    (
        query_answer("vector", [vector_element("NaN"), vector_element("+Inf"), vector_element("1e3")]),
        [({}, None), ({}, None), ({}, 1000.0)],
    ),
    (query_answer("vector", []), []),
    (query_answer("vector", None), []),  # as some of its kin say nothing
    (query_answer("scalar", [1_800_000_000, "3"]), [({}, 3.0)]),
    (query_answer("vector", [], infos=["might not be a counter"]), []),
]


@pytest.mark.parametrize(("answer", "expected"), GOOD)
def test_numbers_are_read(answer: Answer, expected: list[Any], tmp_path: Path) -> None:
    with web(lambda seen: answer) as server:
        found = prometheus(context_of(tmp_path, server.port), Deadline(5)).vector("up", "test", Deadline(5))
    assert [(dict(each.labels), each.value) for each in found] == expected


BAD = {
    "query refused": (failed(400, "bad_data", "parse error"), "configuration", "parse error"),
    "took too long": (failed(503, "timeout", "query timed out"), "timeout", "query timed out"),
    "too much": (failed(422, "execution", "too many samples"), "protocol", "too many samples"),
    "an error that says 200": (failed(200, "internal", "oh"), "protocol", "oh"),
    "no reason": (failed(500, "internal", ""), "protocol", "answered 500 without a reason"),
    "not let in": ((401, {}, b"Unauthorized"), "denied", "answered 401"),
    "no tenant": ((401, {}, b"no org id\n"), "denied", "answered 401 (no org id)"),
    "forbidden": ((403, JSON, b'{"message": "no"}'), "denied", "answered 403"),
    "led to a login": ((302, {"Location": "https://sso.test/"}, b""), "protocol", "answered 302"),
    "a login page": ((200, {"Content-Type": "text/html"}, b"<html>Sign in"), "protocol", "does not follow its API"),
    "too many requests": ((429, {}, b"slow down"), "protocol", "answered 429"),
    "no upstream": ((502, {}, b"Bad Gateway"), "protocol", "answered 502"),
    "partial": (
        query_answer("vector", [vector_element("1")], warnings=["store down"]),
        "invalid",
        "may be partial: store down",
    ),
    "a range": (query_answer("matrix", []), "protocol", "a matrix, but"),
    "a histogram": (query_answer("vector", [{"metric": {}, "histogram": [1, {}]}]), "protocol", "a histogram was"),
    "no number": (query_answer("vector", [vector_element("many")]), "protocol", "many"),
    "no data": ((200, JSON, b'{"status": "success"}'), "protocol", "has no data"),
    "a list": ((200, JSON, b"[]"), "protocol", "does not follow its API"),
    "endless": ((200, JSON, b'{"status": "' + b"x" * (17 * 1024 * 1024)), "too-large", "the answer is larger than"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_number_says_why(case: str, tmp_path: Path) -> None:
    answer, kind, words = BAD[case]
    with web(lambda seen: answer) as server, pytest.raises(EvidenceProblem) as caught:
        prometheus(context_of(tmp_path, server.port), Deadline(9)).vector("up", "metric errors", Deadline(9))
    problem = caught.value.problem
    assert (problem.kind, words in problem.message) == (kind, True), problem
    assert problem.message.startswith("Prometheus at 127.0.0.1: metric errors: ")


def test_one_that_hangs_is_left_in_time(tmp_path: Path) -> None:
    def hang(seen: Seen) -> Answer:
        time.sleep(2)
        return query_answer("vector", [])

    began = time.monotonic()
    with web(hang) as server:
        context = context_of(tmp_path, server.port, timeout="200ms")
        found = metrics.metric.gather("errors", context, Deadline(5))
    assert time.monotonic() - began < 3
    assert found.readings[0].problem.kind == "timeout"


def test_credentials_and_tenant_are_sent_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-token-1")
    settings = {"authentication": {"bearer": {"file": "token"}}, "headers": {"X-Scope-OrgID": "shop"}}
    with web(lambda seen: failed(400, "bad_data", "no canary-token-1 here")) as server:
        context = context_of(tmp_path, server.port, **settings)
        with pytest.raises(EvidenceProblem) as caught:
            prometheus(context, Deadline(5)).vector("up", "test", Deadline(5))
    (seen,) = server.requests
    assert (seen.method, seen.path) == ("POST", "/prom/api/v1/query")
    assert seen.headers["Authorization"] == "Bearer canary-token-1"
    assert seen.headers["X-Scope-OrgID"] == "shop"
    assert "canary" not in str(caught.value)


def test_a_connection_that_broke_is_tried_once_more(tmp_path: Path) -> None:
    """Queries change nothing, so that they may be asked again although they are sent by POST."""
    answers = [None, query_answer("vector", [vector_element("1")])]

    def answer(seen: Seen) -> Answer:
        found = answers.pop(0)
        if found is None:
            raise ConnectionResetError
        return found

    with web(answer) as server:
        deadline = Deadline(5)
        found = prometheus(context_of(tmp_path, server.port), deadline).vector("up", "test", deadline)
    assert [each.value for each in found] == [1.0]
    assert any("tried again once" in note for note in deadline.notes)


def asked_by(root: Path, revision: str, window: float | None) -> list[str]:
    with web(lambda seen: query_answer("vector", [vector_element("1")])) as server:
        context = context_of(root, server.port)
        context.revision, context.window = revision, window
        metrics.metric.gather("errors", context, Deadline(5))
    return [parse_qs(seen.body.decode())["query"][0] for seen in server.requests]


def test_the_window_is_the_gates_else_the_metrics_own(tmp_path: Path) -> None:
    assert asked_by(tmp_path, "v1", None) == ['errors{revision="v1"}', "n[600s]", "n[200s]"]
    assert asked_by(tmp_path, "v1", 1800.0)[1:] == ["n[1800s]", "n[600s]"]
    assert asked_by(tmp_path, "v1", 60.0)[1:] == ["n[60s]"]  # the newest part of so short a one says nothing


@pytest.mark.parametrize("revision", ["", 'a"} or vector(0) #', "a\\", "a{b}", "a'b", "a`b"])
def test_a_revision_that_would_change_the_query_is_refused(revision: str, tmp_path: Path) -> None:
    with pytest.raises(EvidenceProblem) as caught:
        asked_by(tmp_path, revision, None)
    assert caught.value.problem.kind == "configuration"


def test_durations_as_promql_writes_them() -> None:
    assert [metrics.duration(each) for each in (600.0, 1.5, 0.0001)] == ["600s", "1500ms", "1ms"]
