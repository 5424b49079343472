"""`dns-name`: the addresses of the name of a dependency."""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.resolving import NameNotFound, insist_on_services, resolve
from pytest_prodcheck.records.flow import NameAnswer

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

SYSTEM = "system"


def _server(target: str, environment: Environment) -> str:
    return environment.nameserver or SYSTEM


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    return (Sending(_server(target, environment), f"DNS A and AAAA of {environment.dependencies[target].dns}"),)


def _seconds(target: str, environment: Environment) -> float:
    return environment.dependencies[target].timeout + 1.0


def _ready(record: NameAnswer) -> bool:
    return bool(record.addresses)


@evidence("dns-name", axis="dns", seconds=_seconds, host=_server, sends=_sends, ready=_ready)
def dns_name(target: str, context: Context, deadline: Deadline) -> NameAnswer:
    """The addresses of the declared name, none where the name server says that there are none.

    Raises EvidenceProblem (dns) where that could not be found out: a silent or failing name server proves nothing,
    nor does one that says what filters say.
    """
    declared = context.environment.dependencies[target]
    name, nameserver = str(declared.dns), context.environment.nameserver
    began = time.monotonic()
    try:
        # not context.resolve: that may remember what another piece was told earlier
        found = resolve(name, 0, nameserver, deadline.at_most(declared.timeout))
    except NameNotFound:
        found = ()
    addresses = tuple(each.ip for each in found)
    expected = tuple(_same_spelling(each) for each in declared.expect)
    unexpected = [each for each in addresses if each not in expected]
    insist_on_services(name, unexpected, "if that is meant, declare the address in `expect`")
    return NameAnswer(name, nameserver or SYSTEM, addresses, expected, time.monotonic() - began)


def _same_spelling(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address
