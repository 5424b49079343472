"""`tcp-ports`: which declared ports of a declared host accept connections. Connects and closes, nothing is sent."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.resolving import addresses_of
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.web import OpenPorts

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.exposure import Exposure
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

MOST_ADDRESSES = 4  # of one name


def _declared(target: str, environment: Environment) -> Exposure:
    return environment.exposure[target]


def _lines(target: str, environment: Environment) -> tuple[Sending, ...]:
    found = _declared(target, environment)
    what = f"TCP connections to {len(found.numbers)} ports, closed at once"
    return (Sending(found.host, f"{what} (of each of its addresses)", len(found.numbers)),)


def _seconds(target: str, environment: Environment) -> float:
    found = _declared(target, environment)
    return 15.0 + len(found.numbers) * MOST_ADDRESSES * found.timeout / found.at_once


@evidence(
    "tcp-ports",
    axis="exposure",
    seconds=_seconds,
    host=lambda target, environment: _declared(target, environment).host,
    sends=_lines,
    exclusive=True,
)
def tcp_ports(target: str, context: Context, deadline: Deadline) -> OpenPorts:
    """The ports that accept, on any address behind the name; those that refuse or stay silent are closed.

    Raises EvidenceProblem where none of the expected ports is open: a host that is down has no open port either.
    """
    found = _declared(target, context.environment)
    addresses = addresses_of(context, found.host, found.expected[0], deadline)
    if len(addresses) > MOST_ADDRESSES:
        deadline.note(f"{found.host}: {len(addresses)} addresses, the first {MOST_ADDRESSES} were looked at")
        addresses = addresses[:MOST_ADDRESSES]
    asked = [(address, port) for port in found.numbers for address in addresses]
    opened, unknown = _scan_ports(asked, found, deadline)
    ports = tuple(sorted({port for _, port in opened}))
    if not set(found.expected) & set(ports):
        what = f"none of the expected ports {', '.join(map(str, found.expected))} of {found.host} is open"
        raise EvidenceProblem(Problem("unreachable", f"{what}, so closed ports prove nothing", "is this the host?"))
    closed = len(asked) - len(opened) - (unknown is not None)
    return OpenPorts(found.host, found.expected, len(asked), ports, closed, unknown)


def _scan_ports(
    asked: list[tuple[ResolvedAddress, int]], found: Exposure, deadline: Deadline
) -> tuple[list[tuple[ResolvedAddress, int]], Problem | None]:
    """What accepted, and why some could not be asked; `at_once` workers, each pausing after a connection."""
    from pytest_prodcheck.evidence.tools.threads import side_by_side

    waiting, lock = list(reversed(asked)), threading.Lock()
    opened: list[tuple[ResolvedAddress, int]] = []
    unknown: list[Problem] = []

    def work() -> None:
        while not deadline.expired:
            with lock:
                if not waiting:
                    return
                address, port = waiting.pop()
            try:
                if _accepts(replace(address, port=port), found.timeout):
                    opened.append((address, port))
            except EvidenceProblem as error:
                unknown.append(error.problem)
            time.sleep(0.002)

    side_by_side([work] * min(found.at_once, len(asked)), deadline.seconds_left())
    deadline.seconds_left()
    return opened, unknown[0] if unknown else None


def _accepts(address: ResolvedAddress, timeout: float) -> bool:
    """Whether a port accepts; one that resets at once did. EvidenceProblem where it cannot be told from here."""
    from pytest_prodcheck.evidence.network.transport import connect

    try:
        connect(address, timeout).close()
    except EvidenceProblem as error:
        if isinstance(error.__context__, ConnectionResetError):
            return True  # the handshake was done: a refusal is ECONNREFUSED
        if error.problem.kind in ("refused", "timeout"):
            return False
        raise
    return True
