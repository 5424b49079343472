"""Whether a server that no answer came from is gone for its users, or it is we who do not get out."""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.network.resolving import NameNotFound, addresses_of, split_address
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress
    from pytest_prodcheck.records import Problem

OURS = {
    "timeout": "nothing else was reached from here either: is it our own network?",
    "unreachable": "nothing else was reached from here either: is it our own network?",
}
_TOLD = ("refused", "reset", "tls", "protocol")  # the peer itself spoke, or its machine did
_LOOKUP = 3.0  # seconds for the name server to show that it is there


def is_server_fault(
    problem: Problem, address: ResolvedAddress, host: str, context: Context, deadline: Deadline
) -> bool:
    """Whether a problem with one address is proven to be the server's; silence is only while our network works."""
    if problem.kind in _TOLD:
        return True
    if problem.kind not in ("timeout", "unreachable"):
        return False
    from pytest_prodcheck.evidence.network.transport import address_text, has_route

    if not has_route(address):
        return False
    if address_text(address.ip, address.port) in context.reached or _is_local(address.ip):
        return True
    return any(not _is_local(split_address(peer)[0]) for peer in context.reached if peer) or _name_server_answers(
        host, context, deadline
    )


def _is_local(ip: str) -> bool:
    return ipaddress.ip_address(ip.partition("%")[0]).is_loopback


def _name_server_answers(host: str, context: Context, deadline: Deadline) -> bool:
    """Whether a name that nobody has asked for before, so that no cache knows it, is answered, be it with "unknown"."""
    zone = _zone_of(host)
    if not zone:
        return False
    try:
        addresses_of(context, f"x{secrets.token_hex(6)}.{zone}", 0, deadline.at_most(_LOOKUP))
    except NameNotFound:
        return True
    except EvidenceProblem:
        return False
    return True


def _zone_of(host: str) -> str:
    """Where a name may be that only a name server elsewhere knows of; "" for private addresses (RFC 6303)."""
    try:
        literal = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host
    return literal.reverse_pointer.partition(".")[2] if literal.is_global else ""
