"""Redis groups whose every node answers PING while users' writes do not arrive, or arrive elsewhere."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

from suites.smoke.test_redis import (
    test_connections_are_left,
    test_memory_is_left_where_nothing_may_be_evicted,
    test_what_is_saved_is_saved,
)
from tests.evidence.contexts import context, gather
from tests.evidence.redis.test_topologies import outcomes_of_checks, red
from tests.evidence.redis.topologies import Server, servers, until
from tests.judged import outcomes


def test_replicas_that_do_not_come_back_after_a_failover(tmp_path: Path) -> None:
    """DandyDeveloper/charts#52, helm/charts#11565: the new primary answers NOREPLICAS to every write."""
    with servers(tmp_path, ("min-replicas-to-write 1",), ()) as (primary, replica):
        replica.do("REPLICAOF", "127.0.0.1", primary.port)
        until(lambda: primary.info("replication").get("min_slaves_good_slaves") == 1)
        assert red(outcomes_of_checks([primary, replica], 1, 1)) == {}
        replica.do("REPLICAOF", "NO", "ONE")
        until(lambda: primary.info("replication").get("min_slaves_good_slaves") == 0)
        found = red(outcomes_of_checks([primary], 1, 0))
        assert set(found) == {"writes"}
        assert "NOREPLICAS" in found["writes"]


def test_a_replica_that_follows_the_primary_of_another_group(tmp_path: Path) -> None:
    """redis#14427: told to follow another group, its link is up; a Sentinel would promote it with the other's data."""
    with servers(tmp_path, (), (), ()) as (ours, other, replica):
        for to in (ours, other):
            replica.do("REPLICAOF", "127.0.0.1", to.port)
            until(lambda to=to: to.info("replication")["connected_slaves"] == 1)  # type: ignore[misc]
            until(lambda: replica.info("replication")["master_link_status"] == "up")
        found = red(outcomes_of_checks([ours, replica], 1, 1))
    assert set(found) == {"roles", "replication"}
    assert "from an undeclared one" in found["roles"]


def test_a_pause_that_was_never_taken_back(tmp_path: Path) -> None:
    """redis#9467, #10985: after FAILOVER or CLIENT PAUSE … WRITE reads and PING go on, writes hang."""
    with servers(tmp_path, ()) as (server,):
        server.do("CLIENT", "PAUSE", 600000, "WRITE")
        found = red(outcomes_of_checks([server]))
        server.do("CLIENT", "UNPAUSE")
        assert set(found) == {"writes"}
        assert red(outcomes_of_checks([server])) == {}


def test_the_append_only_file_is_not_rewritten(tmp_path: Path) -> None:
    """redis#4778, #586: writes are taken, and the file grows until the disk is full; only INFO tells."""
    with servers(tmp_path, ("appendonly yes",)) as (server,):
        until(lambda: server.info("persistence")["aof_rewrite_in_progress"] == 0)
        assert persistence(server) == "passed"
        place = tmp_path / str(server.port) / "appendonlydir"
        place.rename(tmp_path / "moved")
        place.touch()
        with contextlib.suppress(Exception):
            server.do("BGREWRITEAOF")
        until(lambda: server.info("persistence")["aof_last_bgrewrite_status"] == "err")
        assert red(outcomes_of_checks([server])) == {}
        assert "the last write or rewrite failed" in persistence(server)


def test_a_snapshot_that_never_ends(tmp_path: Path) -> None:
    """KeyDB#435, #675, RedisGraph#599, valkey#2322: its process hangs, the last status is "ok"."""
    with servers(tmp_path, ("save 900 1", "rdb-key-save-delay 60000000")) as (server,):
        server.do("SET", "order", "7")
        assert persistence(server) == "passed"
        server.do("BGSAVE")
        until(lambda: server.info("persistence")["rdb_current_bgsave_time_sec"] > 0)
        group = gather("redis-group", "x", context(redis={"x": {"nodes": [server.at]}}))
        assert persistence(server) == "passed"  # it began a moment ago
    (node,) = group.nodes
    assert node.save_ok
    for saving, usual, expected in ((900.0, 2.0, "warned"), (7200.0, 2.0, "failed"), (7200.0, 1800.0, "passed")):
        late = replace(group, nodes=(replace(node, saving=saving, save_took=usual),))
        assert outcomes(test_what_is_saved_is_saved, late).partition(":")[0] == expected


