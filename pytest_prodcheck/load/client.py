"""HTTP over gevent's sockets: requests whose bytes are made once, answers read by geventhttpclient's parser or by h2.

Runs inside Locust, which has patched the standard library. Requests go to all addresses in turn, over several
connections that are replaced now and then, as users' are: a balancer in front of the service has to see more than one
client. A request that changes nothing is sent a second time in one case: its connection had been used before and ended
without a byte of an answer, or with 408 (RFC 9110, 9.2.2: clients do so, for a server may end a kept connection at any
time).
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pytest_prodcheck.answers.decoding import BodyError
from pytest_prodcheck.answers.expected_answers import ExpectedAnswer, SameAnswer, first_mismatch
from pytest_prodcheck.http2 import OFFERED, Http2, Http2Error
from pytest_prodcheck.load.answer import Answer, OddHead
from pytest_prodcheck.load.counters import Phases
from pytest_prodcheck.load.histogram import Histogram
from pytest_prodcheck.load.http2 import Http2Answer, ask
from pytest_prodcheck.load.request_errors import OWN
from pytest_prodcheck.load.templates import Template

CHUNK = 65_536
SPREAD = 16  # connections to an address that are opened before one is used again
WORN_REQUESTS = 100  # requests after which a connection is replaced
WORN_SECONDS = 10.0  # age at which a connection is replaced
RESTED = 1.0  # seconds after which a connection is not used for what cannot be sent twice: its end may be on the way
IDLE = 408  # said of a connection that rested too long, when the next request is on its way (RFC 9110, 15.5.9)
NEXT_ADDRESS = 1.0  # seconds that a connection may take before the next of several addresses is tried
clock = time.perf_counter


class RequestFailed(Exception):
    """A request without an answer; the message is the reason that is counted."""


class TimedOut(RequestFailed):
    """Nothing whole came in time: its answer would have taken at least that long."""


class OwnShortage(Exception):
    """Nothing was sent, which says nothing of the server's answers. The message says what was short."""


@dataclass
class Address:
    """One address behind a service's name, and what became of it."""

    family: int
    where: tuple[Any, ...]
    ring: deque[Connection] = field(default_factory=deque)  # those that are open, the one whose turn it is first
    connections: int = 0  # that were made
    http2: int = 0  # of them, those that speak it
    refused: int = 0  # that could not be made
    requests: int = 0
    failed: int = 0

    def __str__(self) -> str:
        """Address and port as people write them."""
        ip, port = self.where[0], self.where[1]
        return f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}"


@dataclass
class Call:
    """One endpoint, or one step of a flow: what to send and what has to come back."""

    name: str
    client: Client
    method: str
    template: Template
    safe: bool
    wanted: ExpectedAnswer
    timeout: float
    ends: float | None = None  # when the token in it ends, epoch seconds, as far as that is known
    same: SameAnswer | None = None  # where no status is declared and all requests are the same
    keep: int = 0  # bytes of a body that are kept: samples are held against a JSON Schema afterwards

    def trouble(self, answer: Answer | Http2Answer) -> str:
        """Why an answer is not as it has to be, "" where it is."""
        code = answer.get_code()
        why = first_mismatch(self.wanted, code, answer.media_type, lambda: answer.holds_text, lambda: answer.kept_text)
        return why or (self.same.mismatch(code) if self.same is not None else "")


