"""Groups as people run them: Redis Cluster, Sentinel, several primaries; policies that have nothing to evict."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.evidence.contexts import context, gather
from tests.evidence.redis.topologies import Server, cluster, servers, until
from tests.judged import outcomes


def outcomes_of_checks(nodes: list[Server], primaries: int = 1, replicas: int = 0, **settings: Any) -> dict[str, str]:
    """What each Redis check says: "passed", or the first reason."""
    from suites.data_integrity.test_storage import test_replicas_keep_up
    from suites.smoke import test_redis as smoke

    expect = {"primaries": primaries, "replicas": replicas}
    given = context(redis={"x": {"nodes": [node.at for node in nodes], "expect": expect, "timeout": "3s", **settings}})
    group, writes = gather("redis-group", "x", given), gather("redis-writes", "x", given)
    checks: dict[str, tuple[Callable[..., None], Any]] = {
        "responds": (smoke.test_every_node_answers, group),
        "roles": (smoke.test_roles_are_as_expected, group),
        "memory": (smoke.test_memory_is_left_where_nothing_may_be_evicted, group),
        "writes": (smoke.test_primaries_take_writes, writes),
    }
    if replicas:
        checks["replication"] = (test_replicas_keep_up, gather("redis-replication", "x", given))
    return {name: outcomes(check, evidence) for name, (check, evidence) in checks.items()}


def red(found: dict[str, str]) -> dict[str, str]:
    return {name: said for name, said in found.items() if said != "passed"}


@pytest.fixture(scope="module")
def one_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    with cluster(tmp_path_factory.mktemp("cluster"), 2) as nodes:
        yield nodes


@contextlib.contextmanager
def slot_lost(nodes: list[Server]) -> Iterator[None]:
    for node in nodes:
        with contextlib.suppress(Exception):
            node.do("CLUSTER", "DELSLOTS", 0)
    until(lambda: nodes[0].cluster()["cluster_slots_assigned"] == "16383")
    yield
    nodes[0].do("CLUSTER", "ADDSLOTS", 0)
    until(lambda: all(node.cluster()["cluster_state"] == "ok" for node in nodes))
    until(lambda: all(node.cluster()["cluster_slots_ok"] == "16384" for node in nodes))


def test_a_cluster_with_replicas(one_cluster: list[Server]) -> None:
    assert red(outcomes_of_checks(one_cluster, 3, 2)) == {}


def test_a_cluster_that_serves_nobody(one_cluster: list[Server]) -> None:
    """AspNetCore.Diagnostics.HealthChecks#732: every node answers PING, and every command says CLUSTERDOWN."""
    with slot_lost(one_cluster[:3]):
        until(lambda: one_cluster[0].cluster()["cluster_state"] == "fail")
        found = red(outcomes_of_checks(one_cluster[:3], 3))
    assert set(found) == {"roles", "writes"}
    assert "it is fail" in found["roles"]
    assert "CLUSTERDOWN" in found["writes"]


def test_a_cluster_that_serves_a_part(one_cluster: list[Server]) -> None:
    """Without cluster-require-full-coverage the state stays "ok" while the keys of a slot cannot be read."""
    for node in one_cluster:
        node.do("CONFIG", "SET", "cluster-require-full-coverage", "no")
    with slot_lost(one_cluster[:3]):
        found = red(outcomes_of_checks(one_cluster[:3], 3))
    for node in one_cluster:
        node.do("CONFIG", "SET", "cluster-require-full-coverage", "yes")
    assert "16383 of 16384" in found["roles"]


def test_a_full_primary_of_a_cluster(one_cluster: list[Server]) -> None:
    """The key that is tried lies in a slot of the node itself: another would be answered with MOVED."""
    full = one_cluster[1]
    full.do("CONFIG", "SET", "maxmemory", 1000)
    found = red(outcomes_of_checks(one_cluster, 3, 2))
    full.do("CONFIG", "SET", "maxmemory", 0)
    assert set(found) == {"memory", "writes"}
    assert f"{full.at}: OOM" in found["writes"]


