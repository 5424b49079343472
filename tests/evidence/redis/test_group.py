from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.redis.group import Group
from pytest_prodcheck.evidence.collectors import Sending
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import Problem
from pytest_prodcheck.records.stores import RedisGroup, RedisNode
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.network.speakers import drip, flood, hang, say, speaker
from tests.evidence.stores import Stores, address_of


@pytest.fixture(scope="module")
def group(running: Stores) -> Group:
    return running.start_redis()


Ask = Callable[..., RedisGroup]


@pytest.fixture
def ask(running: Stores, group: Group) -> Ask:
    def gathered(**changes: Any) -> RedisGroup:
        settings = {
            "nodes": [address_of(node.name, node.entrance) for node in group.nodes],
            "expect": {"primaries": 1, "replicas": 1},
            "password": {"file": running.known.redis},
            "persistence": True,
            "timeout": "2s",
        }
        given = context(running.place, nameserver=running.nameserver, redis={"x": {**settings, **changes}})
        found = gather("redis-group", "x", given)
        assert isinstance(found, RedisGroup)
        return found

    return gathered


def problem(node: RedisNode) -> Problem:
    assert node.problem is not None
    return node.problem


# -- the real thing


def test_healthy_group(ask: Ask) -> None:
    found = ask()
    primary, replica = found.nodes
    assert (found.expected_primaries, found.expected_replicas, found.persistence) == (1, 1, True)
    assert [node.problem for node in found.nodes] == [None, None]
    assert (primary.role, primary.replicas, primary.loading) == ("master", 1, False)
    assert (replica.role, replica.link_up, replica.syncing) == ("slave", True, False)
    assert (primary.policy, primary.maxmemory) == ("noeviction", 64 * 1024 * 1024)
    assert 0 < primary.used_memory < primary.maxmemory
    assert (primary.saves, primary.save_ok, primary.aof, primary.aof_ok) == (True, True, True, True)
    assert primary.persistence_known
    assert 0 <= primary.save_age < 600
    assert primary.version


def test_unsaved_changes_and_snapshots_that_are_off(group: Group, ask: Ask) -> None:
    group.primary.do("CONFIG", "SET", "save", "")
    group.primary.do("SET", "more", "1")
    primary = ask().nodes[0]
    group.primary.do("CONFIG", "SET", "save", "3600 1")
    assert not primary.saves
    assert primary.changes_unsaved >= 1


def test_roles_are_found_after_a_failover(group: Group, ask: Ask) -> None:
    group.switch_over()
    assert [node.role for node in ask().nodes] == ["slave", "master"]
    group.switch_over()


@pytest.mark.parametrize(
    ("mode", "kind"), [("down", "refused"), ("hang", "timeout"), ("cut", "reset"), ("full", "timeout")]
)
def test_node_in_trouble_leaves_the_others(group: Group, ask: Ask, mode: Any, kind: str) -> None:
    group.nodes[1].entrance.set_mode(mode)
    began = time.monotonic()
    found = ask(timeout="600ms")
    took = time.monotonic() - began
    group.nodes[1].entrance.set_mode("serve")
    assert found.nodes[0].problem is None
    assert problem(found.nodes[1]).kind == kind
    assert took < 3


@pytest.mark.parametrize("login", [{"password": {"file": "canary-secret-93"}}, {"password": None}, {"user": "nobody"}])
def test_login_that_is_refused(ask: Ask, login: dict[str, Any]) -> None:
    found = ask(**login)
    assert [problem(node).kind for node in found.nodes] == ["denied", "denied"]
    assert "canary" not in repr(found)


def test_password_where_none_is_set(group: Group, ask: Ask, running: Stores) -> None:
    group.primary.do("ACL", "SETUSER", "open", "on", "nopass", "+@all", "~*")
    assert ask(user="open").nodes[0].problem is None
    group.primary.do("ACL", "DELUSER", "open")


def test_user_that_may_only_ask_the_least(group: Group, ask: Ask) -> None:
    for node in group.nodes:
        node.do("ACL", "SETUSER", "watcher", "on", ">watch-secret", "+ping", "+info")
    found = ask(user="watcher", password={"file": "watch-secret"})
    assert [(node.problem, node.role) for node in found.nodes] == [(None, "master"), (None, "slave")]
    assert not found.nodes[0].persistence_known
    assert found.nodes[0].aof
    for node in group.nodes:
        node.do("ACL", "SETUSER", "watcher", "-info")
    refused = problem(ask(user="watcher", password={"file": "watch-secret"}).nodes[0])
    for node in group.nodes:
        node.do("ACL", "DELUSER", "watcher")
    assert refused.kind == "denied"
    assert "+info" in refused.hint


def test_replica_without_its_primary(group: Group, ask: Ask) -> None:
    """MASTERDOWN is an answer of a replica whose link is down."""
    group.replica.do("CONFIG", "SET", "replica-serve-stale-data", "no")
    group.replica.do("REPLICAOF", "127.0.0.1", "1")
    found = ask().nodes[1]
    group.replica.do("REPLICAOF", "127.0.0.1", group.primary.port)
    group.replica.do("CONFIG", "SET", "replica-serve-stale-data", "yes")
    group.wait_for_link()
    assert (found.problem, found.role, found.link_up) == (None, "slave", False)


