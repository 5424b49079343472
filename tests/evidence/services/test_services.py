"""Health, version, addresses, redirect, OpenAPI, endpoints and contracts of local services."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.answers.variables import at_pointer
from pytest_prodcheck.environments.sections.services import Endpoint
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.gathering.plan import sendings
from pytest_prodcheck.evidence.network import resolving, transport
from pytest_prodcheck.evidence.network.resolving import ResolvedAddress
from pytest_prodcheck.evidence.services.openapi_document import operation
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, Web, ok, web
from tests.evidence.network.speakers import raw_server
from tests.evidence.services.openapi_documents import DOCUMENT, changed


def gather(name: str, context: Context, target: str = "shop", seconds: float = 5.0) -> Any:
    return find(name).gather(target, context, Deadline(seconds))


@contextmanager
def shop(root: Path, answer: Callable[[Seen], Answer], **service: Any) -> Iterator[tuple[Web, Context]]:
    with web(answer) as server:
        settings = {"url": f"http://127.0.0.1:{server.port}", **service}
        yield server, context_for(root, services={"shop": settings})


def two_addresses(monkeypatch: pytest.MonkeyPatch, *more: ResolvedAddress) -> None:
    def resolve(host: str, port: int, nameserver: str | None, deadline: Deadline) -> tuple[ResolvedAddress, ...]:
        return (ResolvedAddress("IPv4", "127.0.0.1", port), *more)

    monkeypatch.setattr(resolving, "resolve", resolve)


# -- health


def test_health_is_one_fresh_answer_and_five_warm_ones(tmp_path: Path) -> None:
    with shop(tmp_path, ok, health="/healthz") as (server, context):
        found = gather("http-health", context)
    assert found.exchange.json() == {"status": "pass"}
    assert [each.body for each in found.samples] == [None] * 5
    assert server.connections == 2
    assert {each.path for each in server.requests} == {"/healthz"}


def test_slow_health_gives_its_times_instead_of_a_timeout(tmp_path: Path) -> None:
    def slow(seen: Seen) -> Answer:
        time.sleep(0.4)
        return ok(seen)

    with shop(tmp_path, slow, health="/healthz") as (_, context):
        found = gather("http-health", context, seconds=1.8)
    assert 1 <= len(found.samples) < 5
    assert found.samples[0].seconds >= 0.4


# -- version


def test_an_old_replica_of_ten_is_met_and_told(tmp_path: Path) -> None:
    turns = itertools.count()

    def answer(seen: Seen) -> Answer:
        old = next(turns) % 10 == 7
        return 200, {"Content-Type": "application/json"}, json.dumps({"revision": "r-0" if old else "r-1"}).encode()

    with shop(tmp_path, answer, version={"path": "/version", "pointer": "/revision"}) as (server, context):
        found = gather("http-version", context)
    assert (found.expected, found.asked, len(found.seen)) == ("r-1", 44, 44)
    assert server.connections == 44
    assert {each.revision for each in found.seen} == {"r-0", "r-1"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((503, {}, b"{}"), "answered 503"),
        ((200, {}, b"<html>"), "not JSON"),
        ((200, {}, b'{"revision": null}'), "no revision"),
        ((200, {}, b'{"revision": ""}'), "no revision"),
        ((200, {}, b'{"revision": {"a": 1}}'), "no revision"),
        ((200, {}, b'{"other": 1}'), "nothing at /revision"),
    ],
)
def test_what_is_no_revision_is_a_problem(tmp_path: Path, answer: Answer, told: str) -> None:
    source = {"path": "/version", "pointer": "/revision", "connections": 3}
    with (
        shop(tmp_path, lambda seen: answer, version=source) as (_, context),
        pytest.raises(EvidenceProblem, match=told),
    ):
        gather("http-version", context)


def test_the_whole_text_may_be_the_revision(tmp_path: Path) -> None:
    with shop(tmp_path, lambda seen: (200, {}, b" r-1\n"), version={"path": "/v", "connections": 2}) as (_, context):
        assert [each.revision for each in gather("http-version", context).seen] == ["r-1", "r-1"]


def test_connections_go_round_all_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        web(lambda seen: (200, {}, b"r-1")) as first,
        web(lambda seen: (200, {}, b"r-0"), host="127.0.0.2", port=first.port),
    ):
        url = f"http://shop.example:{first.port}"
        context = context_for(tmp_path, services={"shop": {"url": url, "version": {"path": "/v", "connections": 10}}})
        two_addresses(monkeypatch, ResolvedAddress("IPv4", "127.0.0.2", first.port))
        found = gather("http-version", context)
    assert {(each.address.partition(":")[0], each.revision) for each in found.seen} == {
        ("127.0.0.1", "r-1"),
        ("127.0.0.2", "r-0"),
    }


# -- addresses


@pytest.mark.parametrize("turn", range(4))
def test_an_address_without_a_route_takes_no_turn(turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some machines need seconds to find out that there is no way; each exchange would wait for that."""
    tried: list[str] = []

    def connect(address: ResolvedAddress, timeout: float) -> socket.socket:
        tried.append(address.ip)
        return really(address, timeout)

    really = transport.connect
    monkeypatch.setattr(transport, "connect", connect)
    with web(ok) as server:
        both = [("IPv6", "ff0e::db8:1"), ("IPv4", "127.0.0.1")]
        found = [ResolvedAddress(family, ip, server.port) for family, ip in both]  # type: ignore[arg-type]
        route = transport.Route(lambda host, port, deadline: found, turn=turn)
        route.begin(Deadline(5))
        route.open("shop.example", server.port).close()
        route.release()
        route.end()
    assert tried == ["127.0.0.1"]


