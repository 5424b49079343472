"""The HTTP client against real local servers, the worst of them included."""

from __future__ import annotations

import gzip
import resource
import socket
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest

from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.client_calls import MIB, answers_with, ask_shop, plain, problem
from tests.evidence.http.servers import Seen, ok, read_request, web
from tests.evidence.network.speakers import raw_server

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
        return 200, {"X-HealthWord": request.headers["X-Api-Key"]}, request.headers["X-Api-Key"].encode()

    with web(echo) as server:
        context = plain(tmp_path, server.port, headers={"X-Api-Key": {"file": "key"}})
        answer = ask_shop(context)
    assert seen[0].headers["X-Api-Key"] == "an-api-key-of-ours"
    assert "an-api-key" not in context.redactor.redact(str(answer.exchange))
