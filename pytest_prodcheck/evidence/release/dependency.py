"""`dependency`: whether a dependency of the environment answers, by the collector that its kind has anyway."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_to
from pytest_prodcheck.evidence.network.dns import dns_name
from pytest_prodcheck.evidence.network.tcp import tcp_port
from pytest_prodcheck.evidence.tools import sanitizing
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.flow import NameAnswer, PortAnswer
from pytest_prodcheck.records.release import DependencyAnswer
from pytest_prodcheck.records.stores import PostgresCluster, RedisGroup

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.dependencies import Dependency
    from pytest_prodcheck.evidence.collectors import Collector
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

# the far side's doing: it is proven that clients get no answer. The rest (no route, no name server, a CA that we lack,
# a password) may be ours
_PROVEN = ("refused", "timeout", "reset", "protocol", "full")
_GOOD = range(200, 400)


def _delegate(target: str, environment: Environment) -> tuple[Collector, str] | None:
    """The collector that asks, and its target; None for HTTP, which is asked here."""
    declared = environment.dependencies[target]
    if declared.dns is not None:
        return dns_name, target
    if declared.tcp is not None:
        return tcp_port, target
    if declared.postgres is not None:
        from pytest_prodcheck.evidence.postgres.cluster import postgres_cluster

        return postgres_cluster, declared.postgres
    if declared.redis is not None:
        from pytest_prodcheck.evidence.redis.group import redis_group

        return redis_group, declared.redis
    return None


def _host(target: str, environment: Environment) -> str:
    if other := _delegate(target, environment):
        return other[0].host(other[1], environment)
    parts = urlsplit(str(environment.dependencies[target].http))
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    if other := _delegate(target, environment):
        return other[0].sends(other[1], environment)
    address = sanitizing.url(str(environment.dependencies[target].http))
    return (Sending(_host(target, environment), f"GET {address}"),)


def _seconds(target: str, environment: Environment) -> float:
    if other := _delegate(target, environment):
        return other[0].seconds_for(other[1], environment)
    return environment.dependencies[target].timeout + 1.0


@evidence("dependency", axis="dependency", seconds=_seconds, host=_host, sends=_sends)
def dependency(target: str, context: Context, deadline: Deadline) -> DependencyAnswer:
    """Its answer, in what time it came, and what is wrong with it.

    Raises EvidenceProblem where it cannot be told whether others get one.
    """
    declared = context.environment.dependencies[target]
    other = _delegate(target, context.environment)
    if other is None:
        return _http(declared, context, deadline)
    record = other[0].gather(other[1], context, deadline)
    if isinstance(record, NameAnswer):
        missing = [each for each in record.expected if each not in record.addresses]
        why = f"{record.name} has no address" if not record.addresses else ""
        why = why or (f"{', '.join(missing)} is not among its addresses" if missing else "")
        return DependencyAnswer("dns", record.name, not why, record.seconds, why)
    if isinstance(record, PortAnswer):
        return DependencyAnswer("tcp", record.address, record.accepted, record.seconds, record.reason)
    return _postgres(record) if isinstance(record, PostgresCluster) else _redis(record)


def _http(declared: Dependency, context: Context, deadline: Deadline) -> DependencyAnswer:
    """Over a new connection, as the first request of a new instance is."""
    from pytest_prodcheck.environments.sections.services import Service, ServiceTls
    from pytest_prodcheck.evidence.http.messages import Request

    url = str(declared.http)
    name, began = sanitizing.url(url), time.monotonic()
    client = client_to(context, Service(url=url, tls=ServiceTls(ca=declared.ca), timeout=declared.timeout))
    try:
        answer = client.ask(Request("GET", url), deadline.at_most(declared.timeout), fresh=True)
    except EvidenceProblem as error:
        if error.problem.kind not in _PROVEN:
            raise
        return DependencyAnswer("http", name, False, time.monotonic() - began, str(error.problem))
    good = answer.exchange.status in (declared.status or _GOOD)
    why = "" if good else f"it answers {answer.exchange.status}"
    return DependencyAnswer("http", name, good, answer.whole, why)


def _postgres(found: PostgresCluster) -> DependencyAnswer:
    """The writer answers as one that can write; without a declared writer any node does."""
    asked = (found.writer,) if found.writer is not None else found.nodes
    good = [each for each in asked if each.problem is None and not each.read_only]
    if good:
        return DependencyAnswer("postgres", good[0].address, True, min(each.seconds for each in good))
    return _unavailable_answer(
        "postgres", [(each.address, each.seconds, each.problem) for each in asked], "it takes no writes"
    )


def _redis(found: RedisGroup) -> DependencyAnswer:
    good = [each for each in found.nodes if each.problem is None and each.role == "master" and not each.loading]
    if good:
        return DependencyAnswer("redis", good[0].address, True, min(each.seconds for each in good))
    nodes = [(each.address, each.seconds, each.problem) for each in found.nodes]
    return _unavailable_answer("redis", nodes, "it is no primary, or still loading")


def _unavailable_answer(kind: str, nodes: list[tuple[str, float, Problem | None]], otherwise: str) -> DependencyAnswer:
    """No node is good enough; raises EvidenceProblem where one of them might for all we know."""
    for _, _, problem in nodes:
        if problem is not None and problem.kind not in _PROVEN:
            raise EvidenceProblem(problem)
    why = "; ".join(str(problem or otherwise) for _, _, problem in nodes)
    return DependencyAnswer(kind, ", ".join(name for name, _, _ in nodes), False, max(each[1] for each in nodes), why)
