"""Redis: answers, has the roles it should have, memory and persistence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import RedisCluster, RedisGroup, RedisNode, RedisWrites

SLOTS = 16384  # of every Redis Cluster
ENDLESS = Limit(warn="10m", fail="1h")  # while its child hangs, no other save begins
NOT_EVICTABLE = Limit(warn="80%")  # with more, what may be evicted is hardly enough


def _answering(group: RedisGroup) -> list[RedisNode]:
    return [node for node in group.nodes if node.problem is None and not node.loading]


def _answering_some(group: RedisGroup) -> list[RedisNode]:
    """The same; raises EvidenceProblem where no node answers."""
    if nodes := _answering(group):
        return nodes
    loading = Problem("invalid", "every node is still loading its data")
    raise EvidenceProblem(next((node.problem for node in group.nodes if node.problem is not None), loading))


@check("smoke.redis.responds", severity="critical", runbook="redis-responds")
def test_every_node_answers(redis_group: RedisGroup) -> None:
    """Every declared node answers PING, with its data loaded."""
    for node in redis_group.nodes:
        if judge("answers", node.problem is None, of=node.address, reason=str(node.problem or "")):
            judge("has its data", not node.loading, of=node.address, reason="it is still loading its data set")


@check("smoke.redis.roles", severity="critical", runbook="redis-roles")
def test_roles_are_as_expected(redis_group: RedisGroup) -> None:
    """The expected primaries and replicas are there, every replica is linked to a primary, a cluster is complete."""
    nodes = _answering(redis_group)
    for role, word, wanted in (
        ("master", "primaries", redis_group.expected_primaries),
        ("slave", "replicas", redis_group.expected_replicas),
    ):
        found = [node.address for node in nodes if node.role == role]
        judge(word, len(found), equals=wanted, reason=f"found {', '.join(found) or 'none'}, expected {wanted}")
    histories = {node.history for node in nodes if node.role == "master" and node.history}
    for node in nodes:
        if node.role == "slave":
            state = "it is loading its first copy" if node.syncing else "the link to its primary is down"
            if judge("replica link", node.link_up, of=node.address, reason=state) and node.history and histories:
                why = "its replication id belongs to no declared primary: it replicates from an undeclared one"
                judge("follows a primary of this group", node.history in histories, of=node.address, reason=why)
            why = "replica-read-only is no: what clients write there is on no other node, and lost with the next copy"
            judge("replica is read-only", node.read_only, of=node.address, warn_only=True, reason=why)
    clustered = [node for node in nodes if node.cluster is not None]
    if clustered:
        _clusters(clustered, redis_group)


def _clusters(nodes: list[RedisNode], group: RedisGroup) -> None:
    """A cluster is whole, and its nodes see each other and agree who serves which slots."""
    here = {node.cluster.id: node.address for node in nodes if node.cluster is not None and node.cluster.id}
    for node in nodes:
        if node.cluster is not None:
            _cluster(node.cluster, node.address)
            for name, address in node.cluster.failing.items():
                judge("reaches the other nodes", False, of=node.address, warn_only=name not in here,
                      reason=f"it reports {here.get(name, address)} as failing")  # fmt: skip
        if node.role == "master" and group.expected_replicas >= group.expected_primaries:
            judge("replicas of a primary", node.replicas, at_least=Limit(warn=1), of=node.address,
                  reason="without a replica, its slots are lost if this primary fails")  # fmt: skip
    maps = {node.cluster.map for node in nodes if node.cluster is not None and node.cluster.map}
    judge("nodes agree on the slot map", len(maps) <= 1, reason=f"there are {len(maps)} different slot maps")


def _cluster(cluster: RedisCluster, address: str) -> None:
    judge("cluster state", cluster.state, equals="ok", of=address,
          reason=f"it is {cluster.state}" if cluster.state else "allow +cluster|info")  # fmt: skip
    if cluster.state is not None:
        judge("slots served", cluster.slots_served, equals=SLOTS, of=address,
              reason=f"{cluster.slots_served} of {SLOTS}: keys in the others cannot be read")  # fmt: skip
        judge("slots being moved", cluster.moving, at_most=Limit(warn=0), of=address, reason="is a reshard going on?")


@check("smoke.redis.connections", severity="high", limit=Limit(warn="75%", fail="90%"), runbook="redis-connections")
def test_connections_are_left(redis_group: RedisGroup, limit: Limit) -> None:
    """The used share of maxclients; nodes that do not tell it (before Redis 7) are only counted."""
    full = [node for node in redis_group.nodes if node.problem is not None and node.problem.kind == "full"]
    for node in full:
        judge("connections used", 100.0, at_most=limit, unit="%", of=node.address)
    silent = 0
    for node in _answering(redis_group) if full else _answering_some(redis_group):
        if node.maxclients:
            judge("connections used", 100 * node.clients / node.maxclients, at_most=limit, unit="%", of=node.address,
                  reason=f"{node.clients} of maxclients {node.maxclients}")  # fmt: skip
        else:
            silent += 1
    judge("nodes that do not tell maxclients", silent, at_least=0)


@check("smoke.redis.memory", severity="high", limit=Limit(warn="80%", fail="95%"), runbook="redis-memory",
       fixed={"memory whose keys may not be evicted": NOT_EVICTABLE})  # fmt: skip
def test_memory_is_left_where_nothing_may_be_evicted(redis_group: RedisGroup, limit: Limit) -> None:
    """The used share of maxmemory if nothing can be evicted; a full cache that can evict passes.

    With `noeviction` no key can be evicted; with the volatile policies, no key without a time to live. Without a
    maxmemory, or with one above the machine's memory, the share of that is checked.
    """
    for node in _answering_some(redis_group):
        if node.machine_memory and not 0 < node.maxmemory <= node.machine_memory:
            none = f"maxmemory is {node.maxmemory or 'not set'}, and the machine has {node.machine_memory}"
            judge("memory of the machine used", 100 * node.resident / node.machine_memory, at_most=limit, unit="%",
                  of=node.address, reason=f"{none}: the kernel ends Redis when it is full")  # fmt: skip
        if not node.maxmemory or _evictable(node):
            may = f"policy {node.policy}, {_evictable(node)} keys can be evicted" if node.maxmemory else "no maxmemory"
            judge("a full memory refuses writes", "no", equals="no", of=f"{node.address} ({may})")
            if node.maxmemory and node.policy.startswith("volatile") and node.keys:
                stays = 100 * node.used_memory / node.maxmemory * (1 - _evictable(node) / node.keys)
                why = f"policy {node.policy}, {_evictable(node)} of {node.keys} keys may be evicted"
                judge("memory whose keys may not be evicted", stays, at_most=NOT_EVICTABLE, unit="%", of=node.address,
                      reason=why)  # fmt: skip
            continue
        why = f"policy {node.policy}, and no key may be evicted"
        judge("memory used", 100 * node.used_memory / node.maxmemory, at_most=limit, unit="%", of=node.address,
              reason=why)  # fmt: skip


def _evictable(node: RedisNode) -> int:
    if node.policy == "noeviction":
        return 0
    return node.expiring if node.policy.startswith("volatile") else node.keys


@check("smoke.redis.writes", severity="critical", runbook="redis-writes")
def test_primaries_take_writes(redis_writes: RedisWrites) -> None:
    """Every primary accepts a SET that changes nothing: memory, replicas, disk and cluster allow writes."""
    primaries = [node for node in redis_writes.nodes if node.problem is None and node.role == "master"]
    for node in primaries:
        allow = f"{node.denied}: ACL SETUSER … +set ~prodcheck:*, or set try_writes = false"
        judge("takes writes", None if node.answer is None else not node.answer, equals=True, of=node.address,
              reason=node.answer or allow)  # fmt: skip
    silent = [f"{node.address}: {node.problem}" for node in redis_writes.nodes if node.problem is not None]
    if len(primaries) < redis_writes.expected_primaries:
        judge("primaries checked", None if silent else len(primaries),
              at_least=redis_writes.expected_primaries, reason="; ".join(silent))  # fmt: skip


@check("smoke.redis.persistence", severity="high", runbook="redis-persistence",
       fixed={"duration of a save that takes ten times as long as the last one": ENDLESS})  # fmt: skip
def test_what_is_saved_is_saved(redis_group: RedisGroup) -> None:
    """Persistence is on as declared, and the last snapshot and append-only file are good."""
    nodes = _answering_some(redis_group)
    for node in nodes if redis_group.persistence is not None else ():
        on = node.saves or node.aof
        known = on or node.persistence_known
        why = "" if known else "prodcheck may not read CONFIG, and INFO does not show it"
        judge("persistence is on", on if known else None, equals=bool(redis_group.persistence),
              of=node.address, reason=why)  # fmt: skip
    for node in nodes:
        if node.saves or not node.save_ok:
            judge("last snapshot", node.save_ok, of=node.address, reason="the last save failed")
        if node.aof:
            judge("append-only file", node.aof_ok, of=node.address, reason="the last write or rewrite failed")
        _ends("snapshot under way", node.saving, node.save_took, node)
        _ends("rewrite of the append-only file under way", node.rewriting, node.rewrite_took, node)
        if not node.saves and not node.aof and redis_group.persistence is None:
            judge("nothing is persisted", "by configuration", equals="by configuration", of=node.address)


def _ends(what: str, seconds: float | None, usual: float, node: RedisNode) -> None:
    """Whether a save that is under way may still end: one of much data takes long each time."""
    if seconds is not None and seconds > 10 * usual:
        judge(what, seconds, at_most=ENDLESS, unit="s", of=node.address,
              reason=f"the last one took {usual:.0f} s; nothing else is saved until its process ends")  # fmt: skip
