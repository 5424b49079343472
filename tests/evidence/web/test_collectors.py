"""The collectors about a service's HTTP side: what they send, how often, and when they say that they cannot tell."""

from __future__ import annotations

import gzip
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.collectors import Collector
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, Web, read_request, web
from tests.evidence.network.speakers import raw_server

KINDS = ("http-pages", "http-secure", "http-html", "http-cookies", "http-errors", "http-cors", "http-exposure",
         "http-methods")  # fmt: skip
HTML = {"Content-Type": "text/html"}
HOME = (
    b'<title>Shop</title><script src="/app-1/main.js"></script><link href="https://cdn.example/x/y.css"><a href="a/b">'
)


def shop(seen: Seen) -> Answer:
    path = seen.path.partition("?")[0]
    if path == "/login":
        return 200, {"Set-Cookie": "sid=s3cret-value; HttpOnly"}, b'{"token": "t0ken-t0ken"}'
    if path == "/account":
        return (200 if "t0ken-t0ken" in seen.headers.get("Authorization", "") else 401), {}, b"{}"
    if path in ("/", "/health", "/products/1"):
        return 200, HTML, HOME
    return 404, HTML, b"nothing here"


@pytest.fixture
def server() -> Iterator[Web]:
    with web(shop) as running:
        yield running


def context(tmp_path: Path, port: int, **more: Any) -> Context:
    (tmp_path / "password").write_text("correct horse battery")
    endpoints = {
        "product": {"request": "GET /products/1", "status": 200},
        "account": {"request": "GET /account", "as": "customer", "status": 200},
        "quote": {"request": "POST /quotes", "json": {"a": 1}, "safe": True, "status": 200},
    }
    service = {"url": f"http://127.0.0.1:{port}", "html": True, "endpoints": endpoints, **more.pop("service", {})}
    auth = {"kind": "json", "service": "shop", "login": "POST /login", "token": "/token",
            "roles": {"customer": {"user": "c", "password": {"file": "password"}}}}  # fmt: skip
    return context_for(tmp_path, services={"shop": service}, auth=auth, **more)


def gather(kind: str, given: Context, target: str = "shop") -> Any:
    collector = find(kind)
    return collector.gather(target, given, Deadline(20))


def planned(collector: Collector, given: Context, target: str) -> int:
    return sum(line.times for line in collector.sends(target, given.environment))


@pytest.mark.parametrize("protected", [False, True], ids=["open", "protected"])
def test_no_more_is_sent_than_the_plan_says(protected: bool, tmp_path: Path, server: Web) -> None:
    """And where protected nothing but GET, OPTIONS and TRACE, besides the login."""
    given = context(tmp_path, server.port, protected=protected)
    total = 0
    for kind in KINDS:
        gather(kind, given)
        total += planned(find(kind), given, "shop")
    gather("http-private", given, "shop.account")
    total += planned(find("http-private"), given, "shop.account")
    assert 60 < len(server.requests) <= total <= 115
    methods = {seen.method for seen in server.requests if seen.path != "/login"}
    assert methods == {"GET", "OPTIONS", "TRACE"} | (set() if protected else {"POST"})  # TRACK and PROPFIND: 501
    assert len([seen for seen in server.requests if seen.path == "/login"]) == 1
    assert server.most_at_once <= 3


def test_pages_follow_redirects_within_the_service(tmp_path: Path) -> None:
    def answer(seen: Seen) -> Answer:
        to = {"/": "/a", "/a": "/b", "/b": "https://elsewhere.example/c"}.get(seen.path)
        return (302, {"Location": to}, b"") if to else (200, HTML, HOME)

    with web(answer) as server:
        found = gather("http-pages", context(tmp_path, server.port, service={"endpoints": {}}))
        assert [page.exchange.status for page in found.pages] == [302, 302, 302]
        assert {seen.path for seen in server.requests} == {"/", "/a", "/b"}


def test_a_login_redirect_of_an_open_endpoint_is_no_problem(tmp_path: Path, server: Web) -> None:
    found = gather("http-pages", context(tmp_path, server.port))
    assert [page.name for page in found.pages] == ["/", "product"]
    assert found.again is not None


def test_cookies_of_the_login_are_told_without_their_values(tmp_path: Path, server: Web) -> None:
    found = gather("http-cookies", context(tmp_path, server.port))
    assert found.login.exchange.header("Set-Cookie") == "sid=[redacted]; HttpOnly"
    assert "s3cret-value" not in repr(found)


@pytest.mark.parametrize("kind", [*KINDS])
@pytest.mark.parametrize("status", [403, 404, 429, 503])
def test_without_a_positive_control_nothing_is_told(kind: str, status: int, tmp_path: Path) -> None:
    """Row 42: what a dead service, a firewall or a limiter lacks or refuses proves nothing."""
    with web(lambda seen: (status, HTML, b"no")) as server:
        given = context(tmp_path, server.port)
        with pytest.raises(EvidenceProblem, match=rf"answered {status}") as caught:
            gather(kind, given)
        assert len(server.requests) == 1
        assert caught.value.problem.at == "shop"  # so that reports tell the cause once
        assert ("declare `health`" in caught.value.problem.hint) == (status < 500)


