"""`redis-replication`: how far each replica is behind its primary, in bytes of the replication stream."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.nodes import MARGIN, ask_nodes
from pytest_prodcheck.evidence.network.resolving import ResolvedAddress
from pytest_prodcheck.evidence.redis.commands import ask, explain, login_of, tls_of, trust_of
from pytest_prodcheck.evidence.redis.group import fields_of
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.database import RedisReplication, ReplicaLag

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

LOOKS = 3  # the nodes are asked one after the other, so that one look says too much on a busy group
BETWEEN = 0.2  # seconds


@dataclass(frozen=True)
class _Node:
    address: str
    problem: Problem | None = None
    role: str = ""
    offset: int = 0
    history: str = ""
    link_up: bool = False
    silent: float = 0.0


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    return tuple(Sending(each, "Redis INFO replication", LOOKS) for each in environment.redis[target].nodes)


def _host(target: str, environment: Environment) -> str:
    return environment.redis[target].nodes[0]


def _seconds(target: str, environment: Environment) -> float:
    return LOOKS * (environment.redis[target].timeout + BETWEEN + 2 * MARGIN)


@evidence("redis-replication", axis="redis", feature="replicas", seconds=_seconds, host=_host, sends=_sends)
def redis_replication(target: str, context: Context, deadline: Deadline) -> RedisReplication:
    """Three looks at every node; of each replica the smallest distance to its primary counts.

    Raises EvidenceProblem where nobody can be asked: the password or a TLS file is missing.
    """
    found: dict[str, ReplicaLag] = {}
    primaries: list[_Node] = []
    silent: tuple[str, ...] = ()
    for look in range(LOOKS):
        if look:
            time.sleep(min(BETWEEN, max(deadline.time_left(), 0.0)))
        nodes = _sample_nodes(target, context, deadline)
        primaries = [node for node in nodes if node.problem is None and node.role == "master"]
        silent = tuple(node.address for node in nodes if node.problem is not None)
        for node in nodes:
            if node not in primaries:
                found[node.address] = _smaller_lag(found.get(node.address), _lag(node, primaries))
    expect = context.environment.redis[target].expect
    replicas = {address: lag for address, lag in found.items() if address not in {node.address for node in primaries}}
    return RedisReplication(
        tuple(node.address for node in primaries), expect.primaries, expect.replicas, tuple(replicas.values()), silent
    )


def _sample_nodes(target: str, context: Context, deadline: Deadline) -> list[_Node]:
    settings = context.environment.redis[target]
    login, trust = login_of(target, context), trust_of(settings, context)

    def look(declared: str, where: str, address: ResolvedAddress, until: Deadline) -> _Node:
        part = until.at_most(settings.timeout)
        (info,) = ask(where, address, tls_of(trust, declared), login, (("INFO", "replication"),), part)
        if isinstance(info, Exception):
            raise EvidenceProblem(explain(info, where, until, login[1] or ""))
        return _node(declared, where, fields_of(info))

    def failed(declared: str, problem: Problem, seconds: float) -> _Node:
        return _Node(declared, problem)

    part = deadline.at_most(settings.timeout + 2 * MARGIN)
    return ask_nodes(settings.nodes, look, failed, lambda node: node.role != "master", context, part)


def _node(declared: str, where: str, fields: dict[str, str]) -> _Node:
    role = fields.get("role", "")
    # a replica's master_repl_offset is its own position, as slave_repl_offset was before Redis 5
    offset = fields.get("slave_repl_offset" if role == "slave" else "master_repl_offset", "")
    if role not in ("master", "slave") or not offset.lstrip("-").isdigit() or len(offset) > 19:
        what = f"{where}: INFO replication tells no role and offset"
        raise EvidenceProblem(Problem("protocol", what, "is this a Redis or Valkey data node?"))
    silent = fields.get("master_last_io_seconds_ago", "0")
    return _Node(
        declared, None, role, int(offset), fields.get("master_replid", "")[:64],
        fields.get("master_link_status") == "up", float(silent) if silent.isdigit() else 0.0,
    )  # fmt: skip


def _lag(node: _Node, primaries: list[_Node]) -> ReplicaLag:
    """Against the primary that has its replication id; one that follows somebody else has none."""
    if node.problem is not None:
        return ReplicaLag(node.address, problem=node.problem)
    if not primaries:
        what = f"{node.address}: there is no primary to compare it with"
        return ReplicaLag(node.address, node.link_up, problem=Problem("configuration", what))
    primary = next((each for each in primaries if node.history and each.history == node.history), None)
    if primary is None:
        return ReplicaLag(node.address, node.link_up, silent=node.silent)
    behind = max(primary.offset - node.offset, 0) if node.offset >= 0 else None
    return ReplicaLag(node.address, node.link_up, primary.address, behind, node.silent)


def _smaller_lag(before: ReplicaLag | None, now: ReplicaLag) -> ReplicaLag:
    """The newest look, with the smallest distance of those that could tell one."""
    if before is None or now.problem is not None or before.behind is None or now.behind is None:
        return now
    return replace(now, behind=min(before.behind, now.behind))