def test_a_user_who_may_not_ask_about_the_cluster(one_cluster: list[Server]) -> None:
    for node in one_cluster:
        node.do("ACL", "SETUSER", "watcher", "on", ">secret", "+ping", "+info", "~prodcheck:*")
    found = outcomes_of_checks(one_cluster, 3, 2, user="watcher", password={"file": "secret"})
    assert "+cluster|info" in found["roles"]
    assert "+set ~prodcheck:*" in found["writes"]
    for node in one_cluster:
        node.do("ACL", "SETUSER", "watcher", "+set", "+cluster|info", "+cluster|nodes")
    assert red(outcomes_of_checks(one_cluster, 3, 2, user="watcher", password={"file": "secret"})) == {}
    for node in one_cluster:
        node.do("ACL", "DELUSER", "watcher")


def test_a_slot_that_is_on_its_way(one_cluster: list[Server]) -> None:
    """A reshard that goes on, or that was never ended: redis-cli --cluster check warns of open slots, too."""
    first, second = one_cluster[:2]
    second.do("CLUSTER", "SETSLOT", 7, "IMPORTING", first.do("CLUSTER", "MYID"))
    found = outcomes_of_checks(one_cluster, 3, 2)
    second.do("CLUSTER", "SETSLOT", 7, "STABLE")
    assert found["roles"].startswith("warned")
    assert "slots being moved" in found["roles"]


def test_a_node_that_others_find_failing(one_cluster: list[Server]) -> None:
    """It answers us, and the others do not reach it, or serve its slots: its clients write what will be lost."""
    from pytest_prodcheck.records.stores import RedisCluster, RedisGroup, RedisNode
    from suites.smoke.test_redis import test_roles_are_as_expected as roles

    good = gather("redis-group", "x", context(redis={"x": {"nodes": [each.at for each in one_cluster]}}))
    a, b = good.nodes[:2]
    assert isinstance(a, RedisNode)
    assert isinstance(a.cluster, RedisCluster)
    seen = replace(a.cluster, failing={b.cluster.id: b.address})
    gone = replace(a.cluster, failing={"0" * 40: "127.0.0.1:9"})
    other = replace(a.cluster, map="another")
    for cluster_seen, outcome in ((seen, "failed"), (gone, "warned"), (other, "failed"), (a.cluster, "passed")):
        group = RedisGroup((replace(a, cluster=cluster_seen), *good.nodes[1:]), 3, 2, None)
        assert outcomes(roles, group).startswith(outcome)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers(tmp_path_factory.mktemp("alone"), ()) as (server,):
        yield server


def fill_memory(server: Server, policy: str, expiring: int) -> str:
    """Fills the memory with 3,000 keys, so many of them with a time to live; returns what a write is answered."""
    server.do("FLUSHALL")
    script = "for i = 1, 3000 do redis.call('SET', 'k' .. i, string.rep('x', 400)) end"
    script += f" for i = 1, {expiring} do redis.call('EXPIRE', 'k' .. i, 3600) end"
    server.do("EVAL", script, 0)
    server.do("CONFIG", "SET", "maxmemory-policy", policy)
    server.do("CONFIG", "SET", "maxmemory", int(server.info("memory")["used_memory"]) - 2000)
    try:
        server.do("SET", "cart", "1")
    except Exception as error:
        return str(error)
    return ""


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-ttl", "volatile-random", "volatile-lfu", "noeviction"])
def test_nothing_can_be_evicted(alone: Server, policy: str) -> None:
    """opencollective-api#10005: OOM under volatile-lru, for no key has a time to live."""
    refused = fill_memory(alone, policy, 0)
    found = red(outcomes_of_checks([alone]))
    alone.do("CONFIG", "SET", "maxmemory", 0)
    assert "command not allowed" in refused
    assert set(found) == {"memory", "writes"}
    assert "OOM" in found["writes"]