def test_each_address_is_asked_with_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with web(ok) as server:
        url = f"http://shop.example:{server.port}"
        context = context_for(tmp_path, services={"shop": {"url": url, "health": "/healthz"}})
        two_addresses(
            monkeypatch,
            ResolvedAddress("IPv4", "127.0.0.2", server.port),
            ResolvedAddress("IPv6", "ff0e::db8:1", server.port),
        )
        found = gather("http-addresses", context, seconds=6)
    up, down, other = found.answers
    assert (up.status, up.problem) == (200, None)
    assert server.requests[0].headers["Host"] == f"shop.example:{server.port}"
    assert down.status is None
    assert down.problem is not None
    assert (down.problem.kind, down.routed) == ("refused", True)
    assert other.family == "IPv6"
    assert other.status is None
    assert other.problem is not None
    assert (other.problem.kind, other.routed) == ("unreachable", False)


def test_an_address_that_hangs_does_not_cost_the_others_their_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web(ok) as server, raw_server(lambda connection: time.sleep(8), "127.0.0.2", server.port):
        context = context_for(tmp_path, services={"shop": {"url": f"http://shop.example:{server.port}"}})
        two_addresses(monkeypatch, ResolvedAddress("IPv4", "127.0.0.2", server.port))
        found = gather("http-addresses", context, seconds=2)
    assert found.answers[0].status == 200
    assert found.answers[1].problem is not None
    assert found.answers[1].problem.kind == "timeout"


# -- redirect


