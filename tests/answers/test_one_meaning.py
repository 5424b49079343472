"""A smoke check, latency without load and a load find the same answers good, and the same things wrong with them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_prodcheck.answers.texts import Search
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.run import load_latency, load_run
from pytest_prodcheck.evidence.services.contract import http_contract
from pytest_prodcheck.evidence.services.endpoint import http_endpoint
from pytest_prodcheck.outcomes import Outcome
from suites.smoke import test_api
from tests.evidence.contexts import context_for
from tests.evidence.load.servers import server_by_path
from tests.evidence.load.test_load import judged

TEXT = {"contains": "Größe"}
JSON = "Content-Type: application/json"


def _graphql(name: str, **declared: str) -> dict[str, Any]:
    return {"request": f"POST /{name}", "safe": True, "json": {"query": "query { products { sku } }"}, **declared}


# name -> what is declared, head and body of the answer, what is wrong with it
CASES: Mapping[str, tuple[dict[str, Any], str, bytes, str]] = {
    "plain": (TEXT, "", "Größe".encode(), ""),
    "redirect": (TEXT, "302", "Größe".encode(), ""),
    "redirect-beside-schema": ({"schema": "item.json"}, "302", b"", "answered 302"),
    "gzip": (TEXT, "Content-Encoding: gzip", gzip.compress("Größe".encode()), ""),
    "gzip-latin": (
        TEXT, "Content-Encoding: gzip\r\nContent-Type: text/plain; charset=latin-1",
        gzip.compress("Größe".encode("latin-1")), "",
    ),
    "utf-16": (TEXT, "Content-Type: text/plain;charset='utf-16'", "Größe".encode("utf-16"), ""),
    "odd-charset": (TEXT, "Content-Type: text/plain; charset=punycode", "Größe".encode(), ""),
    "other-charset": (TEXT, "Content-Type: text/plain; charset=utf-8", "Größe".encode("latin-1"), "text is missing"),
    "type": ({"content_type": "text/html"}, "Content-Type: text/plain", b"", "content type is text/plain"),
    "type-in-capitals": ({"content_type": "text/html"}, "Content-Type: TEXT/HTML; charset=x", b"", ""),
    "json": ({"schema": "item.json"}, "Content-Type: application/json", b"{}", ""),
    "no-json": ({"schema": "item.json"}, "Content-Type: text/plain", b"{}", "not JSON"),
    # schemathesis#1139, webtau#600, stargate#1114, n8n#1200: answers as graphql-core gives them
    "graphql": (_graphql("graphql"), JSON, b'{"data": {"products": []}}', ""),
    "graphql-partly": (
        _graphql("graphql-partly"), JSON, b'{"data": {"products": [], "offers": null}, "errors": [{"message": "x"}]}',
        "",
    ),
    "graphql-invalid": (
        _graphql("graphql-invalid"), JSON, b'{"errors": [{"message": "Cannot query field \'prices\'."}]}', "no data",
    ),
    "graphql-null": (
        _graphql("graphql-null"), JSON, b'{"data": null, "errors": [{"message": "no connection"}]}', "no connection",
    ),
    "graphql-nulls": (
        _graphql("graphql-nulls"), JSON, b'{"errors": [{"message": "no connection"}], "data": {"products": null}}',
        "no connection",
    ),
    "graphql-refused-as-declared": (
        _graphql("graphql-refused-as-declared", contains="UNAUTHENTICATED"), JSON,
        b'{"errors": [{"message": "x", "extensions": {"code": "UNAUTHENTICATED"}}]}', "",
    ),
    "no-graphql": ({**_graphql("no-graphql"), "json": {"query": "query cards"}}, JSON, b'{"errors": [1]}', ""),
    "problem-json": ({"schema": "item.json"}, "Content-Type: application/hal+json", b"{}", ""),
}  # fmt: skip


def test_all_three_mean_the_same(tmp_path: Path) -> None:
    (tmp_path / "item.json").write_text(json.dumps({"type": "object"}))
    answers = {f"/{name}": _raw(head, body) for name, (_, head, body, _) in CASES.items()}
    with server_by_path(answers) as port:
        context = _context(tmp_path, port)
        under_load = load_run.gather("it", context, Deadline(60))
        light = load_latency.gather("light", context, Deadline(60))
    for name, (_, _, _, wrong) in CASES.items():
        for run in (under_load, light):
            (endpoint,) = (each for each in run.endpoints if each.name == f"api.{name}")
            assert endpoint.begun > 0
            assert bool(endpoint.failed) is bool(wrong), (name, endpoint.reasons)
            assert not wrong or wrong in endpoint.reasons[0][0]
    assert {each.endpoint for each in under_load.samples} == {each.endpoint for each in light.samples}


def test_the_smoke_check_means_the_same(tmp_path: Path) -> None:
    (tmp_path / "item.json").write_text(json.dumps({"type": "object"}))
    answers = {f"/{name}": _raw(head, body) for name, (_, head, body, _) in CASES.items()}
    with server_by_path(answers) as port:
        context = _context(tmp_path, port)
        for name, (declared, _, _, wrong) in CASES.items():
            exchange = http_endpoint.gather(f"api.{name}", context, Deadline(10))
            contract = http_contract.gather(f"api.{name}", context, Deadline(10)) if "schema" in declared else None
            found = judged(test_api.test_endpoint_answers_as_declared, exchange, contract, declared)
            assert found.outcome is (Outcome.FAILED if wrong else Outcome.PASSED), name
            assert not wrong or any(wrong in each.reason for each in found.judgements)


def _raw(head: str, body: bytes) -> bytes:
    status = head if head.isdecimal() else "200"
    fields = "" if head.isdecimal() or not head else f"{head}\r\n"
    return f"HTTP/1.1 {status} X\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _context(root: Path, port: int) -> Context:
    endpoints = {name: {"request": f"GET /{name}", **declared} for name, (declared, *_) in CASES.items()}
    count = 4 * len(CASES)
    load = {
        "rate": f"{count}/s", "duration": "1s", "mix": {f"api.{name}": 1 for name in CASES}, "hosts": ["127.0.0.1"],
        "abort": {"error_ratio": 1},
    }  # fmt: skip
    service = {"url": f"http://127.0.0.1:{port}", "endpoints": endpoints}
    light = {"seconds": "1s", "requests": count, "endpoints": [f"api.{name}" for name in CASES]}
    return context_for(root, services={"api": service}, load={"it": load}, light=light)


def test_a_text_that_is_cut_between_two_pieces_is_found() -> None:
    body = "xxGrößexx".encode()
    for place in range(len(body)):
        search = Search("Größe", "text/plain")
        search.feed(body[:place])
        search.feed(body[place:])
        assert search.found, place
    one = Search("x", "")
    one.feed(b"y")
    assert not one.found
    one.feed(b"x")
    assert one.found
