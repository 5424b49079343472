"""`tcp-port`: whether the port of a dependency or of a service accepts connections."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import is_port_of_service
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.nodes import ask_addresses, connect
from pytest_prodcheck.evidence.network.resolving import NameNotFound, ResolvedAddress, addresses_of, split_address
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.flow import PortAnswer

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_PROVEN = ("refused", "timeout", "reset")  # the far side's doing; the rest is ours: no route, no name server


@dataclass(frozen=True)
class _Attempt:
    problem: Problem | None = None


def _address(target: str, environment: Environment) -> str:
    if is_port_of_service(environment, target):
        service = environment.services[target]
        return service.connect_to or str(service.tcp)  # as the slot has it
    return str(environment.dependencies[target].tcp)


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    return (Sending(_address(target, environment), "TCP connection, closed at once"),)


def _seconds(target: str, environment: Environment) -> float:
    return _timeout(target, environment) + 1.0


def _timeout(target: str, environment: Environment) -> float:
    if is_port_of_service(environment, target):
        return environment.services[target].timeout
    return environment.dependencies[target].timeout


def _ready(record: PortAnswer) -> bool:
    return record.accepted


@evidence("tcp-port", axis="tcp", seconds=_seconds, host=_address, sends=_sends, ready=_ready)
def tcp_port(target: str, context: Context, deadline: Deadline) -> PortAnswer:
    """Whether the declared port accepts: every address behind the name, for clients meet any of them.

    A family (IPv4, IPv6) on which nothing answers is left out where the other one accepts. A refusal, a time-out and a
    name that does not exist are answers: the dependency is proven to be out of reach. EvidenceProblem is raised where
    nothing is proven: no route from here, a name server that is silent or fails.
    """
    address = _address(target, context.environment)
    began = time.monotonic()
    part = deadline.at_most(_timeout(target, context.environment))
    try:
        found = addresses_of(context, *split_address(address), part)
    except NameNotFound as error:
        return PortAnswer(address, False, time.monotonic() - began, str(error.problem))
    answer = ask_addresses(address, found, _attempt, lambda problem, _: _Attempt(problem), lambda _: False, part)
    seconds = time.monotonic() - began
    if answer.problem is None:
        return PortAnswer(address, True, seconds)
    if answer.problem.kind not in _PROVEN:
        raise EvidenceProblem(answer.problem)
    return PortAnswer(address, False, seconds, str(answer.problem))


def _attempt(where: str, address: ResolvedAddress, deadline: Deadline) -> _Attempt:
    connect(where, address, deadline).close()
    return _Attempt()
