"""Names to addresses: by the system's resolver, or by the name server that the environment declares."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pytest_prodcheck import resource_exhaustion
from pytest_prodcheck.evidence.network.transport import address_text
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

FIRST_TRY = 2.0  # seconds until a datagram counts as lost
MARGIN = 0.2  # seconds kept of the deadline, so that the name server is named in what is told
MOST_ALIASES = 8
MOST_ADDRESSES = 256  # of one name; each of them may be connected to
# where clouds give out credentials beside 169.254.0.0/16: Alibaba, AWS, Google
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GONE = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


@dataclass(frozen=True)
class ResolvedAddress:
    """One address behind a name, with the port that was asked for."""

    family: Literal["IPv4", "IPv6"]
    ip: str
    port: int


class NameNotFound(EvidenceProblem):
    """The name server said positively that there is no such name, or that it has no address."""


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT"; the brackets of an IPv6 address are taken off."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def addresses_of(context: Context, host: str, port: int, deadline: Deadline) -> tuple[ResolvedAddress, ...]:
    """The addresses of a name, by the declared name server if there is one; raises EvidenceProblem (dns).

    Also where one of them is none that a service has: what answers there would not be what was declared.
    """
    found = resolve(host, port, context.environment.nameserver, deadline)
    if _literal(host, port) is None:
        insist_on_services(host, [each.ip for each in found], "if that is meant, declare the address itself")
    return found


def insist_on_services(name: str, addresses: Sequence[str], remedy: str) -> None:
    """Raises EvidenceProblem (dns) where a name is said to have an address that no service has."""
    for each in addresses:
        if why := _why_no_service(each):
            raise _dns(f"{name} is said to be at {each}, {why}", f"is the name filtered, or its zone changed? {remedy}")


def resolve(host: str, port: int, nameserver: str | None, deadline: Deadline) -> tuple[ResolvedAddress, ...]:
    """The addresses of a name, at least one, IPv4 first where `nameserver` ("IP:PORT") is asked.

    Raises NameGone where the name does not exist, EvidenceProblem of kind dns where that could not be found out, of
    kind missing-extra without dnspython.
    """
    if literal := _literal(host, port):
        return (literal,)
    found = _resolve_uncached(host, port, nameserver, deadline)
    if len(found) > MOST_ADDRESSES:
        raise _dns(f"{host} is said to have {len(found)} addresses, more than {MOST_ADDRESSES}")
    return found


def _resolve_uncached(host: str, port: int, nameserver: str | None, deadline: Deadline) -> tuple[ResolvedAddress, ...]:
    if nameserver is None:
        return _ask_system(host, port, deadline)
    return _ask_server(host, port, nameserver, deadline)


@lru_cache(1024)
def _why_no_service(ip: str) -> str:
    """Why no service has an address that a name stands for, "" where one may."""
    if "%" in ip:  # of a network of this machine's, as names have that are known there alone
        return ""
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address.ipv4_mapped
        address = inner or address
    if address.is_unspecified:
        return "which is no address: this machine itself would answer"
    if address.is_link_local or address in _METADATA:
        return "which is link-local, or where clouds give out credentials"
    return ""


def _literal(host: str, port: int) -> ResolvedAddress | None:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return ResolvedAddress("IPv4" if ip.version == 4 else "IPv6", str(ip), port)


def _ask_system(host: str, port: int, deadline: Deadline) -> tuple[ResolvedAddress, ...]:
    where = f"{host}: the system's resolver"

    def ask() -> list[Any] | OSError | UnicodeError:
        try:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            return error

    # in a thread of its own: the system's resolver takes no time-out
    (found,) = side_by_side([ask], deadline.seconds_left() - MARGIN)
    if isinstance(found, OSError):
        resource_exhaustion.note_shortage(found)
        resource_exhaustion.probe_open_files()
    if found is None:
        raise _dns(f"{where} gave no answer in time", "is a name server of /etc/resolv.conf down?")
    if isinstance(found, UnicodeError):
        raise EvidenceProblem(Problem("configuration", f"{host!r} is no valid host name"))
    if isinstance(found, socket.gaierror) and found.errno in _GONE:
        raise NameNotFound(Problem("dns", f"{where} knows no such name", "is it spelt right? is it known from here?"))
    if isinstance(found, OSError):
        temporary = " (temporary)" if getattr(found, "errno", None) == socket.EAI_AGAIN else ""
        raise _dns(f"{where} failed: {found.strerror}{temporary}", "is a name server of /etc/resolv.conf down?")
    names: dict[int, Literal["IPv4", "IPv6"]] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
    addresses = [ResolvedAddress(names[family], str(at[0]), port) for family, _, _, _, at in found if family in names]
    if not addresses:
        raise NameNotFound(Problem("dns", f"{where} knows no address of it"))
    return tuple(dict.fromkeys(addresses))


def _ask_server(host: str, port: int, nameserver: str, deadline: Deadline) -> tuple[ResolvedAddress, ...]:
    """A and AAAA side by side. A has to be answered, also by none; some servers never answer AAAA."""
    try:
        from dns.exception import DNSException
        from dns.name import from_text
    except ImportError:
        what, hint = "asking a declared name server needs dnspython", "pip install 'pytest-prodcheck[dns]'"
        raise EvidenceProblem(Problem("missing-extra", what, hint)) from None
    ip, server_port = split_address(nameserver)
    server = _literal(ip, server_port)
    if server is None:
        hint = 'nameserver = "10.0.0.53:53"'
        raise EvidenceProblem(Problem("configuration", f"the name server {nameserver} is no IP:PORT", hint))
    try:
        name = from_text(host)
    except (DNSException, UnicodeError):
        raise EvidenceProblem(Problem("configuration", f"{host!r} is no valid host name")) from None
    time_left = deadline.at_most(deadline.seconds_left() - MARGIN)
    answers = side_by_side(
        [lambda kind=kind: _addresses_or_problem(name, kind, server, host, time_left) for kind in ("A", "AAAA")],  # type: ignore[misc]
        time_left.time_left() + MARGIN / 2,
    )
    found: list[ResolvedAddress] = []
    for family, answer in zip(("IPv4", "IPv6"), answers, strict=True):
        if isinstance(answer, list):
            found += [ResolvedAddress(family, each, port) for each in answer]  # type: ignore[arg-type]
    if found and isinstance(answers[0], (list, NameNotFound)):
        return tuple(found)
    unknown = [each for each in answers if isinstance(each, EvidenceProblem) and not isinstance(each, NameNotFound)]
    if unknown or None in answers:
        raise unknown[0] if unknown else _silent(host, nameserver)
    gone = [each for each in answers if isinstance(each, NameNotFound)]
    raise gone[0] if gone else NameNotFound(Problem("dns", f"{host}: {nameserver} knows no address of it"))


def _addresses_or_problem(
    name: Any, kind: str, server: ResolvedAddress, host: str, deadline: Deadline
) -> list[str] | EvidenceProblem:
    try:
        return _addresses_behind_aliases(name, kind, server, host, deadline)
    except EvidenceProblem as error:
        return error


def _addresses_behind_aliases(
    name: Any, kind: str, server: ResolvedAddress, host: str, deadline: Deadline
) -> list[str]:
    """The addresses of one kind; aliases are followed, also where the server leaves that to us."""
    from dns.exception import DNSException
    from dns.rcode import NOERROR, NXDOMAIN, to_text

    where = f"{host}: {address_text(server.ip, server.port)}"
    for _ in range(MOST_ALIASES):
        response = _query(name, kind, server, host, deadline)
        try:
            chain = response.resolve_chaining()
        except DNSException as error:
            raise _dns(f"{where} answered with nonsense ({type(error).__name__} for {kind})") from None
        if response.rcode() == NXDOMAIN:
            hint = "is it spelt right? is this the name server that knows it?"
            raise NameNotFound(Problem("dns", f"{where} knows no such name (NXDOMAIN)", hint))
        if response.rcode() != NOERROR:
            said = to_text(response.rcode())
            raise _dns(f"{where} answered {said} for {kind}", "is its upstream or zone in trouble?")
        if chain.answer is not None:
            return [each.address for each in chain.answer]
        if not chain.cnames or chain.canonical_name == name:
            return []
        name = chain.canonical_name
    raise _dns(f"{where}: aliases lead from one to the next more than {MOST_ALIASES} times")


def _query(name: Any, kind: str, server: ResolvedAddress, host: str, deadline: Deadline) -> Any:
    """One question by UDP, by TCP where the answer is too long for that; asked once more where it was lost."""
    from dns.exception import DNSException, Timeout
    from dns.message import make_query
    from dns.query import udp_with_fallback

    asked = address_text(server.ip, server.port)
    for last in (False, True):
        left = deadline.time_left()
        if left <= 0:
            break
        query = make_query(name, kind, use_edns=0, payload=1232)
        try:
            patience = left if last else min(FIRST_TRY, left / 2)
            response, _ = udp_with_fallback(query, server.ip, timeout=patience, port=server.port)
            return response
        except Timeout:
            if not last:
                deadline.note(f"{host}: no answer of {asked} for {kind}, asked once more")
        except (DNSException, EOFError, ValueError) as error:  # EOFError: TCP that ends within an answer
            said = f"{asked} answered with nonsense ({type(error).__name__} for {kind})"
            raise _dns(f"{host}: {said}", "does DNS speak on this port?") from None
        except OSError as error:
            raise _dns(f"{host}: {asked} cannot be asked: {error.strerror or error}") from None
    raise _silent(host, asked)


def _silent(host: str, nameserver: str) -> EvidenceProblem:
    return _dns(f"{host}: no answer from the name server {nameserver} in time", "is it up and reachable by UDP?")


def _dns(message: str, hint: str = "") -> EvidenceProblem:
    return EvidenceProblem(Problem("dns", message, hint))