def test_server_that_is_full(group: Group, ask: Ask) -> None:
    with contextlib.closing(group.primary.client()) as admin:
        admin.execute_command("CONFIG", "SET", "maxclients", "1")
        try:
            found = problem(ask().nodes[0])
        finally:
            admin.execute_command("CONFIG", "SET", "maxclients", "1000")
    assert found.kind == "full"
    assert "too many" in found.message
    group.wait_for_link()


def test_server_that_is_busy_with_a_script(group: Group, ask: Ask) -> None:
    group.primary.do("CONFIG", "SET", "busy-reply-threshold", "50")

    def script() -> None:
        with contextlib.suppress(Exception):
            group.primary.do("EVAL", "while true do end", 0)

    thread = threading.Thread(target=script, daemon=True)
    thread.start()
    time.sleep(0.3)
    try:
        found = problem(ask().nodes[0])
    finally:
        group.primary.do("SCRIPT", "KILL")
        thread.join(5)
    assert found.kind == "refused"
    assert "script" in found.message


def test_server_that_is_loading(group: Group, ask: Ask) -> None:
    primary = group.primary
    primary.do("DEBUG", "POPULATE", 20000) if _debug(group) else _fill(group)
    primary.stop()
    slow = {"key-load-delay": "100", "loading-process-events-interval-bytes": "1024"}
    try:
        primary.start(None, **slow)
        found = ask().nodes[0]
    finally:
        primary.stop(9)
        primary.start()
        group.wait_for_link()
    assert (found.problem, found.loading) == (None, True)


def _debug(group: Group) -> bool:
    try:
        group.primary.do("DEBUG", "JMAP")
    except Exception:
        return False
    return True


def _fill(group: Group) -> None:
    with contextlib.closing(group.primary.client()) as client, client.pipeline(transaction=False) as pipe:
        for number in range(20000):
            pipe.execute_command("SET", f"key:{number}", "x" * 20)
        pipe.execute()


