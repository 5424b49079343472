"""What an answer is: read as browsers read it, else an error; over direct and proxied connections alike."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.records import EvidenceProblem
from tests.chromium import FINISH, browse
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import read_request
from tests.evidence.network.speakers import raw_server

OK = b"HTTP/1.1 200 OK\r\n"
TWO = b"Content-Length: 2\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n"
# answer -> what is read of it: status, body, the field X-After; or the kind of problem
GOOD: dict[str, tuple[bytes, tuple[int, str, str]]] = {
    "length": (OK + b"X-After: a\r\n" + TWO + b"\r\nok", (200, "ok", "a")),
    "chunks": (OK + CHUNKS + b"X-After: a\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", (200, "ok", "a")),
    "chunk extension": (OK + CHUNKS + b'\r\n2;a="b"\r\nok\r\n0\r\n\r\n', (200, "ok", "")),
    "chunk size with blanks": (OK + CHUNKS + b"\r\n2  \r\nok\r\n0\r\n\r\n", (200, "ok", "")),
    "chunk size with zeros": (OK + CHUNKS + b"\r\n0002\r\nok\r\n000\r\n\r\n", (200, "ok", "")),
    "trailers do not count": (OK + CHUNKS + b"\r\n2\r\nok\r\n0\r\nX-After: t\r\n\r\n", (200, "ok", "")),
    "until closed": (OK + b"\r\nok", (200, "ok", "")),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nok", (200, "ok", "")),
    "no reason phrase": (b"HTTP/1.1 200\r\n" + TWO + b"\r\nok", (200, "ok", "")),
    "strange status": (b"HTTP/1.1 299 Fine\r\n" + TWO + b"\r\nok", (299, "ok", "")),
    "line feeds alone": (b"HTTP/1.1 200 OK\nX-After: a\nContent-Length: 2\n\nok", (200, "ok", "a")),
    "103 first": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + OK + TWO + b"\r\nok",
                  (200, "ok", "")),
    "100 and 102 first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: 1\r\n\r\n" + OK + TWO
                          + b"\r\nok", (200, "ok", "")),
    "a field of an interim answer does not count": (
        b"HTTP/1.1 103 Early Hints\r\nX-After: early\r\n\r\n" + OK + TWO + b"\r\nok", (200, "ok", "")),
    "blank before the colon": (OK + b"X-Odd : 1\r\nX-After: a\r\n" + TWO + b"\r\nok", (200, "ok", "a")),
    "blank before the colon of what counts": (OK + b"X-After : a\r\n" + TWO + b"\r\nok", (200, "ok", "a")),
    "blank in a name": (OK + b"My Odd: 1\r\nX-After: a\r\n" + TWO + b"\r\nok", (200, "ok", "a")),
    "no colon": (OK + b"X-Odd\r\nX-After: a\r\n" + TWO + b"\r\nok", (200, "ok", "a")),
    "no name": (OK + b": odd\r\nX-After: a\r\n" + TWO + b"\r\nok", (200, "ok", "a")),
    "umlaut in a name": (OK + b"X-\xc3\xbc: 1\r\nX-After: a\r\n" + TWO + b"\r\nok", (200, "ok", "a")),
    "folded": (OK + b"X-After: a\r\n  b\r\n" + TWO + b"\r\nok", (200, "ok", "a b")),
    "folded first": (OK + b" odd: 1\r\nX-After: a\r\n" + TWO + b"\r\nok", (200, "ok", "a")),
    "empty value": (OK + b"X-After:\r\n" + TWO + b"\r\nok", (200, "ok", "")),
    "tabs around a value": (OK + b"X-After:\ta\t\r\n" + TWO + b"\r\nok", (200, "ok", "a")),
    "the same length twice": (OK + TWO + TWO + b"\r\nok", (200, "ok", "")),
    "length and chunks": (OK + b"Content-Length: 7\r\n" + CHUNKS + b"\r\n2\r\nok\r\n0\r\n\r\n", (200, "ok", "")),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\n" + TWO + b"\r\n", (204, "", "")),
    "Chunked in capitals": (OK + b"transfer-ENCODING: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n", (200, "ok", "")),
    # changedetection.io#2945, Swashbuckle.AspNetCore#578, testcafe#7923
    "a byte order mark": (OK + b"Content-Length: 5\r\n\r\n\xef\xbb\xbfok", (200, "ok", "")),
    # versitygw#2398, aws-sdk-java-v2#5769: objects of S3 that say how they were sent there
    "a coding of transport": (OK + b"Content-Encoding: aws-chunked\r\n" + TWO + b"\r\nok", (200, "ok", "")),
    "a charset for a coding": (OK + b"Content-Encoding: UTF-8\r\n" + TWO + b"\r\nok", (200, "ok", "")),
    # httpx#235, ktor#2823, ai-gateway#2291
    "nothing in gzip": (OK + b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", (200, "", "")),
    "nothing in br": (OK + b"Content-Encoding: br\r\nContent-Length: 0\r\n\r\n", (200, "", "")),
    # node#7502, bun#33708, SharpZipLib#116
    "blank lines behind gzip": (OK + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(b"ok")
                                + b"\n \n", (200, "ok", "")),
    # httparty#478, curl#19159
    "one place twice": (OK + b"Location: /a\r\nLocation: /a\r\n" + TWO + b"\r\nok", (200, "ok", "")),
    "two hundred fields": (OK + b"X-A: b\r\n" * 200 + b"X-After: a\r\n" + TWO + b"\r\nok", (200, "ok", "a")),
}  # fmt: skip
BAD: dict[str, tuple[bytes, str]] = {
    "cut after an interim answer": (b"HTTP/1.1 103 Early Hints\r\n\r\n", "reset"),
    "cut in the body": (OK + TWO + b"\r\no", "reset"),
    "cut in a chunk": (OK + CHUNKS + b"\r\n2\r\no", "reset"),
    "cut before the last chunk": (OK + CHUNKS + b"\r\n2\r\nok\r\n", "reset"),
    "lengths that contradict": (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!", "protocol"),
    "no hexadecimal chunk size": (OK + CHUNKS + b"\r\nzz\r\nok\r\n0\r\n\r\n", "protocol"),
    "negative chunk size": (OK + CHUNKS + b"\r\n-2\r\nok\r\n0\r\n\r\n", "protocol"),
    "chunk size of Python": (OK + CHUNKS + b"\r\n0x2\r\nok\r\n0\r\n\r\n", "protocol"),
    "chunk longer than told": (OK + CHUNKS + b"\r\n1\r\nok\r\n0\r\n\r\n", "protocol"),
    # incubator-pagespeed-ngx#725, zuul#176, curl#19130
    "two places": (OK + b"Location: /a\r\nX-After: a\r\nlocation: /b\r\n" + TWO + b"\r\nok", "protocol"),
    "two dispositions": (OK + b'Content-Disposition: inline\r\nContent-Disposition: attachment\r\n' + TWO + b"\r\nok",
                         "protocol"),
    "NUL in a field": (OK + b"X-Odd: a\0b\r\n" + TWO + b"\r\nok", "protocol"),
    "HTTP/2 preface of a server": (b"\0\0\x12\x04\0\0\0\0\0", "protocol"),
    "nothing": (b"", "reset"),
}
# Chromium reads on; by RFC 9112 the end or the meaning of these is anybody's guess, so they prove nothing
STRICTER: dict[str, tuple[bytes, str]] = {
    "cut in the status line": (b"HTTP/1.1 20", "reset"),
    "cut in a field": (OK + b"X-After: a", "reset"),
    "cut before the empty line": (OK + b"X-After: a\r\n", "reset"),
    "HTTP/1.0 with chunks": (b"HTTP/1.0 200 OK\r\n" + CHUNKS + b"\r\n2\r\nok\r\n0\r\n\r\n", "protocol"),
    "a coding before chunked": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "protocol"),
    "identity": (OK + b"Transfer-Encoding: identity\r\n\r\nok", "protocol"),
    "chunked twice": (OK + CHUNKS + CHUNKS + b"\r\n2\r\nok\r\n0\r\n\r\n", "protocol"),
    "no number for a length": (OK + b"Content-Length: 0x2\r\n\r\nok", "protocol"),
    "lone CR in a field": (OK + b"X-Odd: a\rX-After: b\r\n" + TWO + b"\r\nok", "protocol"),
}
ODD = {
    "blank before the colon", "blank before the colon of what counts", "blank in a name", "no colon", "no name",
    "umlaut in a name", "folded", "folded first", "a coding of transport", "a charset for a coding",
}  # fmt: skip


def answers_with(answer: bytes) -> Callable[[socket.socket], None]:
    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    return speak


def read(context: Context, deadline: Deadline) -> tuple[int, str, str]:
    exchange = client_of(context, "shop").ask(Request("GET", "/x"), deadline, retry=False).exchange
    return exchange.status, exchange.text, exchange.header("X-After") or ""


def direct_and_by_proxy(port: int, root: Path) -> tuple[Context, Context]:
    """Direct, and through a proxy, which this server then is."""
    url = f"http://127.0.0.1:{port}"
    return (
        context_for(root, services={"shop": {"url": url}}),
        context_for(root, services={"shop": {"url": "http://shop.example", "proxy": url}}),
    )


@pytest.mark.parametrize("name", GOOD)
def test_is_read_as_browsers_read_it(name: str, tmp_path: Path) -> None:
    answer, expected = GOOD[name]
    with raw_server(answers_with(answer)) as port:
        for context in direct_and_by_proxy(port, tmp_path):
            deadline = Deadline(5)
            assert read(context, deadline) == expected
            assert bool(deadline.notes) is (name in ODD), deadline.notes


@pytest.mark.parametrize("name", [*BAD, *STRICTER])
def test_is_no_answer(name: str, tmp_path: Path) -> None:
    answer, kind = {**BAD, **STRICTER}[name]
    with raw_server(answers_with(answer)) as port:
        for context in direct_and_by_proxy(port, tmp_path):
            with pytest.raises(EvidenceProblem) as caught:
                read(context, Deadline(5))
            assert caught.value.problem.kind == kind, caught.value.problem


def test_a_body_of_unknown_length_ends_with_the_farewell_of_tls_and_not_without(tmp_path: Path) -> None:
    """RFC 9112, 9.8; a length that was told needs no farewell."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(tls)

    def asked(answer: bytes, farewell: bool) -> str:
        def speak(connection: socket.socket) -> None:
            inner = tls.wrap_socket(connection, server_side=True)
            inner.recv(4096)
            inner.sendall(answer)
            if farewell:
                with contextlib.suppress(OSError):
                    inner.unwrap()
            inner.close()

        with raw_server(speak) as port:
            shop = {"url": f"https://localhost:{port}", "tls": {"ca": "ca.pem"}}
            try:
                return read(context_for(tmp_path, services={"shop": shop}), Deadline(5))[1]
            except EvidenceProblem as error:
                return error.problem.message.partition(": ")[2]

    assert asked(OK + b"\r\nok", True) == "ok"
    assert asked(OK + TWO + b"\r\nok", False) == "ok"
    assert asked(OK + CHUNKS + b"\r\n2\r\nok\r\n0\r\n\r\n", False) == "ok"
    assert "without close_notify" in asked(OK + b"\r\nok", False)