@pytest.mark.parametrize(
    ("locations", "statuses", "looped"),
    [
        ({"/": "https://127.0.0.9:1/"}, [308], False),  # another host is shown, not followed
        ({"/": "/a", "/a": "/b"}, [308, 308, 200], False),
        ({"/": "/a", "/a": "/"}, [308, 308], True),
        ({f"/{'x' * number}": f"/{'x' * (number + 1)}" for number in range(9)}, [308] * 5, True),
        ({}, [200], False),
        ({"/": "ftp://127.0.0.1/"}, [308], False),
        ({"/": ""}, [308], False),
    ],
)
def test_hops_are_followed_and_bounded(
    tmp_path: Path, locations: dict[str, str], statuses: list[int], looped: bool
) -> None:
    def answer(seen: Seen) -> Answer:
        return (308, {"Location": locations[seen.path]}, b"") if seen.path in locations else (200, {}, b"page")

    with web(answer) as server:
        start = f"http://127.0.0.1:{server.port}/"
        context = context_for(tmp_path, services={"shop": {"url": "https://127.0.0.1:9", "redirect": start}})
        found = gather("http-redirect", context)
    assert [each.status for each in found.hops] == statuses
    assert (found.looped, found.closed, found.allowed_hosts) == (looped, False, ("127.0.0.1",))
    assert {each.body for each in found.hops} == {None}


def test_a_closed_port_is_an_answer_and_credentials_are_not_sent_in_the_clear(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("canary-secret")
    with web(ok) as server:
        service = {"url": "https://127.0.0.1:9", "redirect": f"http://127.0.0.1:{server.port}/"}
        context = context_for(tmp_path, services={"shop": {**service, "authentication": {"bearer": {"file": "pw"}}}})
        assert not gather("http-redirect", context).closed
        assert "Authorization" not in server.requests[0].headers
    deadline = Deadline(5)
    assert find("http-redirect").gather("shop", context, deadline).closed
    assert deadline.notes == []


# -- endpoints and contracts


def test_an_endpoint_is_asked_once_for_answer_and_budget(tmp_path: Path) -> None:
    endpoints = {"quote": {"request": "POST /quotes?x=1", "json": {"a": 1}, "headers": {"X-A": "b"}, "status": 200}}
    with shop(tmp_path, ok, endpoints=endpoints) as (server, context):
        answer = gather("http-endpoint", context, "shop.quote")
        deadline = Deadline(5)
        assert find("http-budget").gather("shop.quote", context, deadline) is answer
    assert deadline.oldest is not None
    assert [(each.method, each.path, each.body) for each in server.requests] == [("POST", "/quotes?x=1", b'{"a": 1}')]
    assert server.requests[0].headers["X-A"] == "b"


def test_an_undeclared_endpoint_is_a_configuration_problem(tmp_path: Path) -> None:
    with pytest.raises(EvidenceProblem, match=r"no endpoint 'shop\.other'"):
        gather("http-endpoint", context_for(tmp_path), "shop.other")


@pytest.mark.parametrize(
    ("request_line", "url", "name"),
    [
        ("GET /products/a-1?x=2", "https://shop.example/api", "product"),
        ("GET /products/new", "https://shop.example/api", "new"),
        ("GET /api/products/a", "https://shop.example", "product"),
        ("POST /products/a", "https://shop.example/api", None),
        ("GET /products/a/b", "https://shop.example/api", None),
        ("GET /orders", "https://shop.example/api", None),
    ],
)
def test_finds_the_operation_of_an_endpoint(request_line: str, url: str, name: str | None) -> None:
    found = operation(DOCUMENT, url, Endpoint.model_validate({"request": request_line}))
    assert (found or {}).get("operationId") == name


ENDPOINTS = {
    "product": {"request": "GET /products/a", "status": 200, "schema": "openapi"},
    "orders": {"request": "GET /orders", "status": 200},
    "home": {"request": "GET /", "status": 200, "content_type": "text/html"},
}


def test_openapi_and_contract_share_one_request(tmp_path: Path) -> None:
    from jsonschema import validators

    with shop(
        tmp_path, lambda seen: (200, {}, json.dumps(DOCUMENT).encode()), openapi="/o.json", endpoints=ENDPOINTS
    ) as (server, context):
        found = gather("http-openapi", context)
        contract = gather("http-contract", context, "shop.product")
    assert (found.problems, found.undeclared) == ((), ("GET /orders (orders)",))
    assert len(server.requests) == 1
    (described,) = contract.answers
    validator = validators.validator_for(described.schema)(described.schema)
    assert validator.is_valid({"price": 1})
    assert not validator.is_valid({"price": "1"})
    assert not validator.is_valid({})


def test_nullable_of_openapi_3_0_is_understood(tmp_path: Path) -> None:
    from jsonschema import validators

    document = changed(
        "/components/schemas/Price", {"type": "integer", "nullable": True, "minimum": 0, "exclusiveMinimum": True}
    )
    document["openapi"] = "3.0.3"
    with shop(tmp_path, lambda seen: (200, {}, json.dumps(document).encode()), openapi="/o", endpoints=ENDPOINTS) as (
        _,
        context,
    ):
        schema = gather("http-contract", context, "shop.product").answers[0].schema
    validator = validators.validator_for(schema)(schema)
    assert [validator.is_valid({"price": price}) for price in (None, 1, 0, "x")] == [True, True, False, False]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b""])
