"""The HTTP client against real local servers, the worst of them included."""

from __future__ import annotations

import contextlib
import gzip
import resource
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
import trustme

from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Answer, Request
from pytest_prodcheck.records import EvidenceProblem, Problem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Seen, ok, read_request, web
from tests.evidence.network.speakers import raw_server

GET = Request("GET", "/x")
MIB = 1024 * 1024


def ask_shop(context: Context, request: Request = GET, seconds: float = 5.0, **how: Any) -> Answer:
    return client_of(context, "shop").ask(request, Deadline(seconds), **how)


def problem(context: Context, request: Request = GET, seconds: float = 5.0, **how: Any) -> Problem:
    with pytest.raises(EvidenceProblem) as caught:
        ask_shop(context, request, seconds, **how)
    return caught.value.problem


def plain(root: Path, port: int, **service: Any) -> Context:
    return context_for(root, services={"shop": {"url": f"http://127.0.0.1:{port}/base", **service}})


def answers_with(text: bytes) -> Callable[[socket.socket], None]:
    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(text)

    return speak


# -- what is sent and told


def test_tells_what_was_asked_and_answered(tmp_path: Path) -> None:
    with web(
        lambda seen: (201, {"Content-Type": "application/json; charset=utf-8", "X-A": "1"}, b'{"a": "\xc3\xa9"}')
    ) as server:
        exchange = ask_shop(plain(tmp_path, server.port)).exchange
    assert (exchange.method, exchange.url, exchange.status) == ("GET", f"http://127.0.0.1:{server.port}/base/x", 201)
    assert exchange.json() == {"a": "é"}
    assert exchange.header("x-a") == "1"
    assert exchange.address == f"127.0.0.1:{server.port}"
    assert 0 < exchange.seconds < 2
    assert (exchange.size, exchange.truncated) == (11, False)


def test_sends_headers_of_environment_service_and_request_in_rising_order(tmp_path: Path) -> None:
    with web(ok) as server:
        context = context_for(
            tmp_path,
            headers={"X-Synthetic": "{run}", "user-agent": "us"},
            services={
                "shop": {"url": f"http://127.0.0.1:{server.port}", "headers": {"X-S": "service", "X-T": "service"}}
            },
        )
        ask_shop(context, Request("POST", "/x", {"x-t": "request"}, {"a": 1}))
    headers = {name.lower(): value for name, value in server.requests[0].headers.items()}
    assert headers["x-synthetic"] == "run-7"
    assert headers["user-agent"] == "us"
    assert (headers["x-s"], headers["x-t"]) == ("service", "request")
    assert headers["accept-encoding"] == "gzip, deflate, br"
    assert server.requests[0].body == b'{"a": 1}'


def test_keeps_a_connection_and_opens_a_fresh_one_on_request(tmp_path: Path) -> None:
    with web(ok) as server:
        context = plain(tmp_path, server.port)
        for _ in range(4):
            ask_shop(context)
        assert server.connections == 1
        ask_shop(context, fresh=True)
        assert server.connections == 2


def test_ignores_proxies_netrc_and_ca_bundles_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password secret-of-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with web(ok) as server:
        assert ask_shop(plain(tmp_path, server.port)).exchange.status == 200
    assert "Authorization" not in server.requests[0].headers


def test_follows_no_redirect_and_reads_no_more_of_one_than_the_bound(tmp_path: Path) -> None:
    with web(lambda seen: (302, {"Location": "/other?token=abcdef123"}, b"x" * 100_000)) as server:
        context = context_for(
            tmp_path, services={"shop": {"url": f"http://127.0.0.1:{server.port}"}}, gathering={"body": 2048}
        )
        answer = ask_shop(context)
    assert (answer.exchange.status, answer.exchange.truncated, answer.exchange.size) == (302, True, 2048)
    assert answer.exchange.header("Location") == "/other?token=[redacted]"
    assert answer.location() == "/other?token=abcdef123"
    assert len(server.requests) == 1


