"""What is put on the wire is what `requests` would have put there."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.evidence.http.request_heads import PreparedRequest, prepare
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import ok, read_request, web
from tests.evidence.network.speakers import raw_server

HOSTS = st.sampled_from(
    ["shop.example", "Shop.Example", "127.0.0.1", "[::1]", "[2001:DB8::1]", "shop.example.", "s_h", "bücher.example"]
)
PORTS = st.sampled_from(["", ":80", ":443", ":8080", ":65535"])
PATHS = st.lists(st.sampled_from([*"/./ab-_~!$&'()*+,;=:@%é ", "..", "//", "%41", "%2f", "?", "a=1"]), max_size=8)


@settings(deadline=None)
@given(st.sampled_from(["http", "https"]), HOSTS, PORTS, PATHS)
def test_an_address_is_sent_as_requests_sends_it(scheme: str, host: str, port: str, parts: list[str]) -> None:
    url = f"{scheme}://{host}{port}/{''.join(parts)}"
    try:
        theirs = requests.Request("GET", url).prepare()
    except requests.RequestException:
        with pytest.raises(ValueError, match=r"."):
            prepare("GET", url, {}, None)
        return
    ours = prepare("GET", url, {}, None)
    target = HTTPAdapter().request_url(theirs, {})
    where = urlsplit(str(theirs.url))
    assert ours.target == target
    assert ours.origin.host == str(where.hostname).rstrip(".")
    assert ours.origin.port == (where.port or {"http": 80, "https": 443}[scheme])


def test_the_head_of_a_request() -> None:
    prepared = prepare("POST", "http://[::1]:8080/a?b", {"X-A": b"1"}, b"{}")
    assert prepared.head() == b"POST /a?b HTTP/1.1\r\nHost: [::1]:8080\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n"
    assert head("GET", "https://shop.example:443") == b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    assert b"Content-Length: 0\r\n" in head("DELETE", "http://shop.example/")
    assert head("GET", "http://shop.example/", host=b"other").count(b"ost: ") == 1
    assert b"Authorization: Basic dTpw\r\n" in head("GET", "http://u:p@shop.example/")


def head(method: str, url: str, **headers: bytes) -> bytes:
    prepared: PreparedRequest = prepare(method, url, headers, None)
    return prepared.head()


@pytest.mark.parametrize(
    ("method", "url", "headers", "words"),
    [
        ("GET /", "http://s/", {}, "not an HTTP method"),
        ("GET", "http://s:70000/", {}, "."),
        ("GET", "ftp://s/", {}, "."),
        ("GET", "http:///x", {}, "."),
        ("GET", "http://s/", {"X A": b"1\r\nX-B: 2"}, "line break"),
        ("GET", "http://s/", {"X": b" 1"}, "begins with a space"),
        ("GET", "http://s/", {"X:": b"1"}, "not a valid header name"),
        ("GET", "http://s/", {"\r\n": b"1"}, "not a valid header name"),
        ("GET", "http://s/", {"Ü": b"1"}, "not a valid header name"),
    ],
)
def test_what_cannot_be_sent_is_refused(method: str, url: str, headers: dict[str, bytes], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        prepare(method, url, headers, None)


def shop(root: Path, port: int) -> Context:
    return context_for(root, services={"shop": {"url": f"http://127.0.0.1:{port}"}})


@pytest.mark.parametrize(
    ("lengths", "good"),
    [(["5"], True), (["5, 5"], True), (["5", "5"], True), (["5", "7"], False), (["5, 7"], False), (["-5"], False),
     (["0x5"], False), (["0", "5"], False), (["9"], False), (["\u0665"], False)],
)  # fmt: skip
def test_lengths_that_contradict_each_other_are_no_answer(tmp_path: Path, lengths: list[str], good: bool) -> None:
    """RFC 9112, 6.3: the end of such a body is anybody's guess."""
    told = "".join(f"Content-Length: {each}\r\n" for each in lengths)

    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{told}\r\nhello".encode())

    with raw_server(speak) as port:
        client = client_of(shop(tmp_path, port), "shop")
        if good:
            assert client.ask(Request("GET", "/"), Deadline(5)).exchange.body == "hello"
        else:
            with pytest.raises(EvidenceProblem) as caught:
                client.ask(Request("GET", "/"), Deadline(5), retry=False)
            assert caught.value.problem.kind in ("protocol", "reset")


def test_a_connection_that_the_peer_closed_meanwhile_is_opened_anew(tmp_path: Path) -> None:
    """Without a note: nothing went wrong."""

    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with raw_server(speak) as port:
        client = client_of(shop(tmp_path, port), "shop")
        for _ in range(3):
            deadline = Deadline(5)
            assert client.ask(Request("POST", "/"), deadline).exchange.body == "ok"
            assert deadline.notes == []


def test_another_origin_is_asked_over_a_connection_of_its_own(tmp_path: Path) -> None:
    with web(ok) as one, web(ok) as two:
        client = client_of(shop(tmp_path, one.port), "shop")
        for port in (one.port, two.port, one.port):
            exchange = client.ask(Request("GET", f"http://127.0.0.1:{port}/x"), Deadline(5)).exchange
            assert exchange.address == f"127.0.0.1:{port}"
    assert (len(one.requests), len(two.requests)) == (2, 1)
