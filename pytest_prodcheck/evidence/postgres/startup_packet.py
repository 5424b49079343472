"""The first words with a PostgreSQL server: does it take a plain connection, and how does it ask for the password?

Spoken by hand, for libpq would go on and send the password. PostgreSQL documentation, "Frontend/Backend Protocol" 3.0:
StartupMessage, SSLRequest, AuthenticationRequest.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem

_VERSION, _SSL_REQUEST = 196608, 80877103
_LONGEST = 30_000  # bytes of one message, as libpq has it before a login
_METHODS = {0: "nothing", 2: "Kerberos", 3: "plain text", 5: "MD5", 7: "GSSAPI", 9: "SSPI"}
_SASL = 10


@dataclass(frozen=True)
class StartupResponse:
    """What a server says to a start: how it asks for the password, or why it will not.

    asks_for: "SCRAM-SHA-256", "MD5", "plain text", "nothing", …; "" where it refuses. state: SQLSTATE of a refusal, ""
    where the connection was closed without a word.
    """

    asks_for: str = ""
    state: str = ""
    message: str = ""


def startup_response(sock: socket.socket, user: str, database: str, where: str) -> StartupResponse:
    """Sends the start of a session and reads what comes first; no password is sent. Raises OSError, EvidenceProblem."""
    pairs = {"user": user, "database": database, "application_name": "prodcheck"}
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in pairs.items()) + b"\0"
    sock.sendall(struct.pack("!ii", len(body) + 8, _VERSION) + body)
    for _ in range(3):
        head = _read(sock, 5)
        if not head:
            return StartupResponse()
        kind, length = head[:1], struct.unpack("!i", head[1:])[0] - 4 if len(head) == 5 else -1
        if kind not in b"REvN" or not 0 <= length <= _LONGEST:
            what = f"{where}: the server does not speak the PostgreSQL protocol"
            raise EvidenceProblem(Problem("protocol", what, "is this the right port?"))
        content = _read(sock, length)
        if kind == b"R" and len(content) >= 4:
            return StartupResponse(_method(content))
        if kind == b"E":
            fields = {part[:1]: part[1:].decode(errors="replace") for part in content.split(b"\0") if part}
            return StartupResponse("", plain(fields.get(b"C", "?"), 5), plain(fields.get(b"M", "")))
    raise EvidenceProblem(Problem("protocol", f"{where}: the server never asked for a password"))


def _method(content: bytes) -> str:
    number = struct.unpack("!i", content[:4])[0]
    if number != _SASL:
        return _METHODS.get(number, f"method {number}")
    return plain(content[4:].split(b"\0")[0].decode(errors="replace"), 40).removesuffix("-PLUS")


def start_tls(sock: socket.socket, trust: ssl.SSLContext, name: str, where: str) -> ssl.SSLSocket:
    """Asks for TLS and begins it; raises OSError, EvidenceProblem (tls) where the server offers none."""
    sock.sendall(struct.pack("!ii", 8, _SSL_REQUEST))
    if sock.recv(1) != b"S":
        raise EvidenceProblem(Problem("tls", f"{where}: the server offers no TLS", "switch on ssl there"))
    return trust.wrap_socket(sock, server_hostname=name)


def _read(sock: socket.socket, size: int) -> bytes:
    """So many bytes, fewer where the connection ends."""
    found = b""
    while len(found) < size:
        piece = b""
        with contextlib.suppress(ConnectionResetError):
            piece = sock.recv(size - len(found))
        if not piece:
            break
        found += piece
    return found