def test_cookies_do_not_leak_into_the_next_request(tmp_path: Path) -> None:
    with web(lambda seen: (200, {"Set-Cookie": "sid=canary-cookie; Path=/; HttpOnly"}, b"")) as server:
        context = plain(tmp_path, server.port)
        answer = ask_shop(context)
        ask_shop(context)
    assert answer.headers[-2:-1] == (("Set-Cookie", "sid=canary-cookie; Path=/; HttpOnly"),)
    assert answer.exchange.header("set-cookie") == "sid=[redacted]; Path=/; HttpOnly"
    assert "Cookie" not in server.requests[1].headers


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_refusing_or_failing_answer_is_an_answer(tmp_path: Path, status: int) -> None:
    with web(lambda seen: (status, {}, b"")) as server:
        assert ask_shop(plain(tmp_path, server.port)).exchange.status == status
        assert len(server.requests) == 1


# -- secrets


def test_credentials_are_sent_and_never_told(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary-secret-1\n")
    with web(lambda seen: (200, {"Authorization": "Bearer x"}, seen.headers["Authorization"].encode())) as server:
        exchange = ask_shop(plain(tmp_path, server.port, authentication={"bearer": {"file": "secret"}})).exchange
        basic = {"basic": {"user": "u", "password": {"file": "secret"}}}
        other = ask_shop(plain(tmp_path, server.port, authentication=basic)).exchange
    assert server.requests[0].headers["Authorization"] == "Bearer canary-secret-1"
    assert server.requests[1].headers["Authorization"].startswith("Basic ")
    for each in (exchange, other):
        assert "canary-secret-1" not in repr(each)
        assert server.requests[1].headers["Authorization"][6:] not in repr(each)
        assert each.header("authorization") == "[redacted]"


def test_missing_and_short_secrets_are_configuration_problems(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("abc")
    for name in ("short", "absent"):
        told = problem(plain(tmp_path, 9, authentication={"bearer": {"file": name}}))
        assert told.kind == "configuration"
        assert name in told.message
        assert "abc" not in told.message.replace(str(tmp_path), "")


def test_query_values_of_secret_names_are_not_told(tmp_path: Path) -> None:
    told = problem(plain(tmp_path, 9), Request("GET", "/x?api_key=canary-key&page=2"))
    assert "canary-key" not in str(told)
    assert "page=2" in str(told)


# -- bodies


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("br", brotli.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
        ("gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
    ],
)
def test_decodes_compressed_bodies(tmp_path: Path, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    content = b'{"status": "pass", "more": "' + b"x" * 70_000 + b'"}'
    with web(lambda seen: (200, {"Content-Encoding": encoding}, pack(content))) as server:
        assert ask_shop(plain(tmp_path, server.port)).text.encode() == content


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("br", b"abc"),
        ("br", brotli.compress(b"x" * 9999)[:-3]),
        ("zstd", b"abc"),
        ("gzip", b"no gzip at all"),
        ("gzip", gzip.compress(b"x" * 9999, mtime=0)[:-20]),
    ],
)
def test_broken_or_unasked_encodings_are_problems(tmp_path: Path, encoding: str, content: bytes) -> None:
    with web(lambda seen: (200, {"Content-Encoding": encoding}, content)) as server:
        assert problem(plain(tmp_path, server.port)).kind == "protocol"


def test_a_gzip_bomb_and_an_endless_body_stay_small(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"\0" * MIB) for _ in range(300)) + packer.flush()

    def endless(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65_536)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with web(lambda seen: (200, {"Content-Encoding": "gzip"}, bomb)) as server, raw_server(endless) as port:
        for each in (server.port, port):
            exchange = ask_shop(plain(tmp_path, each)).exchange
            assert exchange.truncated
            assert exchange.size == MIB
            with pytest.raises(EvidenceProblem, match="larger than was read"):
                _ = exchange.text
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 64


