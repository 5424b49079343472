"""Connections that go where they are told and end at their deadline."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck import resource_exhaustion
from pytest_prodcheck.evidence.deadlines import ConnectionTimeout
from pytest_prodcheck.records import EvidenceProblem, Problem, ProblemKind

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

_UNREACHABLE = (
    errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.EAFNOSUPPORT,
    errno.EPERM, errno.EACCES,  # a firewall of this machine
)  # fmt: skip


@dataclass
class Route:
    """How one session finds its peer, and the state of the exchange that it now serves.

    connect_to: `(host, port)` instead of the URL's. fixed: the only address to try. turn: which of several addresses
    first.
    """

    resolve: Callable[[str, int, Deadline], Sequence[ResolvedAddress]]
    connect_to: tuple[str, int] | None = None
    fixed: ResolvedAddress | None = None
    turn: int = 0
    deadline: Deadline | None = None  # of the exchange, None between two
    peer: str = ""
    sent: bool = False  # a byte of the request may have left
    sent_at: float = 0.0  # monotonic
    _guard: ConnectionTimeout | None = None  # of the connection
    _leads_to: str = ""  # the connection's peer
    _released: bool = False

    def begin(self, deadline: Deadline) -> None:
        """Starts an exchange; `end` ends it."""
        self.deadline, self.sent, self.peer = deadline, False, ""

    def end(self) -> None:
        """Takes the deadline of the exchange from its connection."""
        self.deadline = None
        if self._guard is not None:
            self._guard.end()
        if self._released:
            self._give_up()

    def guard(self, sock: socket.socket) -> None:
        """Puts the exchange's deadline on a connection that this route did not guard last."""
        self._give_up()
        self._guard = ConnectionTimeout(sock)
        self._leads_to = ""
        with contextlib.suppress(OSError):
            self._leads_to = show_peer(sock)
        self.guard_again()

    def guard_again(self) -> None:
        """Puts the exchange's deadline on the connection that was guarded last."""
        assert self.deadline is not None
        assert self._guard is not None
        self._guard.begin(self.deadline)
        self.peer = self._leads_to

    def release(self) -> None:
        """Told when the connection is closed; what is left of an answer may still be read until the exchange ends."""
        if self.deadline is None:
            self._give_up()
        else:
            self._released = True

    def _give_up(self) -> None:
        self._released = False
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def open(self, host: str, port: int) -> socket.socket:
        """Connects to the first address that takes the connection; raises EvidenceProblem."""
        assert self.deadline is not None
        if self.connect_to is not None:
            host, port = self.connect_to
        addresses = [self.fixed] if self.fixed else list(self.resolve(host, port, self.deadline))
        if not addresses:
            raise EvidenceProblem(Problem("dns", f"{host} has no address"))
        if len(addresses) > 1:  # none that cannot be reached takes a turn (RFC 6724, rule 1)
            addresses = [each for each in addresses if has_route(each)] or addresses
        first = self.turn % len(addresses)
        problem = None
        for left, address in zip(range(len(addresses), 0, -1), addresses[first:] + addresses[:first], strict=True):
            try:
                sock = connect(address, self.deadline.seconds_left() / left)
            except EvidenceProblem as error:
                problem = problem or error  # what the preferred address said
                continue
            self.guard(sock)
            return sock
        assert problem is not None
        raise problem


def connect(address: ResolvedAddress, timeout: float) -> socket.socket:
    """A TCP connection to one address; raises EvidenceProblem (refused, unreachable, timeout, reset)."""
    where = address_text(address.ip, address.port)
    sock = None
    try:
        sock = socket.socket(socket.AF_INET6 if address.family == "IPv6" else socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((address.ip, address.port))
        return sock
    except OSError as error:
        if sock is not None:
            sock.close()
        raise EvidenceProblem(_connect_problem(error, where, timeout)) from None


def _connect_problem(error: OSError, where: str, timeout: float) -> Problem:
    if isinstance(error, ConnectionRefusedError):
        return Problem("refused", f"{where} refuses connections", "does the service run, is this its port?")
    if isinstance(error, TimeoutError):
        hint = "a firewall, or a host that is down?"
        return Problem("timeout", f"{where} did not take the connection within {timeout:.3g} s", hint)
    kind: ProblemKind = "unreachable" if error.errno in _UNREACHABLE else "reset"
    return Problem(kind, f"{where}: {error.strerror or error}")


def has_route(address: ResolvedAddress) -> bool:
    """Whether this machine has a route for TCP to an address, so not to a group of hosts; sends nothing.

    One whose only IPv6 addresses are local (fc00::/7, fe80::/10, ::1) has none to others, whatever its routes say.
    """
    family = socket.AF_INET6 if address.family == "IPv6" else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address.ip, address.port))
            if address.family == "IPv4" or _is_local(address.ip):
                return True
            return not _is_group(address.ip) and not _is_local(sock.getsockname()[0])
    except OSError:
        resource_exhaustion.note_handled_shortage()
        return False


def _is_local(ip: str) -> bool:
    from ipaddress import IPv6Address, IPv6Network

    plain = IPv6Address(ip.partition("%")[0])
    return any(plain in IPv6Network(network) for network in ("fc00::/7", "fe80::/10", "::1/128"))


def _is_group(ip: str) -> bool:
    from ipaddress import IPv6Address

    return IPv6Address(ip.partition("%")[0]).is_multicast


def bracketed(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def address_text(host: str, port: int) -> str:
    """An address as people write it: "127.0.0.1:443", "[::1]:443"."""
    return f"{bracketed(host)}:{port}"


def show_peer(sock: socket.socket) -> str:
    """The address of a connected socket's peer."""
    peer = sock.getpeername()
    return address_text(peer[0], peer[1])