def persistence(server: Server) -> str:
    group = gather("redis-group", "x", context(redis={"x": {"nodes": [server.at]}}))
    return outcomes(test_what_is_saved_is_saved, group)


def test_a_machine_whose_memory_is_used_up(tmp_path: Path) -> None:
    """redis#4743, #2174, awesome-prometheus-alerts#183: without maxmemory the kernel ends the server, not OOM."""
    with servers(tmp_path, ()) as (server,):
        group = gather("redis-group", "x", context(redis={"x": {"nodes": [server.at]}}))
    (node,) = group.nodes
    machine = node.machine_memory
    assert 0 < node.resident < machine / 2
    assert outcomes(test_memory_is_left_where_nothing_may_be_evicted, group) == "passed"
    for share, limit, expected in ((0.97, 0, "failed"), (0.85, 0, "warned"), (0.97, 2 * machine, "failed"),
                                   (0.97, machine // 2, "passed")):  # fmt: skip
        full = replace(node, resident=int(share * machine), maxmemory=limit)
        said = outcomes(test_memory_is_left_where_nothing_may_be_evicted, replace(group, nodes=(full,)))
        assert said.partition(":")[0] == expected, said


def test_connections_that_leak(tmp_path: Path) -> None:
    """vermillion#173, ApeRAG#584, djangosnippets.org#224: it answers, and soon takes nobody any more."""
    with servers(tmp_path, ("maxclients 40",)) as (server,), contextlib.ExitStack() as held:
        assert connections(server) == "passed"
        for count in range(1, 38):
            held.enter_context(socket.create_connection(("127.0.0.1", server.port), 5))
            if count == 30:
                until(lambda: server.info("clients")["connected_clients"] > 30)
                assert connections(server).startswith("warned")
        until(lambda: server.info("clients")["connected_clients"] > 37)
        assert connections(server).startswith("failed")


def connections(server: Server) -> str:
    return outcomes(test_connections_are_left, gather("redis-group", "x", context(redis={"x": {"nodes": [server.at]}})))


def test_a_replica_that_takes_writes(tmp_path: Path) -> None:
    """redis-doc#1687, redis#6842: a client that follows an old address writes there, and nothing says so."""
    with servers(tmp_path, (), ()) as (primary, replica):
        replica.do("REPLICAOF", "127.0.0.1", primary.port)
        until(lambda: replica.info("replication")["master_link_status"] == "up")
        assert red(outcomes_of_checks([primary, replica], 1, 1)) == {}
        replica.do("CONFIG", "SET", "replica-read-only", "no")
        assert replica.do("SET", "order", "7")
        found = red(outcomes_of_checks([primary, replica], 1, 1))
    assert set(found) == {"roles"}
    assert found["roles"].startswith("warned")


def test_a_script_that_does_not_end(tmp_path: Path) -> None:
    """bullmq#265, bee-queue#448: a script of the application keeps all others out, and is ended only by hand."""
    from redis import Redis

    with servers(tmp_path, ("lua-time-limit 50",)) as (server,):
        client: Any = Redis(port=server.port, socket_timeout=0.3)
        with contextlib.suppress(Exception), contextlib.closing(client):
            client.execute_command("EVAL", "while true do end", 0)
        found = red(outcomes_of_checks([server]))
        server.do("SCRIPT", "KILL")
        assert found["responds"].startswith("failed")
        assert "SCRIPT KILL" in found["responds"]
        until(lambda: server.do("PING"))
        assert red(outcomes_of_checks([server])) == {}


def test_a_server_whose_configuration_nobody_may_read(tmp_path: Path) -> None:
    """redis_exporter#597, #315: ElastiCache and Memorystore know no CONFIG; what counts is in INFO."""
    with servers(tmp_path, ("rename-command CONFIG ''", "rename-command CLUSTER ''")) as (server,):
        assert red(outcomes_of_checks([server])) == {}
        assert persistence(server) == "passed"