class Connection:
    """One connection, for one request at a time. deadline: when `Client.reap` ends it; http2: where it speaks that."""

    __slots__ = ("address", "deadline", "expired", "http2", "made", "requests", "rests", "sock")

    def __init__(self, sock: socket.socket, address: Address, http2: Http2 | None) -> None:
        self.sock, self.address, self.http2 = sock, address, http2
        self.made = self.rests = clock()
        self.requests = 0
        self.deadline = 0.0
        self.expired = False

    def alive(self) -> bool:
        """Whether the server has not closed it while it rested."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0) or (self.http2 is not None and self._goes_on(self.http2))

    def _goes_on(self, http2: Http2) -> bool:
        """Takes what a server says between two answers: settings, pings, or that it leaves."""
        try:
            self.sock.settimeout(0.0)
            while data := self.sock.recv(CHUNK):
                http2.receive(data)
        except (BlockingIOError, ssl.SSLWantReadError):
            self.sock.settimeout(None)
            return not http2.closing
        except (OSError, Http2Error):
            pass
        return False

    def worn(self, call: Call) -> bool:
        """Whether a user would have a new one by now for a request."""
        now = clock()
        rested = not call.safe and now - self.rests > RESTED
        return rested or self.requests >= WORN_REQUESTS or now - self.made > WORN_SECONDS

    def close(self) -> None:
        """Closes it."""
        with suppress(ValueError):
            self.address.ring.remove(self)
        self.sock.close()


class Client:
    """Connections to one service, kept for the next requests."""

    def __init__(self, plain: Mapping[str, Any]) -> None:
        self.addresses: list[Address] = []
        self.left: list[Address] = []  # those that the name does not have any more
        self.move(plain["addresses"])
        self.server_name = str(plain["server_name"])
        self.tls = _tls(plain["tls"], plain["http"]) if plain["tls"] is not None else None
        self.http2_only = plain["http"] == "2"
        self.busy: dict[Connection, None] = {}
        self.opening: dict[socket.socket, float] = {}  # in their handshakes; until when
        self._turn = 0
        self.phases: Phases = {}

    def move(self, addresses: Sequence[Sequence[Any]]) -> None:
        """Goes to these [ip, port] from now on; what is under way elsewhere ends there."""
        known = {each.where: each for each in (*self.addresses, *self.left)}
        wanted = dict.fromkeys((ip, port) for ip, port in addresses)
        self.addresses = [known[each] if each in known else _address(*each) for each in wanted]
        self.left = [each for each in known.values() if each not in self.addresses]
        for each in self.left:
            for connection in [connection for connection in each.ring if connection not in self.busy]:
                connection.close()

    def take_phases(self) -> Phases:
        """How long the phases took since this was asked last."""
        found, self.phases = self.phases, {}
        return found

    def _record_phase(self, call: Call, phase: str, seconds: float) -> None:
        times = self.phases.get((call.name, phase))
        if times is None:
            times = self.phases[call.name, phase] = Histogram()
        times.record(int(seconds * 1e6))

    def ask(self, call: Call, raw: bytes, end: float) -> tuple[Answer | Http2Answer, bool]:
        """The answer to a request, and whether it was sent a second time; raises RequestFailed and OwnShortage.

        end: by `clock`; one deadline for connecting, TLS, sending, the answer to its last byte, and a repetition.
        """
        connection = self._borrow_connection(call, end)
        used = connection.requests > 0
        try:
            answer = self._exchange(connection, call, raw, end)
            if not (used and call.safe and answer.get_code() == IDLE and IDLE not in call.wanted.statuses):
                return answer, False
        except _ClosedAtOnce as closed:
            if not (used and call.safe) and not closed.unprocessed:
                connection.address.failed += 1
                raise RequestFailed("connection reset") from None
        try:
            return self._exchange(self._open(call, end), call, raw, end), True
        except _ClosedAtOnce:
            raise RequestFailed("connection reset, also on a new connection") from None

    def reap(self, now: float) -> None:
        """Ends the handshakes and the exchanges whose time is up."""
        for sock in [sock for sock, deadline in self.opening.items() if deadline < now]:
            del self.opening[sock]
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # an SSLSocket's own forgets its session before
        for connection in [each for each in self.busy if each.deadline < now and not each.expired]:
            connection.expired = True
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                connection.sock.close()

    def _borrow_connection(self, call: Call, end: float) -> Connection:
        """The kept connection whose turn it is, or a new one while there are few, or where that one is busy.

        Whoever takes any that rests avoids the slow one of several servers behind a balancer, which users cannot.
        """
        address = self.addresses[self._turn % len(self.addresses)]
        while len(address.ring) >= SPREAD:
            connection = address.ring.popleft()  # others get their turn while it is looked at
            if connection in self.busy:
                address.ring.append(connection)
                break
            if connection.alive() and not connection.worn(call):
                address.ring.append(connection)
                self._turn += 1
                return connection
            connection.close()
        return self._open(call, end)

    def _open(self, call: Call, end: float) -> Connection:
        """A new connection to the next address that accepts one; raises RequestFailed and OwnShortage.

        As browsers do: TLS that fails at an address is the user's failure, whatever the next address would do.
        """
        count = len(self.addresses)
        reason: RequestFailed = RequestFailed("connection refused")
        first = self._turn  # others take turns while this one connects
        self._turn += 1
        for place in range(first, first + count):
            address = self.addresses[place % count]
            until = end if place == first + count - 1 else min(end, clock() + NEXT_ADDRESS)
            try:
                sock: Any = self._connect(address, call, until)
            except RequestFailed as failure:
                address.refused += 1
                reason = failure
                continue
            http2 = None
            if self.tls is not None:
                try:
                    sock = self._encrypt(self.tls, sock, call, end)
                except RequestFailed:
                    address.refused += 1
                    raise
                http2 = Http2() if sock.selected_alpn_protocol() == OFFERED[0] else None
            if http2 is None and self.http2_only:
                sock.close()
                raise OwnShortage("the service did not negotiate HTTP/2, which the load requires")
            sock.settimeout(None)
            address.connections += 1
            address.http2 += http2 is not None
            address.ring.append(made := Connection(sock, address, http2))
            return made
        raise reason

    def _connect(self, address: Address, call: Call, end: float) -> socket.socket:
        began, sock = clock(), None
        try:
            sock = socket.socket(address.family, socket.SOCK_STREAM)
            sock.settimeout(max(end - began, 0.001))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address.where)
        except OSError as error:
            if sock is not None:
                sock.close()
            raise _connection_failure(error, "while connecting", call, late=clock() >= end) from None
        self._record_phase(call, "connect", clock() - began)
        return sock

    def _encrypt(self, tls: ssl.SSLContext, plain: socket.socket, call: Call, end: float) -> Any:
        began = clock()
        sock: Any = plain
        try:
            plain.settimeout(max(end - began, 0.001))
            sock = tls.wrap_socket(
                plain, server_hostname=self.server_name, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )  # an answer that ends with the connection is whole only where TLS says so (RFC 9112, 9.8)
            self.opening[sock] = end  # a time-out is one of each read: who sends a byte now and then meets none
            sock.do_handshake()
        except OSError as error:
            sock.close()
            raise _connection_failure(error, "in the TLS handshake", call, late=clock() >= end) from None
        finally:
            self.opening.pop(sock, None)
        self._record_phase(call, "tls", clock() - began)
        return sock

    def _exchange(self, connection: Connection, call: Call, raw: bytes, end: float) -> Answer | Http2Answer:
        http2 = connection.http2
        answer: Answer | Http2Answer
        if http2 is None:
            answer = Answer(call.method, call.wanted.contains, call.keep)
        else:
            answer, raw = Http2Answer(http2, call.wanted.contains, call.keep), ask(http2, raw)
        connection.deadline = end
        connection.requests += 1
        connection.address.requests += 1
        self.busy[connection] = None
        begun = 0.0  # when the first byte came
        sent = clock()
        try:
            connection.sock.sendall(raw)
            while not answer.done:
                data = connection.sock.recv(CHUNK)
                if not data and not answer.ends_by_closing():
                    raise ConnectionResetError
                came = clock()
                try:
                    answer.feed(data)
                except OddHead as odd:
                    answer = odd.answer
                if answer.begun:
                    begun = begun or came
                answer.take()
                if http2 is not None and (more := http2.out()):
                    connection.sock.sendall(more)
        except OSError as error:
            self._discard(connection)
            if connection.expired:
                connection.address.failed += 1
                part = " whole" if begun else ""
                raise TimedOut(f"not{part} answered within {call.timeout:g} s") from None
            if error.errno in OWN:
                raise OwnShortage(f"this machine could not send: {error.strerror}") from None
            if not begun:
                raise _ClosedAtOnce from None
            connection.address.failed += 1
            raise RequestFailed("connection reset inside the answer") from None
        except BodyError as error:
            self._discard(connection)
            raise RequestFailed(f"the answer cannot be read: {error}") from None
        except Http2Error as error:
            self._discard(connection)
            if error.unprocessed:
                raise _ClosedAtOnce(unprocessed=True) from None
            connection.address.failed += 1
            raise RequestFailed("no HTTP answer (malformed HTTP/2)" if error.malformed else str(error)) from None
        except Exception as error:  # the parser's: no HTTP
            self._discard(connection)
            connection.address.failed += 1
            raise RequestFailed(f"no HTTP answer ({type(error).__name__})") from None
        self._record_phase(call, "first-byte", begun - sent)
        self._record_phase(call, "last-byte", clock() - begun)
        del self.busy[connection]
        if connection.expired or answer.should_close() or connection.address in self.left:
            connection.close()
        else:
            connection.rests = clock()
        return answer

    def _discard(self, connection: Connection) -> None:
        self.busy.pop(connection, None)
        connection.close()


class _ClosedAtOnce(Exception):
    """No byte of the answer came before the end. unprocessed: the server said that it did nothing of the request."""

    def __init__(self, *, unprocessed: bool = False) -> None:
        super().__init__()
        self.unprocessed = unprocessed


def _connection_failure(error: OSError, step: str, call: Call, *, late: bool) -> RequestFailed | OwnShortage:
    """Why there is no connection. late: past its end, where the error is that of the end."""
    if error.errno in OWN:
        return OwnShortage(f"this machine could not connect: {error.strerror}")
    if late or isinstance(error, TimeoutError):
        return TimedOut(f"timed out {step}: {call.timeout:g} s")
    if isinstance(error, ssl.SSLError):
        return RequestFailed(f"TLS: {error.reason or error}")
    if isinstance(error, ConnectionRefusedError):
        return RequestFailed("connection refused")
    return RequestFailed(f"cannot connect: {error.strerror or error}")


def _address(ip: str, port: int) -> Address:
    return Address(socket.AF_INET6 if ":" in ip else socket.AF_INET, (ip, port))


def _tls(plain: Mapping[str, Any], http: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=plain["ca"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(OFFERED[1:] if http == "1.1" else OFFERED)
    if not plain["verify"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if plain["certificate"]:
        context.load_cert_chain(plain["certificate"], plain["key"], password="")
    return context


def calls(plan: Mapping[str, Any], clients: Mapping[str, Client]) -> dict[str, Call]:
    """The endpoints of a plan, ready to be sent."""
    return {
        name: Call(
            name,
            clients[each["client"]],
            each["method"],
            Template(each["raw"]),
            each["safe"],
            ExpectedAnswer(**{**each["wanted"], "statuses": tuple(each["wanted"]["statuses"])}),
            each["timeout"],
            each["ends"],
            SameAnswer() if each["same"] else None,
            each["keep"],
        )
        for name, each in plan["endpoints"].items()
    }