def test_what_is_no_document_is_told(tmp_path: Path, body: bytes) -> None:
    with shop(tmp_path, lambda seen: (200, {}, body), openapi="/o", endpoints=ENDPOINTS) as (_, context):
        found = gather("http-openapi", context)
        assert (found.document, found.problems) == (None, ("it is no JSON object",))
        with pytest.raises(EvidenceProblem, match="without an OpenAPI document"):
            gather("http-contract", context, "shop.product")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "no JSON object"),
        ('{"type": "objekt"}', "no JSON Schema"),
        ('{"$ref": "other.json"}', "leads outside"),
        ('{"$ref": "https://elsewhere.example/x"}', "leads outside"),
        ('{"$ref": "#/$defs/none"}', "leads nowhere"),
        ('{"$schema": "https://elsewhere.example/x"}', "is not known"),
    ],
)
def test_unusable_schemas_are_configuration_problems(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "s.json").write_text(text)
    endpoints = {"x": {"request": "GET /x", "status": 200, "schema": "s.json"}}
    context = context_for(tmp_path, services={"shop": {"url": "http://127.0.0.1:9", "endpoints": endpoints}})
    with pytest.raises(EvidenceProblem, match=told) as caught:
        gather("http-contract", context, "shop.x")
    assert caught.value.problem.kind == "configuration"


# -- the plan


def test_the_plan_says_what_would_be_sent(tmp_path: Path) -> None:
    endpoints = {"order": {"request": "POST /orders", "status": 201, "as": "customer"}}
    service = {"url": "https://shop.example", "health": "/healthz", "version": {"path": "/v"}, "endpoints": endpoints}
    environment = context_for(tmp_path, services={"shop": service}).environment
    plan = [(find(name), "shop") for name in ("http-health", "http-version", "http-addresses")]
    lines = sendings([*plan, (find("http-endpoint"), "shop.order"), (find("http-endpoint"), "shop.none")], environment)
    assert [(line.to, line.what, line.times, line.writes) for line in lines] == [
        ("shop.example:443", "GET /healthz", 8, False),
        ("shop.example:443", "GET /v", 44, False),
        ("shop.example:443", "POST /orders as customer", 1, True),
    ]


@pytest.mark.parametrize(
    ("pointer", "value"), [("", {"a": [1, {"b/c": 2}], "~": 3}), ("/a/0", 1), ("/a/1/b~1c", 2), ("/~0", 3)]
)
def test_json_pointers(pointer: str, value: Any) -> None:
    assert at_pointer({"a": [1, {"b/c": 2}], "~": 3}, pointer) == value


@pytest.mark.parametrize("pointer", ["/b", "/a/2", "/a/-1", "/a/x", "/a/0/c", "/a/99999999999999999999"])
def test_json_pointers_to_nothing(pointer: str) -> None:
    with pytest.raises(LookupError):
        at_pointer({"a": [1, {"b/c": 2}]}, pointer)
