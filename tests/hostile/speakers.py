"""HTTP speakers that misbehave, one a way of misbehaving; each is handed one connection at a time."""

from __future__ import annotations

import gzip
import re
import socket
import struct
import time
from collections.abc import Callable

from tests.evidence.http.servers import read_request

Speaker = Callable[[socket.socket], None]
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SHORT = JSON + b'Content-Length: 17\r\n\r\n{"status":"pass"}'
BOMB = gzip.compress(b'{"status": "pass", "x": "' + b"0" * 100_000_000 + b'"}', 9)


def _answer(*pieces: bytes) -> Speaker:
    """The same for every request of a connection."""

    def speak(connection: socket.socket) -> None:
        while read_request(connection):
            for piece in pieces:
                connection.sendall(piece)

    return speak


def _sized(body: bytes, kind: str = "application/json", *more: str) -> bytes:
    head = [f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    return b"HTTP/1.1 200 OK\r\n" + "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def _endless(head: bytes, block: bytes) -> Speaker:
    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head)
        while True:
            connection.sendall(block)

    return speak


def _dripped(before: bytes, drop: bytes) -> Speaker:
    """Each read of the client is in time, the whole never."""

    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(before)
        for _ in range(2000):
            connection.sendall(drop)
            time.sleep(0.05)

    return speak


def _silent(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def _mute_at_once(connection: socket.socket) -> None:
    reset(connection)


def _redirects(connection: socket.socket) -> None:
    while request := read_request(connection):
        number = int((re.search(rb"/hop/(\d+)", request) or [b"", b"0"])[1])
        where = f"/hop/{(number + 1) % 7}".encode()
        connection.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + where + b"\r\n\r\n")


def reset(connection: socket.socket) -> None:
    """Ends a connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def cut(connection: socket.socket) -> None:
    """Answers `/reset/N` and `/close/N` with the first N bytes of a good answer, then ends the connection."""
    request = read_request(connection)
    found = re.match(rb"GET /(reset|close)/(\d+) ", request)
    if found is None:
        connection.sendall(SHORT)
        return
    connection.sendall(SHORT[: int(found[2])])
    if found[1] == b"reset":
        time.sleep(0.02)  # else the reset may overtake what was sent
        reset(connection)


NESTED = b'{"status":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
BAD: dict[str, Speaker] = {
    "endless-body": _endless(JSON + b"\r\n", b'{"status": "pass"}' * 3000),
    "endless-chunks": _endless(JSON + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "endless-chunk-size": _endless(JSON + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
    "endless-trailers": _endless(JSON + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n" * 9000),
    "endless-headers": _endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 8000),
    "endless-header": _endless(b"HTTP/1.1 200 OK\r\nX-A: ", b"b" * 65536),
    "endless-status": _endless(b"HTTP/1.1 200 ", b"O" * 65536),
    "endless-100": _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
    "dripped-status": _dripped(b"", b"H"),
    "dripped-headers": _dripped(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "dripped-body": _dripped(JSON + b"Content-Length: 100000\r\n\r\n", b" "),
    "dripped-chunks": _dripped(JSON + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "gzip-bomb": _answer(_sized(BOMB, "application/json", "Content-Encoding: gzip")),
    "gzip-cut": _answer(_sized(BOMB[:500], "application/json", "Content-Encoding: gzip")),
    "gzip-garbage": _answer(_sized(b"\x1f\x8b" + b"garbage" * 9, "application/json", "Content-Encoding: gzip")),
    "unknown-encoding": _answer(_sized(b"xxxx", "application/json", "Content-Encoding: br, gzip, br")),
    "headers-100000": _answer(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000 + b"Content-Length: 0\r\n\r\n"),
    "silent": _silent,
    "resets": _mute_at_once,
    "closes": lambda connection: connection.close(),
    "no-http": _endless(b"", b"SSH-2.0-OpenSSH_9.7\r\n" * 3000),
    "zeros": _endless(b"", b"\0" * 65536),
    "bad-length": _answer(JSON + b'Content-Length: -5\r\nContent-Length: x\r\n\r\n{"status":"fail"}'),
    "bad-status": _answer(b"HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n"),
    "nested": _answer(_sized(NESTED)),
    "utf-16": _answer(_sized('{"status":"pass"}'.encode("utf-16"))),
    "no-utf-8": _answer(_sized(b'{"status": "\xff\xfe\xc3\x28pass"}')),
    "charset-of-nobody": _answer(_sized(b'{"status": "fail"}', "application/json; charset=../../etc/passwd")),
    "charset-base64": _answer(_sized(b'{"status": "down"}', "application/json; charset=base64")),
    "redirect-loop": _redirects,
    "huge-number": _answer(_sized(b'{"status": ' + b"9" * 900_000 + b"}")),
    "nan": _answer(_sized(b'{"status": NaN}')),
}
