"""Redis: answers, has the roles it should have, memory and persistence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import RedisGroup, RedisNode


def _answering(group: RedisGroup) -> list[RedisNode]:
    return [node for node in group.nodes if node.problem is None and not node.loading]


@check("smoke.redis.responds", severity="critical", runbook="redis-responds")
def test_every_node_answers(redis_group: RedisGroup) -> None:
    """Every declared node answers PING and is not loading its data."""
    for node in redis_group.nodes:
        if judge("answers", node.problem is None, of=node.address, reason=str(node.problem or "")):
            judge("has its data", not node.loading, of=node.address, reason="it is still loading its data set")


@check("smoke.redis.roles", severity="critical", runbook="redis-roles")
def test_roles_are_as_expected(redis_group: RedisGroup) -> None:
    """As many primaries and replicas as expected, and every replica's link is up."""
    nodes = _answering(redis_group)
    for role, word, wanted in (
        ("master", "primaries", redis_group.expected_primaries),
        ("slave", "replicas", redis_group.expected_replicas),
    ):
        found = [node.address for node in nodes if node.role == role]
        judge(word, len(found), equals=wanted, reason=f"found {', '.join(found) or 'none'}, expected {wanted}")
    for node in nodes:
        if node.role == "slave":
            state = "it is loading its first copy" if node.syncing else "the link to its primary is down"
            judge("replica link", node.link_up, of=node.address, reason=state)


@check("smoke.redis.memory", severity="high", limit=Limit(warn="80%", fail="95%"), runbook="redis-memory")
def test_memory_is_left_where_nothing_may_be_evicted(redis_group: RedisGroup, limit: Limit) -> None:
    """The used share of maxmemory, only where the policy is `noeviction`; a full cache that evicts is healthy."""
    for node in _answering(redis_group):
        if node.policy != "noeviction" or not node.maxmemory:
            may = f"policy {node.policy}" if node.maxmemory else "no maxmemory"
            judge("a full memory refuses writes", "no", equals="no", of=f"{node.address} ({may})")
            continue
        judge("memory used", 100 * node.used_memory / node.maxmemory, at_most=limit, unit="%", of=node.address)


@check("smoke.redis.persistence", severity="high", runbook="redis-persistence")
def test_what_is_saved_is_saved(redis_group: RedisGroup) -> None:
    """The last snapshot and the append-only file are good, where persistence is on; it is on where declared."""
    nodes = _answering(redis_group)
    for node in nodes if redis_group.persistence is not None else ():
        on = node.saves or node.aof
        known = on or node.persistence_known
        why = "" if known else "CONFIG may not be read, and INFO does not tell"
        judge("persistence is on", on if known else None, equals=redis_group.persistence, of=node.address, reason=why)
    for node in nodes:
        if node.saves or not node.save_ok:
            judge("last snapshot", node.save_ok, of=node.address, reason="the last save failed")
        if node.aof:
            judge("append-only file", node.aof_ok, of=node.address, reason="the last write or rewrite failed")
        if not node.saves and not node.aof and redis_group.persistence is None:
            judge("nothing is persisted", "by configuration", equals="by configuration", of=node.address)
