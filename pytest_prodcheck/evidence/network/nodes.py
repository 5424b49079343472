"""Declared nodes asked side by side, each at every address behind its name."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from pytest_prodcheck.evidence.network.resolving import ResolvedAddress, addresses_of, split_address
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

MARGIN = 0.3  # seconds kept of a piece's deadline to tell which node is late, instead of losing all of them
_LATE = "is it overloaded, or is a firewall in between?"
_SILENT = ("refused", "timeout", "unreachable")


class Answer(Protocol):
    """What one address said."""

    @property
    def problem(self) -> Problem | None:
        """Why it said nothing."""


A = TypeVar("A", bound=Answer)
Ask = Callable[[str, ResolvedAddress, "Deadline"], A]  # where, for messages; the address; until when
Failed = Callable[[Problem, float], A]  # makes an answer of a problem and the seconds it took


def ask_nodes(
    addresses: Sequence[str],
    ask: Callable[[str, str, ResolvedAddress, Deadline], A],
    failed: Callable[[str, Problem, float], A],
    worse: Callable[[A], bool],
    context: Context,
    deadline: Deadline,
) -> list[A]:
    """One answer for each declared "HOST:PORT", in order; a node that is late or silent has its own problem.

    ask: `(declared, where, address, deadline)`, may raise EvidenceProblem. worse: see `ask_addresses`.
    """
    part = deadline.at_most(max(deadline.seconds_left() - MARGIN, 0.05))

    def one(declared: str) -> A:
        began = time.monotonic()
        try:
            found = addresses_of(context, *split_address(declared), part)
        except EvidenceProblem as error:
            return failed(declared, error.problem, time.monotonic() - began)
        return ask_addresses(
            declared,
            found,
            lambda where, address, until: ask(declared, where, address, until),
            lambda problem, seconds: failed(declared, problem, seconds),
            worse,
            part,
        )

    answers = side_by_side([lambda each=each: one(each) for each in addresses], part.time_left() + MARGIN / 2)  # type: ignore[misc]
    late = f"no whole answer within {part.seconds:.3g} s"
    return [
        failed(declared, Problem("timeout", f"{declared}: {late}", _LATE), part.seconds) if answer is None else answer
        for declared, answer in zip(addresses, answers, strict=True)
    ]


def ask_addresses(
    declared: str,
    addresses: Sequence[ResolvedAddress],
    ask: Ask[A],
    failed: Failed[A],
    worse: Callable[[A], bool],
    deadline: Deadline,
) -> A:
    """Asks every address behind a name at once, and returns the answer that clients have to reckon with.

    That is the worst one: first a problem, then one that is `worse`. A whole family (IPv4, IPv6) that nobody listens on
    is left out where the other family answers, for clients change over to that.
    """

    def one(address: ResolvedAddress) -> A:
        where = declared if len(addresses) == 1 else f"{declared} ({address.ip})"
        started = time.monotonic()
        try:
            return ask(where, address, deadline)
        except EvidenceProblem as error:
            problem = error.problem
            # a deadline does not know whose it is
            if problem.kind == "timeout" and not problem.message.startswith(where):
                problem = Problem("timeout", f"{where}: {problem.message}", problem.hint or _LATE)
            return failed(problem, time.monotonic() - started)

    if len(addresses) == 1:
        return one(addresses[0])
    told = side_by_side([lambda each=each: one(each) for each in addresses], deadline.time_left() + MARGIN / 4)  # type: ignore[misc]
    late = Problem("timeout", f"{declared}: no whole answer within {deadline.seconds:.3g} s", _LATE)
    answers = [failed(late, deadline.seconds) if answer is None else answer for answer in told]
    return _deciding_answer(
        [(address.family, answer) for address, answer in zip(addresses, answers, strict=True)], worse
    )


def _deciding_answer(answers: Sequence[tuple[str, A]], worse: Callable[[A], bool]) -> A:
    dark = {
        family
        for family, _ in answers
        if all(each.problem is not None and each.problem.kind in _SILENT for of, each in answers if of == family)
    }
    alive = [each for family, each in answers if family not in dark] or [each for _, each in answers]
    with_problem = (each for each in alive if each.problem is not None)
    return next(with_problem, None) or next((each for each in alive if worse(each)), alive[0])


def connect(where: str, address: ResolvedAddress, deadline: Deadline) -> socket.socket:
    """A TCP connection; raises EvidenceProblem that says what stood in the way."""
    family = socket.AF_INET if address.family == "IPv4" else socket.AF_INET6
    sock: socket.socket | None = None
    try:
        numeric = socket.AI_NUMERICHOST  # no look-up, only the scope of a link-local address
        *_, target = socket.getaddrinfo(address.ip, address.port, family, socket.SOCK_STREAM, flags=numeric)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(deadline.seconds_left())
        sock.connect(target)
    except (OSError, EvidenceProblem) as error:
        if sock is not None:
            sock.close()
        raise EvidenceProblem(connection_problem(error, where, deadline)) from None
    return sock


def connection_problem(error: Exception, where: str, deadline: Deadline) -> Problem:
    """What an error of a socket means. A host that is gone is "timeout", no route from here is "unreachable"."""
    if deadline.expired or isinstance(error, (TimeoutError, EvidenceProblem)):
        return Problem("timeout", f"{where}: no answer within {deadline.seconds:.3g} s", _LATE)
    if isinstance(error, ConnectionRefusedError):
        return Problem("refused", f"{where}: connection refused", "does it run, and is this its port?")
    if isinstance(error, ConnectionError):
        return Problem("reset", f"{where}: the connection was closed")
    number, said = getattr(error, "errno", None), getattr(error, "strerror", None) or type(error).__name__
    if number in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return Problem("unreachable", f"{where}: no route from here ({said})")
    if number in (errno.EHOSTUNREACH, errno.EHOSTDOWN):
        return Problem("timeout", f"{where}: the host does not answer ({said})")
    if number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EACCES, errno.EPERM):
        return Problem("internal", f"{where}: cannot open a connection here ({said})")
    return Problem("reset", f"{where}: {said}")