@pytest.mark.parametrize(("policy", "expiring"), [("volatile-lru", 2000), ("allkeys-lru", 0), ("allkeys-lfu", 0)])
def test_a_full_cache_that_evicts(alone: Server, policy: str, expiring: int) -> None:
    refused = fill_memory(alone, policy, expiring)
    found = red(outcomes_of_checks([alone]))
    alone.do("CONFIG", "SET", "maxmemory", 0)
    assert not refused
    assert found == {}


def test_hardly_anything_can_be_evicted(alone: Server) -> None:
    """shopware/docs#2362: sets of cache tags without a time to live fill a cache that is full, but evicts still."""
    refused = fill_memory(alone, "volatile-lru", 200)
    found = red(outcomes_of_checks([alone]))
    alone.do("CONFIG", "SET", "maxmemory", 0)
    assert not refused
    assert set(found) == {"memory"}
    assert found["memory"].startswith("warned")


def test_trying_changes_nothing(alone: Server) -> None:
    alone.do("FLUSHALL")
    before = alone.info("persistence")["rdb_changes_since_last_save"], alone.do("DBSIZE")
    assert outcomes_of_checks([alone])["writes"] == "passed"
    assert (alone.info("persistence")["rdb_changes_since_last_save"], alone.do("DBSIZE")) == before


def test_writes_that_are_paused(alone: Server) -> None:
    """A failover that was begun and never ended: every write waits, PING and reads are answered."""
    alone.do("CLIENT", "PAUSE", 60000, "WRITE")
    found = red(outcomes_of_checks([alone]))
    alone.do("CLIENT", "UNPAUSE")
    assert set(found) == {"writes"}
    assert "paused" in found["writes"]


def test_a_replica_of_another_primary(tmp_path: Path) -> None:
    """Its link is up and its data are another shop's: a replication id tells whom it follows."""
    with servers(tmp_path, (), (), ()) as (primary, other, replica):
        for to, good in ((other, False), (primary, True)):
            replica.do("REPLICAOF", "127.0.0.1", to.port)
            until(lambda to=to: replica.info("replication")["master_replid"] == to.info("replication")["master_replid"])  # type: ignore[misc]
            until(lambda: replica.info("replication")["master_link_status"] == "up")
            found = red(outcomes_of_checks([primary, replica], 1, 1))
            assert set(found) == (set() if good else {"roles", "replication"})


def test_a_group_under_sentinel(tmp_path: Path) -> None:
    """A real failover by a Sentinel: the roles swap, the survivors follow the new primary, and all is good again."""
    with servers(tmp_path, (), (), ()) as (primary, second, third):
        for node in (second, third):
            node.do("REPLICAOF", "127.0.0.1", primary.port)
            until(lambda node=node: node.info("replication")["master_link_status"] == "up")  # type: ignore[misc]
        until(lambda: primary.info("replication")["connected_slaves"] == 2)
        watch = (f"sentinel monitor shop 127.0.0.1 {primary.port} 1", "sentinel down-after-milliseconds shop 60000")
        sentinel = Server(tmp_path, *watch, sentinel=True)
        try:
            assert red(outcomes_of_checks([primary, second, third], 1, 2)) == {}
            until(lambda: len(sentinel.do("SENTINEL", "REPLICAS", "shop")) == 2, 30)
            sentinel.do("SENTINEL", "FAILOVER", "shop")
            until(lambda: primary.info("replication")["role"] == "slave", 40)
            until(lambda: all(node.info("replication").get("master_link_status", "up") == "up"
                              for node in (primary, second, third)), 40)  # fmt: skip
            new = next(node for node in (second, third) if node.info("replication")["role"] == "master")
            until(lambda: new.info("replication")["connected_slaves"] == 2, 40)
            assert red(outcomes_of_checks([primary, second, third], 1, 2)) == {}
            from pytest_prodcheck.evidence.deadlines import Deadline
            from pytest_prodcheck.evidence.table import find

            given = context(redis={"x": {"nodes": [sentinel.at]}})
            group = find("redis-group").gather("x", given, Deadline(5))
            assert "Sentinel" in str(group.nodes[0].problem)
        finally:
            sentinel.end()
