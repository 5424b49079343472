"""The addresses of what speaks TLS, and how each of them is to be met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pytest_prodcheck.environments.tls_targets import encrypted
from pytest_prodcheck.evidence.network.resolving import addresses_of, split_address
from pytest_prodcheck.evidence.network.transport import address_text
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

MOST = 16  # addresses of one target that are looked at
MARGIN = 0.5  # seconds kept of a piece's deadline to tell which address is late
_DARK = ("refused", "timeout", "unreachable")
T = TypeVar("T")


@dataclass(frozen=True)
class TlsEndpoint:
    """One "HOST:PORT" that speaks TLS. name: what is asked for (SNI) and looked for in the certificate."""

    address: str
    name: str
    starttls: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    timeout: float = 5.0
    browsers: bool = False  # whether any are expected there


def endpoints(target: str, environment: Environment) -> tuple[TlsEndpoint, ...]:
    """The endpoints of a target of kind `tls`, in order; raises EvidenceProblem (configuration) for another name."""
    key, name = encrypted(environment).get(target, ("", ""))
    if key == "services":
        service = environment.services[name]
        address = service.connect_to or address_text(service.host, service.port)
        found = _endpoint(address, service.host, None, service.tls, service.timeout)
        return (replace(found, browsers=service.public or bool(service.html)),)
    if key == "postgres":
        cluster = environment.postgres[name]
        nodes = dict.fromkeys((*cluster.nodes, *([cluster.writer] if cluster.writer else [])))
        timeout = cluster.timeouts.connect
        return tuple(_endpoint(node, split_address(node)[0], "postgres", cluster.tls, timeout) for node in nodes)
    if key == "redis":
        group = environment.redis[name]
        return tuple(_endpoint(node, split_address(node)[0], None, group.tls, group.timeout) for node in group.nodes)
    if key == "tls":
        server = environment.tls[name]
        asked = server.server_name or split_address(server.address)[0]
        return (_endpoint(server.connect_to or server.address, asked, server.starttls, server, server.timeout),)
    raise EvidenceProblem(Problem("configuration", f"nothing that speaks TLS is named {target!r}"))


def _endpoint(address: str, name: str, starttls: str | None, tls: object, timeout: float) -> TlsEndpoint:
    ca, certificate, key = (getattr(tls, name) for name in ("ca", "certificate", "key"))
    return TlsEndpoint(address, name, starttls, ca, certificate, key, timeout)


def first_address(target: str, environment: Environment) -> str:
    """`host` of the collectors about TLS."""
    return endpoints(target, environment)[0].address


def each_address(
    target: str,
    context: Context,
    deadline: Deadline,
    ask: Callable[[TlsEndpoint, ResolvedAddress, str, Deadline], T],
    failed: Callable[[str, Problem], T],
) -> tuple[T, ...]:
    """What each address behind each endpoint says, all asked side by side; one that is silent has its own problem.

    ask: `(endpoint, address, where, deadline)`, may raise EvidenceProblem. A whole family (IPv4, IPv6) that nobody
    listens on is left out where the other answers, and noted, for clients change over to that.
    """
    part = deadline.at_most(max(deadline.seconds_left() - MARGIN, 0.05))
    found: list[tuple[TlsEndpoint, ResolvedAddress | None, str, Problem | None]] = []
    for endpoint in endpoints(target, context.environment):
        try:
            addresses = addresses_of(context, *split_address(endpoint.address), part)
        except EvidenceProblem as error:
            found.append((endpoint, None, endpoint.address, error.problem))
            continue
        if len(addresses) > MOST:
            deadline.note(f"{endpoint.address}: {len(addresses)} addresses, the first {MOST} were looked at")
        for address in addresses[:MOST]:
            where = endpoint.address if len(addresses) == 1 else f"{endpoint.address} ({address.ip})"
            found.append((endpoint, address, where, None))

    def one(endpoint: TlsEndpoint, address: ResolvedAddress | None, where: str, known: Problem | None) -> T | Problem:
        if address is None:
            return known or Problem("internal", where)
        try:
            return ask(endpoint, address, where, part)
        except EvidenceProblem as error:
            return error.problem

    jobs = [partial(one, *each) for each in found]
    answers = side_by_side(jobs, part.time_left() + MARGIN / 2)
    late = Problem("timeout", f"no whole answer within {part.seconds:.3g} s", "is it overloaded, or hanging?")
    told = [late if answer is None else answer for answer in answers]
    dark = _dark_families([(each[0].address, each[1], answer) for each, answer in zip(found, told, strict=True)])
    results = []
    for (endpoint, at, where, _), answer in zip(found, told, strict=True):
        if at is not None and (endpoint.address, at.family) in dark:
            deadline.note(f"{where}: nobody listens there, clients change over to the other address family")
        else:
            results.append(failed(where, _with_address(answer, where)) if isinstance(answer, Problem) else answer)
    return tuple(results)


def _dark_families(told: list[tuple[str, ResolvedAddress | None, object]]) -> set[tuple[str, str]]:
    """(endpoint, family) pairs on which nothing answers while the endpoint's other family does."""
    heard = [(of, at) for of, at, answer in told if at is not None and not _silent(answer)]
    answered: set[tuple[str, str]] = {(of, at.family) for of, at in heard}
    alive = {of for of, _ in answered}
    asked: set[tuple[str, str]] = {(of, at.family) for of, at, _ in told if at is not None and of in alive}
    return asked - answered


def _silent(answer: object) -> bool:
    return isinstance(answer, Problem) and answer.kind in _DARK


def _with_address(problem: Problem, where: str) -> Problem:
    """The problem, told with the address where it does not name it: a deadline does not know whose it is."""
    if where in problem.message:
        return problem
    return Problem(problem.kind, f"{where}: {problem.message}", problem.hint)
