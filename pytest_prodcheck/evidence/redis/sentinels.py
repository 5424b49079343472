"""`redis-sentinels`: the Sentinels of a Redis group, and which of its nodes they send clients to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.nodes import MARGIN, ask_nodes
from pytest_prodcheck.evidence.network.transport import address_text
from pytest_prodcheck.evidence.redis.commands import RedisNodeClient, explain, login_of, tls_of, trust_of
from pytest_prodcheck.evidence.redis.group import fields_of, node_host
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.stores import RedisSentinels, Sentinel, SentinelReplica

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.redis import Redis
    from pytest_prodcheck.environments.sections.redis import RedisSentinels as Settings
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

PASSES = 11.0  # seconds in which a Sentinel hears of a change: it asks the nodes every ten
BETWEEN = 1.0  # seconds between two looks
_DENIED = ("NOPERM", "ERR UNKNOWN COMMAND", "ERR UNKNOWN SUBCOMMAND")
_MOST_REPLICAS = 200


@dataclass(frozen=True)
class _Node:
    """One data node of the group: who it says it is."""

    address: str
    problem: Problem | None = None
    run_id: str = ""
    role: str = ""


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.redis[target]
    what = "Sentinel PING, INFO, SENTINEL MASTER, REPLICAS and CKQUORUM; again while it changes"
    sentinels = settings.sentinels.nodes if settings.sentinels else ()
    return (*(Sending(each, what) for each in sentinels), *(Sending(each, "Redis INFO") for each in settings.nodes))


def _seconds(target: str, environment: Environment) -> float:
    return PASSES + 2 * (environment.redis[target].timeout + 2 * MARGIN)


@evidence("redis-sentinels", axis="redis", feature="sentinels", seconds=_seconds, host=node_host, sends=_sends)
def redis_sentinels(target: str, context: Context, deadline: Deadline) -> RedisSentinels:
    """What each Sentinel says of the group, and each node of itself; asked again for 11 s while they do not agree.

    A Sentinel that does not answer has a problem of its own. Raises EvidenceProblem where nobody can be asked.
    """
    end = time.monotonic() + PASSES
    while True:
        found = _sample_sentinels(target, context, deadline)
        if _is_stable(found) or time.monotonic() + BETWEEN > end or deadline.time_left() < 2 * BETWEEN:
            return found
        time.sleep(BETWEEN)


def _is_stable(found: RedisSentinels) -> bool:
    """Whether there is nothing that time alone may change."""
    return all(
        not each.tilt and not each.no_quorum and "master" in each.flags and len(each.flags) == 1
        and each.run_id in found.primaries and each.known == len(found.sentinels)
        and {replica.run_id for replica in each.replicas} == set(found.replicas)
        for each in found.sentinels if each.problem is None and not each.refused and not each.denied
    )  # fmt: skip


def _sample_sentinels(target: str, context: Context, deadline: Deadline) -> RedisSentinels:
    settings = context.environment.redis[target]
    if settings.sentinels is None:
        raise EvidenceProblem(Problem("configuration", f"redis {target}: no sentinels are declared"))
    login, trust = login_of(target, context), trust_of(settings, context)
    declared = settings.sentinels
    secret = context.secret(declared.password) if declared.password else None

    def sentinel(address: str, where: str, found: ResolvedAddress, until: Deadline) -> Sentinel:
        asking = RedisNodeClient(where, found, tls_of(trust, address), (declared.user, secret))
        return _ask_sentinel(address, asking, declared, until.at_most(settings.timeout))

    def node(address: str, where: str, found: ResolvedAddress, until: Deadline) -> _Node:
        asking = RedisNodeClient(where, found, tls_of(trust, address), login)
        return _ask_node(address, asking, until.at_most(settings.timeout))

    part = deadline.at_most(settings.timeout + 2 * MARGIN)
    told = ask_nodes(declared.nodes, sentinel, lambda at, problem, _: Sentinel(at, problem),
                     lambda each: bool(each.refused or each.no_quorum), context, part)  # fmt: skip
    nodes = ask_nodes(settings.nodes, node, lambda at, problem, _: _Node(at, problem), lambda each: False, context,
                      deadline.at_most(settings.timeout + 2 * MARGIN))  # fmt: skip
    return _record(declared, settings, told, nodes)


def _record(declared: Settings, settings: Redis, told: list[Sentinel], nodes: list[_Node]) -> RedisSentinels:
    by_role = {role: {each.run_id: each.address for each in nodes if each.role == role} for role in ("master", "slave")}
    silent = tuple(each.address for each in nodes if each.problem is not None)
    return RedisSentinels(
        declared.name, tuple(told), by_role["master"], by_role["slave"], silent, settings.expect.replicas
    )


def _ask_node(address: str, asking: RedisNodeClient, deadline: Deadline) -> _Node:
    (info,) = asking.ask((("INFO",),), deadline)
    if isinstance(info, Exception):
        raise EvidenceProblem(explain(info, asking.where, deadline, asking.login[1] or ""))
    fields = fields_of(info)
    return _Node(address, None, fields.get("run_id", "")[:64], fields.get("role", ""))


def _ask_sentinel(address: str, asking: RedisNodeClient, declared: Settings, deadline: Deadline) -> Sentinel:
    name = declared.name
    info, primary, replicas, quorum = asking.ask(
        (("INFO", "sentinel"), ("SENTINEL", "MASTER", name), ("SENTINEL", "REPLICAS", name),
         ("SENTINEL", "CKQUORUM", name)), deadline,
    )  # fmt: skip
    for answer in (info, primary, replicas, quorum):
        if isinstance(answer, Exception) and str(answer).upper().startswith(_DENIED):
            return Sentinel(address, denied=asking.words(answer))
    if isinstance(info, Exception):
        raise EvidenceProblem(explain(info, asking.where, deadline, asking.login[1] or ""))
    if isinstance(primary, Exception):
        return Sentinel(address, refused=asking.words(primary))
    fields, told = _table(primary), fields_of(info)
    if not fields.get("port") or not told:
        what = f"{asking.where}: what it told of {name} is no answer of a Sentinel"
        raise EvidenceProblem(Problem("protocol", what, "is this a Sentinel's port?"))
    return Sentinel(
        address, tilt=told.get("sentinel_tilt", "0") != "0", primary=_address(fields),
        run_id=fields.get("runid", "")[:64], flags=_flags(fields), quorum=_number(fields, "quorum"),
        known=_number(fields, "num-other-sentinels") + 1,
        no_quorum=asking.words(quorum) if isinstance(quorum, Exception) else "",
        replicas=_replicas(replicas),
    )  # fmt: skip


def _table(answer: Any) -> dict[str, str]:
    """Names and values that come in turn."""
    if not isinstance(answer, list):
        return {}
    words = [plain(str(each), 200) for each in answer]
    return dict(zip(words[::2], words[1::2], strict=False))


def _replicas(answer: Any) -> tuple[SentinelReplica, ...]:
    found = [_table(each) for each in answer[:_MOST_REPLICAS]] if isinstance(answer, list) else []
    return tuple(
        SentinelReplica(
            _address(each), each.get("runid", "")[:64],
            _flags(each) == ("slave",) and each.get("master-link-status") == "ok"
            and each.get("slave-priority", "100") != "0",
        ) for each in found
    )  # fmt: skip


def _address(fields: dict[str, str]) -> str:
    return address_text(fields.get("ip", ""), _number(fields, "port"))


def _flags(fields: dict[str, str]) -> tuple[str, ...]:
    return tuple(sorted(filter(None, fields.get("flags", "").split(","))))


def _number(fields: dict[str, str], name: str) -> int:
    value = fields.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0