def test_tls(running: Stores, group: Group, ask: Ask, tmp_path: Path) -> None:
    """A TLS front before the real server: trust, names and client certificates are checked."""
    import trustme

    ca = trustme.CA()
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("cache-1.demo.test").configure_cert(trust)
    ca.configure_trust(trust)
    trust.verify_mode = ssl.CERT_REQUIRED
    ca.cert_pem.write_to_path(str(running.place / "redis-ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(running.place / "other-ca.pem"))
    own = ca.issue_cert("prodcheck.test")
    own.private_key_and_cert_chain_pem.write_to_path(str(running.place / "client.pem"))

    def front(client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", group.primary.port), 5)
        with server, trust.wrap_socket(client, server_side=True) as inside:
            while data := inside.recv(65536):
                server.sendall(data)
                time.sleep(0.05)
                inside.sendall(server.recv(262144))

    good = {"ca": "redis-ca.pem", "certificate": "client.pem"}
    with speaker(front) as address:
        port = address.rpartition(":")[2]
        nodes = [f"cache-1.demo.test:{port}"]
        assert ask(nodes=nodes, tls=good).nodes[0].problem is None
        assert problem(ask(nodes=nodes, tls={**good, "ca": "other-ca.pem"}).nodes[0]).kind == "tls"
        assert problem(ask(nodes=[f"cache-2.demo.test:{port}"], tls=good).nodes[0]).kind == "tls"
        assert problem(ask(nodes=nodes, tls={"ca": "redis-ca.pem"}).nodes[0]).kind in ("denied", "reset")
        assert problem(ask(nodes=nodes, timeout="500ms").nodes[0]).kind in ("reset", "timeout", "protocol")
    assert problem_of(lambda: ask(tls={"ca": "nowhere.pem"})).kind == "configuration"


def test_tls_to_a_plain_server(ask: Ask) -> None:
    assert problem(ask(tls={"verify": "off"}, timeout="700ms").nodes[0]).kind in ("tls", "reset", "timeout")


# -- servers that lie

FIELDS = {
    "redis_version": "7.0.0", "role": "master", "loading": "0", "connected_slaves": "0", "used_memory": "1000",
    "maxmemory": "0", "maxmemory_policy": "noeviction", "rdb_last_bgsave_status": "ok", "rdb_last_save_time": "1",
    "rdb_changes_since_last_save": "0", "aof_enabled": "0", "aof_last_write_status": "ok",
    "aof_last_bgrewrite_status": "ok",
}  # fmt: skip


def bulk(text: str) -> bytes:
    return f"${len(text.encode())}\r\n{text}\r\n".encode()


SAVE_OFF = b"*2\r\n$4\r\nsave\r\n$0\r\n\r\n"


def server_answers(ping: bytes = b"+PONG\r\n", save: bytes = SAVE_OFF, **changes: str) -> bytes:
    lines = "".join(f"{name}:{value}\r\n" for name, value in {**FIELDS, **changes}.items())
    return ping + bulk("# All\r\n" + lines) + save


def single_node(address: str, timeout: str = "500ms", **changes: Any) -> tuple[RedisNode, float]:
    began = time.monotonic()
    given = context(redis={"x": {"nodes": [address], "timeout": timeout, **changes}})
    found = gather("redis-group", "x", given)
    return found.nodes[0], time.monotonic() - began


def test_plausible_answers_are_believed() -> None:
    """The control of the tests below."""
    with speaker(say(server_answers())) as address:
        node, _ = single_node(address)
    assert (node.problem, node.role, node.saves, node.persistence_known) == (None, "master", False, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"used_memory": "nan"}, {"used_memory": "-1"}, {"used_memory": ""}, {"maxmemory": "1e3"}, {"maxmemory": "٣"},
        {"role": "sentinel"}, {"role": ""}, {"loading": "yes"}, {"used_memory": "9" * 30},
    ],
)  # fmt: skip
def test_numbers_that_are_none(changes: dict[str, str]) -> None:
    with speaker(say(server_answers(b"+PONG\r\n", SAVE_OFF, **changes))) as address:
        node, _ = single_node(address)
    assert problem(node).kind == "protocol"


def test_saves_without_config_come_from_info() -> None:
    forbidden = b"-ERR unknown command 'CONFIG'\r\n"
    with speaker(say(server_answers(save=forbidden, rdb_last_bgsave_time_sec="1"))) as address:
        node, _ = single_node(address)
    assert (node.problem, node.saves, node.persistence_known) == (None, True, False)


def test_failed_save_is_an_answer() -> None:
    stopped = b"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist on disk.\r\n"
    with speaker(say(server_answers(ping=stopped, rdb_last_bgsave_status="err"))) as address:
        node, _ = single_node(address)
    assert (node.problem, node.save_ok) == (None, False)


def test_everything_answered_with_loading() -> None:
    with speaker(say(b"-LOADING Redis is loading the dataset in memory\r\n" * 3)) as address:
        node, _ = single_node(address)
    assert (node.problem, node.loading) == (None, True)


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(flood(b"x"), id="no-lines"),
        pytest.param(flood(b"+PONG\r\n"), id="pongs"),
        pytest.param(flood(b"*1\r\n"), id="nested"),
        pytest.param(flood(b"*1000000000\r\n"), id="long-arrays"),
        pytest.param(flood(b"$1000000000\r\n"), id="long-strings"),
        pytest.param(flood(b":" + b"9" * 5000 + b"\r\n"), id="long-numbers"),
        pytest.param(flood(b"$x\r\n"), id="no-lengths"),
        pytest.param(flood(b"\xff\xfe\r\n"), id="garbage"),
        pytest.param(flood(b"-ERR no\r\n"), id="errors"),
    ],
)
def test_floods_end_in_time_and_memory(talk: Callable[[socket.socket], None]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with speaker(talk) as address:
        node, took = single_node(address, "3s")
    assert problem(node).kind in ("protocol", "too-large")
    assert took < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize(
    ("talk", "kinds"),
    [
        pytest.param(hang, ("timeout",), id="hang"),
        pytest.param(drip(b"+" + b"x" * 900), ("timeout",), id="drip"),
        pytest.param(say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ("protocol",), id="http"),
        pytest.param(say(b"220 smtp ready\r\n"), ("protocol",), id="smtp"),
        pytest.param(say(b""), ("reset",), id="closed"),
        pytest.param(say(b"+PONG\r\n$100\r\nhalf"), ("reset",), id="half"),
        pytest.param(say(b"+NO\r\n+NO\r\n+NO\r\n"), ("protocol",), id="no-pong"),
        pytest.param(say(b"-DENIED Redis is running in protected mode\r\n"), ("denied",), id="protected"),
        pytest.param(say(b"-ERR something else\r\n" * 3), ("protocol",), id="error"),
    ],
)
def test_wrong_speakers_are_told_in_time(talk: Callable[[socket.socket], None], kinds: tuple[str, ...]) -> None:
    with speaker(talk) as address:
        node, took = single_node(address)
    assert problem(node).kind in kinds
    assert address in problem(node).message
    assert took < 3


def test_tls_handshake_that_never_ends() -> None:
    with speaker(hang) as address:
        node, took = single_node(address, tls={"verify": "off"})
    assert problem(node).kind == "timeout"
    assert took < 3


def test_password_is_blanked_should_the_server_echo_it() -> None:
    with speaker(say(b"-ERR bad canary-secret-93\r\n" * 4)) as address:
        node, _ = single_node(address, password={"file": "canary-secret-93"})
    assert "canary" not in repr(node)


def test_what_is_sent() -> None:
    environment = context(redis={"x": {"nodes": ["a:1", "b:2"]}}).environment
    collector = find("redis-group")
    assert collector.sends("x", environment) == tuple(
        Sending(to, "Redis PING, INFO, CONFIG GET save, of a cluster CLUSTER INFO and NODES") for to in ("a:1", "b:2")
    )
    assert collector.host("x", environment) == "a:1"
