"""`redis-group`: every declared node of a Redis or Valkey group, as the servers themselves tell it."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.nodes import MARGIN, ask_nodes
from pytest_prodcheck.evidence.redis.cluster import cluster_view
from pytest_prodcheck.evidence.redis.commands import RedisNodeClient, explain, login_of, tls_of, trust_of
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.stores import RedisCluster, RedisGroup, RedisNode

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

_COMMANDS = (("PING",), ("INFO",), ("CONFIG", "GET", "save"))
SPREADS = 2.0  # seconds in which nodes of a cluster hear of a change: they talk to each other all the time
_KEYSPACE = re.compile(r"keys=(\d{1,18}),expires=(\d{1,18})\b", re.ASCII)  # of each database in INFO
# answers to PING of a server that is there; what is wrong with it stands in INFO
_ALIVE = ("LOADING", "MASTERDOWN", "MISCONF")


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    asked = "Redis PING, INFO, CONFIG GET save, of a cluster CLUSTER INFO and NODES"
    return tuple(Sending(each, asked) for each in environment.redis[target].nodes)


def node_host(target: str, environment: Environment) -> str:
    """`host` of the collectors about a group."""
    return environment.redis[target].nodes[0]


def _seconds(target: str, environment: Environment) -> float:
    return 2 * (environment.redis[target].timeout + 2 * MARGIN) + SPREADS


def _ready(record: RedisGroup) -> bool:
    return all(node.problem is None and not node.loading for node in record.nodes)


@evidence("redis-group", axis="redis", seconds=_seconds, host=node_host, sends=_sends, ready=_ready)
def redis_group(target: str, context: Context, deadline: Deadline) -> RedisGroup:
    """What each declared node says of itself, asked side by side; a node that does not answer has a problem of its own.

    Raises EvidenceProblem where nobody can be asked: the password or a TLS file is missing.
    """
    settings = context.environment.redis[target]
    login, trust = login_of(target, context), trust_of(settings, context)

    def look(declared: str, where: str, address: ResolvedAddress, until: Deadline) -> RedisNode:
        part = until.at_most(settings.timeout)
        asking = RedisNodeClient(where, address, tls_of(trust, declared), login)
        node = _ask_node(declared, asking, part)
        return node if node.cluster is None else replace(node, cluster=cluster_view(asking, part))

    def failed(declared: str, problem: Problem, seconds: float) -> RedisNode:
        return RedisNode(declared, seconds, problem)

    def ask() -> list[RedisNode]:
        part = deadline.at_most(settings.timeout + 2 * MARGIN)
        return ask_nodes(settings.nodes, look, failed, lambda node: node.loading, context, part)

    nodes = ask()
    if _disagree(nodes) and deadline.time_left() > SPREADS + MARGIN:
        time.sleep(SPREADS)
        nodes = ask()
    return RedisGroup(tuple(nodes), settings.expect.primaries, settings.expect.replicas, settings.persistence)


def _disagree(nodes: list[RedisNode]) -> bool:
    """Whether nodes of a cluster see different owners of slots, or one that answers us as failing."""
    seen = [node.cluster for node in nodes if node.cluster is not None]
    here = {each.id for each in seen}
    return len({each.map for each in seen if each.map}) > 1 or any(here & set(each.failing) for each in seen)


def _ask_node(declared: str, asking: RedisNodeClient, deadline: Deadline) -> RedisNode:
    where, login = asking.where, asking.login
    began = time.monotonic()
    ping, info, save = asking.ask(_COMMANDS, deadline)
    seconds = time.monotonic() - began
    for answer in (ping, info):
        if isinstance(answer, Exception) and _error_code(answer) not in _ALIVE:
            raise EvidenceProblem(explain(answer, where, deadline, login[1] or ""))
    if not isinstance(ping, Exception) and ping != "PONG":
        what = f"{where}: PING was not answered with PONG"
        raise EvidenceProblem(Problem("protocol", what, "is this the right port?"))
    if isinstance(info, Exception):
        if _error_code(info) == "LOADING":
            return RedisNode(declared, seconds, loading=True, persistence_known=False)
        raise EvidenceProblem(explain(info, where, deadline, login[1] or ""))
    node = _node(declared, where, fields_of(info), _saves(save), seconds)
    if isinstance(ping, Exception) and _error_code(ping) == "MASTERDOWN" and node.link_up:
        # the two are a moment apart: the replica refused to answer, whatever its link is now
        raise EvidenceProblem(explain(ping, where, deadline))
    return node


def _error_code(error: Exception) -> str:
    """The code that an error begins with."""
    return str(error).partition(" ")[0]


def _saves(answer: Any) -> bool | None:
    """Whether snapshots are configured; None where CONFIG may not be read or is renamed."""
    if isinstance(answer, list) and len(answer) == 2 and answer[0] == "save" and isinstance(answer[1], str):
        return bool(answer[1].strip())
    return None


def fields_of(info: object) -> dict[str, str]:
    """The lines "name:value" of INFO."""
    if not isinstance(info, str):
        return {}
    lines = (line.partition(":") for line in info.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, colon, value in lines if colon}


def _node(declared: str, where: str, fields: dict[str, str], saves: bool | None, seconds: float) -> RedisNode:
    def number(name: str, default: str = "") -> int:
        value = fields.get(name, default)
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            what = f"{where}: INFO has no number {name}"
            raise EvidenceProblem(Problem("protocol", what, "is this Redis or Valkey?"))
        return int(value)

    role = fields.get("role", "")
    if role not in ("master", "slave"):
        raise EvidenceProblem(Problem("protocol", f"{where}: INFO tells no role of a data node", "is this a Sentinel?"))
    good = ("ok", None)
    save_ok = fields.get("rdb_last_bgsave_status") == "ok"
    # a snapshot that was taken tells that they are on; that none was yet tells nothing
    taken = fields.get("rdb_last_bgsave_time_sec", "-1") != "-1" or not save_ok
    held = [(int(found[1]), int(found[2])) for name, value in fields.items()
            if name.startswith("db") and (found := _KEYSPACE.match(value))]  # fmt: skip
    now = number("server_time_usec") / 1e6 if "server_time_usec" in fields else time.time()
    return RedisNode(
        address=declared,
        seconds=seconds,
        version=(fields.get("valkey_version") or fields.get("redis_version", ""))[:40],
        role=role,
        loading=number("loading") != 0,
        link_up=fields.get("master_link_status") == "up",
        syncing=fields.get("master_sync_in_progress", "0") != "0",
        read_only=fields.get("slave_read_only", "1") != "0",
        replicas=number("connected_slaves"),
        clients=number("connected_clients", "0") + number("connected_slaves"),
        maxclients=number("maxclients", "0"),
        used_memory=max(number("used_memory") - number("mem_not_counted_for_evict", "0"), 0),
        maxmemory=number("maxmemory"),
        resident=number("used_memory_rss", "0"),
        machine_memory=number("total_system_memory", "0"),
        policy=fields.get("maxmemory_policy", "")[:40],
        keys=sum(keys for keys, _ in held),
        expiring=sum(expiring for _, expiring in held),
        history=fields.get("master_replid", "")[:64],
        cluster=RedisCluster(None) if fields.get("cluster_enabled") == "1" else None,
        saves=taken if saves is None else saves,
        save_ok=save_ok,
        save_age=max(now - number("rdb_last_save_time"), 0.0),
        changes_unsaved=number("rdb_changes_since_last_save"),
        aof=number("aof_enabled") != 0,
        aof_ok=fields.get("aof_last_write_status") in good and fields.get("aof_last_bgrewrite_status") in good,
        persistence_known=saves is not None,
        saving=_duration(fields, "rdb_current_bgsave_time_sec"),
        save_took=_duration(fields, "rdb_last_bgsave_time_sec") or 0.0,
        rewriting=_duration(fields, "aof_current_rewrite_time_sec"),
        rewrite_took=_duration(fields, "aof_last_rewrite_time_sec") or 0.0,
    )


def _duration(fields: dict[str, str], name: str) -> float | None:
    """Seconds; None for -1, which says that there is none."""
    value = fields.get(name, "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
