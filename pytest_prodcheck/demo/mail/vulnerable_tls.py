"""Servers with bugs of OpenSSL's and others' past, which no OpenSSL of today has: played between real TLS records."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, HEARTBEAT = 21, 20, 22, 24
_BAD_RECORD_MAC, _DECRYPT_ERROR = 20, 51
_CLIENT_KEY_EXCHANGE = 16
# what a buggy server makes of a record (kind, body): what it says, b"" for nothing odd, None for silence
Odd = Callable[[int, bytes], bytes | None]
Bug = Callable[[], Odd]  # made anew for each connection


def serve(sock: socket.socket, context: ssl.SSLContext, bug: Bug) -> None:
    """A TLS server on a connection; every record is shown to the bug first. What the bug says ends the connection."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    odd = bug()
    while (record := _record(sock)) is not None:
        said = odd(record[0], record[5:])
        if said is None:
            continue
        if said:
            sock.sendall(said)
            return
        incoming.write(record)
        try:
            tls.do_handshake()
            tls.read(4096)
        except ssl.SSLWantReadError:
            pass
        finally:
            if outgoing.pending:
                sock.sendall(outgoing.read())


def _record(sock: socket.socket) -> bytes | None:
    head = _exactly(sock, 5)
    body = _exactly(sock, int.from_bytes(head[3:5])) if head else None
    return head + body if head and body is not None else None


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def _tls_record(kind: int, body: bytes) -> bytes:
    return bytes([kind, 3, 3]) + len(body).to_bytes(2) + body


def heartbleed() -> Odd:
    """Gives as many bytes of its memory as a heartbeat claims to have (CVE-2014-0160)."""
    return lambda kind, body: _tls_record(HEARTBEAT, b"\x02\x40\x00" + b"\x01" * 0x4000) if kind == HEARTBEAT else b""


def early_ccs() -> Odd:
    """Takes ChangeCipherSpec before there is a key, and tries to decrypt what follows (CVE-2014-0224)."""
    kinds: list[int] = []

    def odd(kind: int, body: bytes) -> bytes | None:
        kinds.append(kind)
        if kinds == [HANDSHAKE, CHANGE_CIPHER_SPEC]:
            return None
        return _tls_record(ALERT, bytes([2, _BAD_RECORD_MAC])) if kinds[1:2] == [CHANGE_CIPHER_SPEC] else b""

    return odd


def robot(key: Any) -> Bug:
    """Tells bad RSA paddings from good ones, by another alert (ROBOT, 2017). key: its RSA key."""
    numbers = key.private_numbers()
    modulus, exponent = numbers.public_numbers.n, numbers.d
    size = (modulus.bit_length() + 7) // 8

    def odd(kind: int, body: bytes) -> bytes:
        if kind != HANDSHAKE or body[:1] != bytes([_CLIENT_KEY_EXCHANGE]) or len(body) < 6 + size:
            return b""
        padded = pow(int.from_bytes(body[6 : 6 + size]), exponent, modulus).to_bytes(size)
        return b"" if padded[:2] == b"\x00\x02" else _tls_record(ALERT, bytes([2, _DECRYPT_ERROR]))

    return lambda: odd