def test_an_answer_after_which_the_connection_ends_is_not_waited_for(tmp_path: Path) -> None:
    """`Connection: close`: the next request goes over a connection of its own, without a note."""
    count = []

    def speak(connection: socket.socket) -> None:
        count.append(1)
        read_request(connection)
        connection.sendall(OK + TWO + b"Connection: close\r\n\r\nok")
        threading.Event().wait(0.3)

    with raw_server(speak) as port:
        context = direct_and_by_proxy(port, tmp_path)[0]
        for _ in range(3):
            deadline = Deadline(5)
            assert read(context, deadline)[0] == 200
            assert deadline.notes == []
    assert len(count) == 3


def test_real_chromium_reads_the_same(tmp_path: Path) -> None:
    everything = {**GOOD, **BAD, **STRICTER}
    names = list(everything)
    page = f"""<!doctype html><pre id="seen"></pre><script>(async () => {{
      const seen = {{}};
      for (const [n, name] of {json.dumps(names)}.entries())
        seen[name] = await fetch("/" + n).then(async r => [r.status, await r.text(), r.headers.get("X-After") || ""],
                                               () => "error").catch(() => "error");
      {FINISH} }})()</script>""".encode()

    def speak(connection: socket.socket) -> None:
        path = read_request(connection).split()[1][1:].decode()
        if path.isdigit():
            connection.sendall(everything[names[int(path)]][0])
        else:
            connection.sendall(OK + b"Content-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page) + page)

    with raw_server(speak) as port:
        seen = browse(f"http://127.0.0.1:{port}/", tmp_path)
    assert {name: tuple(seen[name]) for name in GOOD} == {name: expected for name, (_, expected) in GOOD.items()}
    assert {name: seen[name] for name in BAD} == dict.fromkeys(BAD, "error")
    assert all(seen[name] != "error" for name in STRICTER), "what browsers refuse, too, belongs to BAD"
