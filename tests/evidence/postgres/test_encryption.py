"""First words of PostgreSQL servers: of real ones, of poolers, of what is none."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest

from pytest_prodcheck.evidence.postgres.encryption import _plaintext_outcome
from pytest_prodcheck.evidence.postgres.startup_packet import StartupResponse, start_tls, startup_response
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.network.speakers import speaker


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


def error(state: str, text: str) -> bytes:
    return message(b"E", f"SFATAL\0C{state}\0M{text}\0\0".encode())


def asks(number: int, more: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!i", number) + more)


SASL = asks(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
NO_LINE = error("28000", 'no pg_hba.conf entry for host "10.0.0.9", user "u", database "d", no encryption')


def word(said: bytes, check: Callable[[bytes], None] = lambda started: None) -> StartupResponse:
    def talk(client: socket.socket) -> None:
        check(client.recv(4096))
        for byte in said:  # in small pieces: each message is put together again
            client.sendall(bytes([byte]))

    with speaker(talk) as address:
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), 5) as sock:
            return startup_response(sock, "u", "d", address)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        (SASL, "SCRAM-SHA-256"), (asks(5, b"salt"), "MD5"), (asks(3), "plain text"), (asks(0), "nothing"),
        (asks(7), "GSSAPI"), (asks(99), "method 99"), (message(b"v", b"\0\0\0\0\0\0\0\0") + SASL, "SCRAM-SHA-256"),
    ],
)  # fmt: skip
def test_how_the_password_is_asked_for(said: bytes, asked: str) -> None:
    assert word(said) == StartupResponse(asked)


def test_a_start_holds_no_password() -> None:
    started: list[bytes] = []
    word(SASL, started.append)
    assert started[0][8:] == b"user\0u\0database\0d\0application_name\0prodcheck\0\0"


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        (NO_LINE, "refused"),
        (error("28000", "pg_hba.conf rejects connection"), "refused"),
        (error("08P01", "SSL required"), "refused"),  # PgBouncer
        (b"", "closed"),
        (SASL, "taken"),
        (asks(0), "taken"),
    ],
)
def test_what_became_of_a_plain_start(said: bytes, plain: str) -> None:
    assert _plaintext_outcome(word(said), "pg:5432") == plain


@pytest.mark.parametrize(
    "said",
    [error("53300", "sorry, too many clients already"), error("57P03", "the database system is starting up"),
     error("08P01", "unsupported startup parameter"), error("3D000", "no such database"), message(b"E", b"\0")],
)  # fmt: skip
def test_another_error_refuses_nothing(said: bytes) -> None:
    with pytest.raises(EvidenceProblem, match="refuses nothing"):
        _plaintext_outcome(word(said), "pg:5432")


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"R\xff\xff\xff\xff", message(b"Z", b"I"), b"R\0\0", b"-ERR wrong\r\n"],
)
def test_what_is_no_postgresql_is_a_problem(said: bytes) -> None:
    with pytest.raises(EvidenceProblem, match="does not speak the PostgreSQL protocol"):
        word(said)


def test_a_server_without_tls_is_told() -> None:
    import ssl

    with speaker(lambda client: client.sendall(b"N") if client.recv(8) else None) as address:
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), 5) as sock, pytest.raises(EvidenceProblem, match="no TLS"):
            start_tls(sock, ssl.create_default_context(), host, address)
