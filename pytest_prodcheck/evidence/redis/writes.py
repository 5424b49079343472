"""`redis-writes`: what each primary of a Redis group would answer to a write."""

from __future__ import annotations

import secrets
from binascii import crc_hqx
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.nodes import MARGIN, ask_nodes
from pytest_prodcheck.evidence.redis.cluster import cluster_view
from pytest_prodcheck.evidence.redis.commands import RedisNodeClient, explain, login_of, tls_of, trust_of
from pytest_prodcheck.evidence.redis.group import fields_of, node_host
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.stores import RedisWrite, RedisWrites

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

PATIENCE = 2.0  # seconds for the answer to a write: where writes are paused there is none
SLOTS = 16384  # of a cluster; a key's is its CRC16
MOST_TAGS = 200_000  # tried for a key whose slot is the node's own
_DENIED = ("NOPERM", "ERR UNKNOWN COMMAND")
_ELSEWHERE = ("MOVED ", "ASK ", "TRYAGAIN ")  # a cluster that is up sends the client to another node


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    what = "Redis INFO, of a cluster CLUSTER INFO and NODES; SET of a key that is not there, with XX: changes nothing"
    return tuple(Sending(each, what) for each in environment.redis[target].nodes)


def _seconds(target: str, environment: Environment) -> float:
    return environment.redis[target].timeout + PATIENCE + 2 * MARGIN


@evidence("redis-writes", axis="redis", feature="writes", seconds=_seconds, host=node_host, sends=_sends)
def redis_writes(target: str, context: Context, deadline: Deadline) -> RedisWrites:
    """The answer of every primary to a SET that changes nothing, node by node; replicas are not asked.

    Raises EvidenceProblem where nobody can be asked: the password or a TLS file is missing.
    """
    settings = context.environment.redis[target]
    login, trust = login_of(target, context), trust_of(settings, context)

    def look(declared: str, where: str, address: ResolvedAddress, until: Deadline) -> RedisWrite:
        return _ask_node(declared, RedisNodeClient(where, address, tls_of(trust, declared), login), until)

    def failed(declared: str, problem: Problem, seconds: float) -> RedisWrite:
        return RedisWrite(declared, problem)

    nodes = ask_nodes(settings.nodes, look, failed, lambda node: bool(node.answer), context, deadline)
    return RedisWrites(tuple(nodes), settings.expect.primaries)


def _ask_node(declared: str, asking: RedisNodeClient, deadline: Deadline) -> RedisWrite:
    (info,) = asking.ask((("INFO",),), deadline)
    if isinstance(info, Exception):
        raise EvidenceProblem(explain(info, asking.where, deadline, asking.login[1] or ""))
    fields = fields_of(info)
    role = fields.get("role", "")
    if role not in ("master", "slave"):
        what = f"{asking.where}: INFO tells no role of a data node"
        raise EvidenceProblem(Problem("protocol", what, "is this a Sentinel?"))
    if role == "slave":
        return RedisWrite(declared, None, role)
    clustered = fields.get("cluster_enabled") == "1"
    slots = cluster_view(asking, deadline).slots if clustered else ()
    answer = _write(asking, slots, deadline.at_most(PATIENCE))
    denied = answer.upper().startswith(_DENIED)
    return RedisWrite(declared, None, role, None if denied else answer, answer if denied else "")


def _write(asking: RedisNodeClient, slots: Sequence[tuple[int, int]], deadline: Deadline) -> str:
    """What SET is answered, "" where it would be taken.

    With XX, and a key that nobody has, it changes nothing: no write, no replication, no notification. The server
    refuses it as any other: for memory, replicas that are missing, a disk that fails, a cluster that is down.
    """
    try:
        (answer,) = asking.ask((("SET", _key(slots), "", "XX"),), deadline)
    except EvidenceProblem as error:
        if error.problem.kind == "timeout":
            return f"no answer within {PATIENCE:g} s: are writes paused (CLIENT PAUSE, a failover)?"
        raise
    said = asking.words(answer)
    return said if isinstance(answer, Exception) and not said.startswith(_ELSEWHERE) else ""


def _key(slots: Sequence[tuple[int, int]]) -> str:
    """A key that nobody has, in one of the slots; any where there is none."""
    name = f"prodcheck:{secrets.token_hex(12)}"
    if not slots:
        return name
    for tag in range(MOST_TAGS):
        slot = crc_hqx(str(tag).encode(), 0) % SLOTS
        if any(first <= slot <= last for first, last in slots):
            return f"{name}:{{{tag}}}"
    return name
