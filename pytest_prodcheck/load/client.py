"""HTTP/1.1 over gevent's sockets: requests whose bytes are made once, answers read by geventhttpclient's parser.

Runs inside Locust, which has patched the standard library. Nothing is sent twice, but for one case: a kept connection
that rested and whose server closed it just as it was used again.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_prodcheck.load.answer import Answer

CHUNK = 65_536
RESTED = 1.0  # seconds of rest after which a server may have closed a kept connection
clock = time.perf_counter


class Failed(Exception):
    """A request without an answer; the message is the reason that is counted."""


@dataclass
class Call:
    """One endpoint: the bytes to send and what has to come back."""

    name: str
    client: Client
    method: str
    raw: bytes
    safe: bool
    statuses: frozenset[int]
    content_type: str
    contains: bytes
    timeout: float
    largest: int

    def trouble(self, answer: Answer) -> str:
        """Why an answer is not as it has to be, "" where it is."""
        status: int = answer.get_code()
        if status not in self.statuses:
            return f"answered {status}"
        if self.content_type:
            given = str(answer.get("content-type", "")).partition(";")[0].strip().lower()
            if given != self.content_type:
                return f"answered {given or 'no content type'}"
        if self.contains and self.contains not in answer.body:
            return "the declared text is missing"
        return ""


class Connection:
    """One connection, for one request at a time. deadline: when `Client.reap` ends it."""

    __slots__ = ("deadline", "expired", "sock", "used")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.used = 0.0
        self.deadline = 0.0
        self.expired = False

    def alive(self) -> bool:
        """Whether the server has not closed it while it rested."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Closes it."""
        self.sock.close()


class Client:
    """Connections to one service, kept for the next request."""

    def __init__(self, plain: Mapping[str, Any]) -> None:
        self.addresses: list[tuple[int, tuple[Any, ...]]] = [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, (ip, port)) for ip, port in plain["addresses"]
        ]
        self.server_name = str(plain["server_name"])
        self.tls = _tls(plain["tls"]) if plain["tls"] is not None else None
        self.busy: dict[Connection, None] = {}
        self._idle: deque[Connection] = deque()
        self._turn = 0

    def ask(self, call: Call) -> tuple[Answer, bool]:
        """The answer to a request, and whether it was sent a second time; raises Failed."""
        connection = self._take(call.timeout)
        rested = connection.used and clock() - connection.used > RESTED
        try:
            return self._exchange(connection, call), False
        except _ClosedAtOnce:
            if not (rested and call.safe):
                raise Failed("connection reset") from None
        return self._exchange(self._open(call.timeout), call), True

    def reap(self, now: float) -> None:
        """Ends the exchanges whose time is up."""
        for connection in [each for each in self.busy if each.deadline < now and not each.expired]:
            connection.expired = True
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                connection.sock.close()

    def _take(self, timeout: float) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.alive():
                return connection
            connection.close()
        return self._open(timeout)

    def _open(self, timeout: float) -> Connection:
        """A new connection to the next address; raises Failed."""
        self._turn += 1
        family, address = self.addresses[self._turn % len(self.addresses)]
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address)
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_hostname=self.server_name)
            sock.settimeout(None)
            return Connection(sock)
        except TimeoutError:
            reason = "timed out while connecting"
        except ssl.SSLError as error:
            reason = f"TLS: {error.reason or error}"
        except ConnectionRefusedError:
            reason = "connection refused"
        except OSError as error:
            reason = f"cannot connect: {error.strerror or error}"
        sock.close()
        raise Failed(reason)

    def _exchange(self, connection: Connection, call: Call) -> Answer:
        answer = Answer(call.method)
        connection.deadline = clock() + call.timeout
        self.busy[connection] = None
        begun = False
        try:
            connection.sock.sendall(call.raw)
            while not answer.message_complete or answer.get_code() < 200:
                data = connection.sock.recv(CHUNK)
                if not data and not _ends_by_closing(answer):
                    raise ConnectionResetError
                begun = begun or bool(data)
                answer.feed(data)
                if len(answer.body) > call.largest:
                    raise Failed(f"the answer is larger than {call.largest} bytes")
        except Failed:
            self._drop(connection)
            raise
        except OSError:
            self._drop(connection)
            if connection.expired:
                raise Failed(f"not answered within {call.timeout:g} s") from None
            raise (Failed("connection reset inside the answer") if begun else _ClosedAtOnce()) from None
        except Exception as error:  # the parser's: no HTTP
            self._drop(connection)
            raise Failed(f"no HTTP answer ({type(error).__name__})") from None
        del self.busy[connection]
        if connection.expired or answer.should_close():
            connection.close()
        else:
            connection.used = clock()
            self._idle.append(connection)
        return answer

    def _drop(self, connection: Connection) -> None:
        self.busy.pop(connection, None)
        connection.close()


class _ClosedAtOnce(Exception):
    """The connection ended before a byte of the answer came."""


def _ends_by_closing(answer: Answer) -> bool:
    """Whether the end of the connection is the end of the answer (RFC 9112, 6.3)."""
    return bool(answer.headers_complete and answer.get("content-length") is None) and "chunked" not in str(
        answer.get("transfer-encoding", "")
    )


def _tls(plain: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=plain["ca"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not plain["verify"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if plain["certificate"]:
        context.load_cert_chain(plain["certificate"], plain["key"], password="")
    return context


def calls(plan: Mapping[str, Any]) -> dict[str, Call]:
    """The endpoints of a plan, ready to be sent."""
    clients = {name: Client(each) for name, each in plan["clients"].items()}
    return {
        name: Call(
            name,
            clients[each["client"]],
            each["method"],
            each["raw"].encode("latin-1"),
            each["safe"],
            frozenset(each["statuses"]),
            each["content_type"],
            each["contains"].encode(),
            each["timeout"],
            each["largest"],
        )
        for name, each in plan["endpoints"].items()
    }