def test_a_firewall_that_shuts_us_out_meanwhile_is_noticed(tmp_path: Path) -> None:
    count = iter(range(1000))

    def answer(seen: Seen) -> Answer:
        return shop(seen) if next(count) < 20 else (403, HTML, b"blocked")

    with web(answer) as server, pytest.raises(EvidenceProblem, match="after the other requests") as caught:
        gather("http-exposure", context(tmp_path, server.port))
    assert caught.value.problem.kind == "denied"


def test_the_first_429_ends_it(tmp_path: Path) -> None:
    def answer(seen: Seen) -> Answer:
        return (429, {}, b"slow down") if seen.path == "/.git/HEAD" else shop(seen)

    with web(answer) as server:
        with pytest.raises(EvidenceProblem, match="asks us to stop"):
            gather("http-exposure", context(tmp_path, server.port))
        assert len(server.requests) < 15


def test_an_exposed_secret_is_noticed_and_not_kept(tmp_path: Path) -> None:
    def answer(seen: Seen) -> Answer:
        lies_open = seen.path == "/.env"
        return (200, {}, b"DB_PASSWORD=c4nary-in-the-open\n") if lies_open else shop(seen)

    with web(answer) as server:
        found = gather("http-exposure", context(tmp_path, server.port))
    assert [(probe.path, probe.signs) for probe in found.files if probe.signs] == [
        ("/.env", ("environment variables",))
    ]
    assert "c4nary" not in repr(found)


def test_the_beginning_of_a_compressed_dump_is_read(tmp_path: Path) -> None:
    """Apache's `AddEncoding x-gzip .gz`: the piece that we ask for has no end of its compression."""
    rows = "".join(f"INSERT INTO users VALUES ('{secrets.token_hex(20)}');\n" for _ in range(1000))
    whole = gzip.compress(rows.encode())
    piece = {"Content-Encoding": "x-gzip", "Content-Range": f"bytes 0-16383/{len(whole)}"}

    def answer(seen: Seen) -> Answer:
        return (206, piece, whole[:16384]) if seen.path == "/db.sql.gz" else shop(seen)

    with web(answer) as server:
        found = gather("http-exposure", context(tmp_path, server.port))
    assert [(each.path, each.signs) for each in found.files if each.signs] == [("/db.sql.gz", ("a database dump",))]


def test_folders_of_the_front_page_are_looked_at(tmp_path: Path, server: Web) -> None:
    found = gather("http-exposure", context(tmp_path, server.port))
    assert [probe.path for probe in found.folders][-2:] == ["/app-1/", "/a/"]
    assert all("range" in {name.lower() for name in seen.headers} for seen in server.requests[1:-1])


def test_a_connection_that_is_closed_on_nonsense_is_told(tmp_path: Path) -> None:
    def answer(connection: Any) -> None:
        head = read_request(connection)
        if b"%FF" not in head:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n"
                               b"Connection: close\r\n\r\nok")  # fmt: skip

    with raw_server(answer) as port:
        found = gather("http-errors", context(tmp_path, port, service={"endpoints": {}}))
    assert [each.exchange is None for each in found.answers] == [False, True, True]
    assert found.answers[1].problem.kind == "reset"


def test_origins_are_new_and_fit_the_service(tmp_path: Path) -> None:
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.evidence.web.cors import origins

    found = origins(Service(url="https://shop.example.com/api"), "x1")
    assert list(found.values()) == [
        "https://x1.prodcheck.example", "null", "https://shop.example.com.x1.prodcheck.example",
        "https://x1example.com", "https://x1shop.example.com", "https://shopxexample.com", "http://shop.example.com",
    ]  # fmt: skip
    assert list(origins(Service(url="http://127.0.0.1:8080"), "x1")) == ["another site", "null"]
    for url, suffix, dot in (
        ("https://a.b.shop.co.uk", "https://x1shop.co.uk", "https://a.bxshop.co.uk"),
        ("https://shop.github.io:8443", "https://x1shop.github.io:8443", "https://shopxgithub.io:8443"),
        ("http://shop", "http://x1shop", None),
    ):
        found = origins(Service(url=url), "x1")
        assert found["our name as a suffix"] == suffix
        assert found.get("our name with another letter for its dot") == dot


@pytest.mark.parametrize("kind", KINDS)
def test_records_can_be_saved_and_read_again(kind: str, tmp_path: Path, server: Web) -> None:
    from pytest_prodcheck.evidence.gathering import codec
    from pytest_prodcheck.records import Evidence

    record = gather(kind, context(tmp_path, server.port))
    piece = Evidence(f"{kind}:shop", kind, "shop", 1.0, 0.1, record)
    again = codec.load(json.loads(codec.text(codec.dump(piece))))
    assert again.record == record


def test_a_session_that_opens_nothing_proves_nothing_of_other_origins(tmp_path: Path) -> None:
    def answer(seen: Seen) -> Answer:
        return (401, {}, b"") if seen.path == "/account" else shop(seen)

    with web(answer) as server, pytest.raises(EvidenceProblem, match="as customer answered 401"):
        gather("http-cors", context(tmp_path, server.port))