@pytest.mark.parametrize(
    "charset", ["latin-1", "LATIN-1", "idna", "zlib", "no-such", "x" * 5000, "utf-7\x01", "rot13", "undefined"]
)
def test_any_charset_gives_text(tmp_path: Path, charset: str) -> None:
    with raw_server(
        answers_with(
            f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset={charset}\r\nContent-Length: 4\r\n\r\n".encode()
            + b"caf\xe9"
        )
    ) as port:
        text = ask_shop(plain(tmp_path, port)).text
    assert text == ("café" if charset.lower() == "latin-1" else "caf�") or charset.startswith("utf-7")


# -- hostile and broken servers


def drip_headers(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n"[:1])
        time.sleep(0.05)


def drip_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def drip_until_closed(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def endless_chunk_line(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;")
    while True:
        connection.sendall(b"x" * 65_536)


def endless_continue(connection: socket.socket) -> None:
    read_request(connection)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def silent(connection: socket.socket) -> None:
    time.sleep(10)


def reset(connection: socket.socket) -> None:
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("speak", "kinds"),
    [
        (drip_headers, ("timeout",)),
        (drip_body, ("timeout",)),
        (drip_until_closed, ("timeout",)),
        (endless_continue, ("timeout",)),
        (silent, ("timeout",)),
        (endless_chunk_line, ("protocol", "reset", "timeout")),
        (reset, ("reset",)),
        (answers_with(b""), ("reset",)),
        (answers_with(HEAD + b"Content-Length: 100\r\n\r\nshort"), ("reset",)),
        (answers_with(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"), ("reset",)),
        (answers_with(b"SSH-2.0-OpenSSH_9\r\n\x1b[31mred"), ("protocol",)),
        (answers_with(b"\x15\x03\x01\x00\x02\x02"), ("protocol", "reset")),
        (answers_with(HEAD + b"X: y\r\n" * 100_000 + b"\r\n"), ("protocol", "too-large", "reset")),
        (answers_with(HEAD + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n"), ("protocol", "too-large", "reset")),
        (
            answers_with(HEAD + b"".join(b"%c: %s\r\n" % (name, b"y" * 60_000) for name in b"XYZ") + b"\r\n"),
            ("too-large",),
        ),
    ],
)  # fmt: skip
def test_hostile_servers_end_in_time_with_one_clean_problem(
    tmp_path: Path, speak: Callable[[socket.socket], None], kinds: tuple[str, ...]
) -> None:
    with raw_server(speak) as port:
        started = time.monotonic()
        told = problem(plain(tmp_path, port), seconds=0.8, retry=False)
        assert time.monotonic() - started < 2
    assert told.kind in kinds, told
    assert told.message.startswith(f"GET http://127.0.0.1:{port}/base/x")
    assert told.message.isprintable()
    assert len(told.message) < 700


def test_a_connection_that_is_used_again_is_held_to_the_next_deadline(tmp_path: Path) -> None:
    """And it really ends when it is closed: nothing of ours keeps it open."""
    ended = threading.Event()

    def speak(connection: socket.socket) -> None:
        for _ in range(3):
            read_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        with contextlib.suppress(OSError):
            drip_headers(connection)
        ended.set()

    with raw_server(speak) as port:
        context = plain(tmp_path, port)
        for _ in range(3):
            assert ask_shop(context, seconds=0.5).exchange.text == "ok"
            time.sleep(0.3)
        started = time.monotonic()
        found = problem(context, seconds=0.5)
        assert 0.3 < time.monotonic() - started < 2
        assert found.kind == "timeout"
        assert ended.wait(2)


def test_a_connection_that_is_closed_is_closed_for_the_peer(tmp_path: Path) -> None:
    seen: list[bytes] = []
    ended = threading.Event()

    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.settimeout(5)
        seen.append(connection.recv(1))
        ended.set()

    with raw_server(speak) as port:
        context = plain(tmp_path, port)
        ask_shop(context)
        assert not ended.wait(0.2)
        context.close()
        assert ended.wait(2)
    assert seen == [b""]


def test_tls_handshakes_that_never_end_are_ended(tmp_path: Path) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")
        while True:
            connection.sendall(b"\x02")
            time.sleep(0.05)

    with raw_server(drip) as port:
        context = context_for(tmp_path, services={"shop": {"url": f"https://localhost:{port}"}})
        assert problem(context, seconds=0.6, retry=False).kind == "timeout"


# -- one further try, always told


def test_a_reset_connection_is_tried_once_more_and_noted(tmp_path: Path) -> None:
    turns = iter([reset])

    def speak(connection: socket.socket) -> None:
        next(turns, answers_with(HEAD + b"Content-Length: 2\r\n\r\nok"))(connection)

    with raw_server(speak) as port:
        deadline = Deadline(5)
        assert client_of(plain(tmp_path, port), "shop").ask(GET, deadline).text == "ok"
    assert len(deadline.notes) == 1
    assert "tried again once" in deadline.notes[0]


def test_a_write_that_may_have_arrived_is_never_sent_twice(tmp_path: Path) -> None:
    connections = []

    def speak(connection: socket.socket) -> None:
        connections.append(1)
        reset(connection)

    with raw_server(speak) as port:
        assert problem(plain(tmp_path, port), Request("POST", "/x", json={})).kind == "reset"
    assert len(connections) == 1


def test_a_write_that_could_not_be_sent_is_tried_again(tmp_path: Path) -> None:
    with raw_server(silent) as port:
        pass
    deadline = Deadline(5)
    with pytest.raises(EvidenceProblem) as caught:
        client_of(plain(tmp_path, port), "shop").ask(Request("POST", "/x", json={}), deadline)
    assert caught.value.problem.kind == "refused"
    assert len(deadline.notes) == 1


# -- TLS


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("shop.example", "localhost").configure_cert(context)
    return context


def secure(root: Path, port: int, ca: trustme.CA | None, name: str = "shop.example", **tls: Any) -> Context:
    if ca is not None:
        ca.cert_pem.write_to_path(str(root / "ca.pem"))
        tls["ca"] = "ca.pem"
    return context_for(
        root, services={"shop": {"url": f"https://{name}:{port}", "connect_to": f"127.0.0.1:{port}", "tls": tls}}
    )


def test_connects_elsewhere_while_name_and_sni_stay(tmp_path: Path, ca: trustme.CA, server_tls: ssl.SSLContext) -> None:
    names = []
    server_tls.sni_callback = lambda sock, name, context: names.append(name)
    with web(ok, server_tls) as server:
        assert ask_shop(secure(tmp_path, server.port, ca)).exchange.address == f"127.0.0.1:{server.port}"
    server_tls.sni_callback = None
    assert names == ["shop.example"]
    assert server.requests[0].headers["Host"] == f"shop.example:{server.port}"


def test_an_unknown_ca_is_told_with_what_to_do(tmp_path: Path, server_tls: ssl.SSLContext) -> None:
    with web(ok, server_tls) as server:
        told = problem(secure(tmp_path, server.port, None))
        other = problem(secure(tmp_path, server.port, trustme.CA()))
    for each in (told, other):
        assert each.kind == "tls"
        assert "name a private CA in tls.ca" in each.hint
    assert server.requests == []


def test_a_certificate_of_another_name_is_refused(tmp_path: Path, ca: trustme.CA, server_tls: ssl.SSLContext) -> None:
    with web(ok, server_tls) as server:
        told = problem(secure(tmp_path, server.port, ca, "bank.example"))
    assert told.kind == "tls"
    assert "bank.example" in told.message


def test_verification_is_off_only_where_declared(tmp_path: Path, server_tls: ssl.SSLContext) -> None:
    with web(ok, server_tls) as server:
        assert ask_shop(secure(tmp_path, server.port, None, verify="off")).exchange.status == 200


def test_shows_a_client_certificate(tmp_path: Path, ca: trustme.CA) -> None:
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("shop.example").configure_cert(server_tls)
    server_tls.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(server_tls)
    client = ca.issue_cert("prodcheck@shop.example")
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    with web(ok, server_tls) as server:
        context = secure(tmp_path, server.port, ca, certificate="client.pem", key="client.key")
        assert ask_shop(context).exchange.status == 200
        assert server.requests[0].peer_certificate
        assert problem(secure(tmp_path, server.port, ca), retry=False).kind in ("denied", "reset")


@pytest.mark.parametrize("tls", [{"ca": "nothing.pem"}, {"ca": "garbage.pem"}, {"certificate": "garbage.pem"}])
def test_unusable_files_are_configuration_problems(tmp_path: Path, tls: dict[str, str]) -> None:
    (tmp_path / "garbage.pem").write_text("no certificate")
    told = problem(context_for(tmp_path, services={"shop": {"url": "https://localhost:9", "tls": tls}}))
    assert told.kind == "configuration"
    assert next(iter(tls.values())) in told.message


def test_plain_http_on_a_tls_port_is_told(tmp_path: Path) -> None:
    with web(ok) as server:
        context = context_for(tmp_path, services={"shop": {"url": f"https://localhost:{server.port}"}})
        told = problem(context, retry=False)
    assert told.kind == "tls"
    assert "does it speak TLS" in told.hint


# -- proxies


def test_goes_through_a_proxy(tmp_path: Path) -> None:
    with web(lambda seen: (200, {}, seen.path.encode())) as proxy:
        context = context_for(
            tmp_path, services={"shop": {"url": "http://shop.example", "proxy": f"http://127.0.0.1:{proxy.port}"}}
        )
        assert ask_shop(context).text == "http://shop.example/x"


def test_tunnels_through_a_proxy_with_the_names_own_certificate(
    tmp_path: Path, ca: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    asked_for = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                sink.sendall(piece)

    def tunnel(connection: socket.socket) -> None:
        asked_for.append(read_request(connection).split()[1])
        with socket.create_connection(("127.0.0.1", server.port)) as onward:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pump, args=(onward, connection), daemon=True)
            back.start()
            pump(connection, onward)

    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with web(ok, server_tls) as server, raw_server(tunnel) as port:
        service = {"url": "https://shop.example", "proxy": f"http://127.0.0.1:{port}", "tls": {"ca": "ca.pem"}}
        context = context_for(tmp_path, services={"shop": service})
        assert ask_shop(context).exchange.status == 200
        assert ask_shop(context).exchange.status == 200
        context.close()
    assert asked_for == [b"shop.example:443"]


def test_a_proxy_and_connect_to_exclude_each_other(tmp_path: Path) -> None:
    told = problem(plain(tmp_path, 9, proxy="http://127.0.0.1:9", connect_to="127.0.0.1:9"))
    assert told.kind == "configuration"


def test_seconds_leave_out_the_connection_but_whole_has_it(tmp_path: Path) -> None:
    with web(ok) as server:
        answer = ask_shop(plain(tmp_path, server.port))
    assert answer.exchange.seconds <= answer.whole


def test_seen_is_what_the_server_saw(tmp_path: Path) -> None:
    seen: list[Seen] = []

    def answer(each: Seen) -> tuple[int, dict[str, str], bytes]:
        seen.append(each)
        return 200, {}, b""

    with web(answer) as server:
        ask_shop(plain(tmp_path, server.port), Request("POST", "/login", form={"user": "ü", "password": "a b&c"}))
    assert seen[0].body == b"user=%C3%BC&password=a+b%26c"
    assert seen[0].headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_header_may_be_a_secret(tmp_path: Path) -> None:
    """An API key goes out as it is, and is blanked where the answer says it back."""
    (tmp_path / "key").write_text("an-api-key-of-ours\n", encoding="utf-8")
    seen: list[Seen] = []

    def echo(request: Seen) -> tuple[int, dict[str, str], bytes]:
        seen.append(request)
        return 200, {"X-Said": request.headers["X-Api-Key"]}, request.headers["X-Api-Key"].encode()

    with web(echo) as server:
        context = plain(tmp_path, server.port, headers={"X-Api-Key": {"file": "key"}})
        answer = ask_shop(context)
    assert seen[0].headers["X-Api-Key"] == "an-api-key-of-ours"
    assert "an-api-key" not in context.redactor.redact(str(answer.exchange))
