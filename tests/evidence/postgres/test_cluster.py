from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.evidence.collectors import Sending
from pytest_prodcheck.evidence.postgres.problems import ServerError, classify
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.records import Problem
from pytest_prodcheck.records.stores import PostgresCluster, PostgresNode
from suites.smoke import test_postgres as smoke
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.network.dns_servers import dns_server
from tests.evidence.network.speakers import drip, flood, hang, say, speaker
from tests.evidence.network.test_resolving import reply
from tests.evidence.stores import Stores, address_of
from tests.judged import outcomes

Ask = Callable[..., PostgresCluster]


@pytest.fixture
def ask(running: Stores, cluster: Cluster) -> Ask:
    def gathered(**changes: Any) -> PostgresCluster:
        first, second = cluster.nodes
        settings = {
            "nodes": [address_of("db-1", first.entrance), address_of("db-2", second.entrance)],
            "writer": address_of("db-rw", cluster.writer),
            "expect": {"primaries": 1, "standbys": 1},
            "database": "shop",
            "password": {"file": running.known.postgres},
            "tls": {"ca": "ca.pem"},
            "timeouts": {"connect": "2s", "statement": "2s"},
        }
        given = context(running.place, nameserver=running.nameserver, postgres={"shop": {**settings, **changes}})
        found = gather("postgres-cluster", "shop", given)
        assert isinstance(found, PostgresCluster)
        return found

    return gathered


def problem(node: PostgresNode | None) -> Problem:
    assert node is not None
    assert node.problem is not None
    return node.problem


@contextlib.contextmanager
def altered(cluster: Cluster, change: str, back: str) -> Iterator[None]:
    cluster.primary.ask(change)
    try:
        yield
    finally:
        cluster.primary.ask(back)


# -- the real thing


def test_healthy_cluster(ask: Ask) -> None:
    found = ask()
    primary, standby = found.nodes
    assert (found.expected_primaries, found.expected_standbys, found.expected_synchronous) == (1, 1, None)
    assert [node.problem for node in (*found.nodes, found.writer)] == [None, None, None]  # type: ignore[union-attr]
    assert not primary.recovering
    assert not primary.read_only
    assert (primary.receiver, primary.standbys, primary.synchronous) == ("", 1, 0)
    assert standby.recovering
    assert standby.read_only
    assert (standby.receiver, standby.replay_paused, standby.standbys) == ("streaming", False, 0)
    assert primary.system_identifier == standby.system_identifier != ""
    assert (primary.max_connections, primary.reserved_connections) == (103, 3)
    assert 1 <= primary.used_connections < 10
    assert primary.version >= 100000
    assert found.writer is not None
    assert not found.writer.recovering


def test_connections_are_counted_and_named(cluster: Cluster, ask: Ask) -> None:
    before = ask().nodes[0].used_connections
    with contextlib.ExitStack() as opened:
        for _ in range(5):
            opened.enter_context(cluster.primary.connect(user="batch"))
        assert ask().nodes[0].used_connections >= before + 3


@pytest.mark.parametrize(("whose", "outcome"), [("database shop", "failed"), ("role batch", "warned")])
def test_a_connection_limit_of_ones_own(cluster: Cluster, ask: Ask, whose: str, outcome: str) -> None:
    """gpdb#3875, dd-agent#916: "too many connections for role" while the server has plenty left."""
    kind, _, name = whose.partition(" ")
    used = int(cluster.primary.ask("select count(*) from pg_stat_activity where datname = 'shop'"))
    most = used + 7 if kind == "database" else 5
    with contextlib.ExitStack() as opened:
        opened.enter_context(altered(cluster, f"alter {kind} {name} connection limit {most}",
                                     f"alter {kind} {name} connection limit -1"))  # fmt: skip
        for _ in range(5):
            opened.enter_context(cluster.primary.connect(user="batch"))
        found = ask()
    assert whose in [each.name for each in found.nodes[0].limited]
    assert outcomes(smoke.test_connections_are_left, found, limit=Limit(warn="50%", fail="60%")).startswith(outcome)


def test_node_that_is_down_leaves_the_others(cluster: Cluster, ask: Ask) -> None:
    cluster.standby.entrance.set_mode("down")
    found = ask()
    cluster.standby.entrance.set_mode("serve")
    assert found.nodes[0].problem is None
    assert problem(found.nodes[1]).kind == "refused"
    assert address_of("db-2", cluster.nodes[1].entrance) in problem(found.nodes[1]).message


@pytest.mark.parametrize(("mode", "kind"), [("hang", "timeout"), ("cut", "reset"), ("full", "timeout")])
def test_node_in_trouble_leaves_the_others(cluster: Cluster, ask: Ask, mode: Any, kind: str) -> None:
    cluster.standby.entrance.set_mode(mode)
    began = time.monotonic()
    found = ask(timeouts={"connect": "700ms", "statement": "700ms"})
    took = time.monotonic() - began
    cluster.standby.entrance.set_mode("serve")
    assert found.nodes[0].problem is None
    assert problem(found.nodes[1]).kind == kind
    assert took < 3


def test_replay_that_is_paused(cluster: Cluster, ask: Ask) -> None:
    """FAIL_OPEN 31."""
    cluster.standby.ask("select pg_wal_replay_pause()")
    found = ask()
    cluster.standby.ask("select pg_wal_replay_resume()")
    assert found.nodes[1].replay_paused


def test_wrong_password_is_denied_and_never_shown(ask: Ask) -> None:
    found = ask(password={"file": "canary-secret-93"})
    assert [problem(node).kind for node in found.nodes] == ["denied", "denied"]
    assert "canary" not in repr(found)


@pytest.mark.parametrize("change", [{"user": "nobody-known"}, {"database": "nowhere"}, {"password": None}])
def test_login_that_cannot_work(ask: Ask, change: dict[str, Any]) -> None:
    assert problem(ask(**change).nodes[0]).kind == "denied"


def test_certificate_of_another_ca(running: Stores, ask: Ask) -> None:
    import trustme

    trustme.CA().cert_pem.write_to_path(str(running.place / "other.pem"))
    assert problem(ask(tls={"ca": "other.pem"}).nodes[0]).kind == "tls"


def test_certificate_of_another_name(cluster: Cluster, ask: Ask) -> None:
    """`hostaddr` is where, `host` stays what the certificate has to be for."""
    literal = f"127.0.0.1:{cluster.nodes[0].entrance.address[1]}"
    assert problem(ask(nodes=[literal]).nodes[0]).kind == "tls"
    assert ask(nodes=[literal], tls={"mode": "verify-ca", "ca": "ca.pem"}).nodes[0].problem is None


def test_missing_ca_file_is_a_problem_of_the_configuration(ask: Ask) -> None:
    found = problem_of(lambda: ask(tls={"ca": "nowhere.pem"}))
    assert (found.kind, "nowhere.pem" in found.message) == ("configuration", True)


def test_name_that_is_gone_is_the_nodes_own_problem(cluster: Cluster, ask: Ask) -> None:
    found = ask(nodes=[address_of("db-1", cluster.nodes[0].entrance), "db-9.demo.test:5432"])
    assert found.nodes[0].problem is None
    assert problem(found.nodes[1]).kind == "dns"


def test_full_server_says_so(cluster: Cluster, ask: Ask) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(101):
            with contextlib.suppress(Exception):
                opened.enter_context(cluster.primary.connect(user="batch"))
        found = problem(ask().nodes[0])
    assert found.kind == "full"
    assert "too many" in found.message
    time.sleep(0.2)


def test_own_connection_limit_is_not_a_full_server(cluster: Cluster, ask: Ask) -> None:
    with altered(cluster, "alter role prodcheck connection limit 0", "alter role prodcheck connection limit -1"):
        assert problem(ask().nodes[0]).kind == "denied"


def test_without_pg_monitor_what_may_not_be_seen_is_none(cluster: Cluster, ask: Ask) -> None:
    with altered(cluster, "revoke pg_monitor from prodcheck", "grant pg_monitor to prodcheck"):
        time.sleep(0.2)  # until the standby has it
        with contextlib.ExitStack() as opened:
            for _ in range(4):
                opened.enter_context(cluster.primary.connect(user="batch"))
            primary, standby = ask().nodes
    assert (primary.problem, standby.problem) == (None, None)
    assert (primary.standbys, primary.synchronous, primary.receiver) == (None, None, "")
    assert standby.receiver is None
    assert primary.used_connections >= 5


def test_hardened_server_keeps_its_identity_to_itself(cluster: Cluster, ask: Ask) -> None:
    function = "function pg_control_system()"
    with altered(cluster, f"revoke execute on {function} from public", f"grant execute on {function} to public"):
        node = ask().nodes[0]
    assert (node.problem, node.system_identifier, node.max_connections) == (None, "", 103)


def test_read_only_primary(cluster: Cluster, ask: Ask) -> None:
    cluster.primary.configure(default_transaction_read_only="on")
    found = ask()
    cluster.primary.configure(default_transaction_read_only=None)
    assert found.nodes[0].read_only
    assert not found.nodes[0].recovering


def test_own_users_read_only_setting_hides_the_servers(cluster: Cluster, ask: Ask) -> None:
    """It neither passes for a read-only server, nor may it hide one."""
    role = "alter role prodcheck"
    with altered(cluster, f"{role} set default_transaction_read_only = on", f"{role} reset all"):
        found = problem(ask().nodes[0])
    assert found.kind == "configuration"
    assert "RESET" in found.hint


def test_database_that_is_read_only(cluster: Cluster, ask: Ask) -> None:
    shop = "alter database shop"
    with altered(cluster, f"{shop} set default_transaction_read_only = on", "select 1"):
        found = ask()
        cluster.primary.ask(f"{shop} reset all", database="postgres")
    assert found.nodes[0].read_only


def test_writer_of_several_addresses_is_judged_by_the_worst(cluster: Cluster, running: Stores, ask: Ask) -> None:
    """FAIL_OPEN 28: half of the writer's clients meet a standby."""
    other = running.entrance("127.0.0.2", cluster.writer.address[1])
    other.targets = [("127.0.0.1", cluster.standby.port)]
    other.set_mode("serve")
    running.names.a["db-rw.demo.test"] = ("127.0.0.1", "127.0.0.2")
    found = ask().writer
    other.set_mode("down")
    gone = ask().writer
    running.names.a["db-rw.demo.test"] = ("127.0.0.1",)
    assert found is not None
    assert found.recovering
    assert "127.0.0.2" in problem(gone).message


def test_environment_variables_of_libpq_change_nothing(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGTARGETSESSIONATTRS": "read-write", "PGOPTIONS": "-c nonsense=1", "PGSSLMODE": "disable",
        "PGDATABASE": "nowhere", "PGHOSTADDR": "127.0.0.3", "PGSERVICE": "nobody", "PGSERVICEFILE": "/nowhere",
        "PGTZ": "nonsense", "PGDATESTYLE": "nonsense", "PGGEQO": "nonsense", "PGSSLCRL": "/nowhere",
        "PGSSLMINPROTOCOLVERSION": "none", "PGCHANNELBINDING": "nonsense", "PGREQUIREAUTH": "gss",
        "PGSSLCERT": "/nowhere",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert [node.problem for node in ask().nodes] == [None, None]
    assert dict(os.environ) == before


def test_pooler_in_front_works_for_the_writer(running: Stores, cluster: Cluster, ask: Ask, tmp_path: Path) -> None:
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("apt-get install pgbouncer")
    folder = running.spawner.folder(cluster.folder / "pooler")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    users, settings = folder / "users", folder / "pgbouncer.ini"
    users.write_text(f'"prodcheck" "{running.known.postgres}"\n')
    settings.write_text(
        f"[databases]\n* = host=127.0.0.1 port={cluster.primary.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\npool_mode = transaction\nauth_type = scram-sha-256\nauth_file = {users}\n"
        "unix_socket_dir =\nserver_tls_sslmode = require\n"
    )
    running.spawner.own(users)
    running.spawner.own(settings)
    child = running.spawner.spawn([program, settings], running.place / "pooler.log")
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        writer = ask(nodes=[f"127.0.0.1:{port}"], writer=None, tls={"mode": "disable"}).nodes[0]
        wrong = ask(nodes=[f"127.0.0.1:{port}"], writer=None, tls={"mode": "disable"}, password={"file": "wrong-one"})
    finally:
        child.kill()
        child.wait(5)
    assert (writer.problem, writer.recovering, writer.max_connections) == (None, False, 103)
    assert problem(wrong.nodes[0]).kind == "denied"


def test_roles_are_found_after_a_failover(cluster: Cluster, ask: Ask) -> None:
    cluster.switch_over()
    found = ask()
    assert [node.recovering for node in found.nodes] == [True, False]
    assert found.writer is not None
    assert not found.writer.recovering
    cluster.switch_over()


# -- servers that lie


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


ROW = message(b"T", struct.pack("!H", 1) + b"facts\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0))
READY = message(b"Z", b"I")
WELCOME = message(b"R", struct.pack("!I", 0)) + message(b"S", b"client_encoding\0UTF8\0") + READY


def value(data: bytes) -> bytes:
    return message(b"D", struct.pack("!HI", 1, len(data)) + data)


def impostor(answer: bytes, forever: bytes = b"") -> Callable[[socket.socket], None]:
    """Speaks the protocol, lets everybody in, and answers the question with `answer`, then `forever`."""

    def talk(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(WELCOME)
        client.recv(65536)
        client.sendall(answer)
        if forever:
            flood(forever)(client)
        hang(client)

    return talk


def single_node(address: str, seconds: float = 1.0, **changes: Any) -> tuple[PostgresNode, float]:
    settings = {"nodes": [address], "tls": {"mode": "disable"}, "password": {"file": "canary-secret-93"}, **changes}
    settings.setdefault("timeouts", {"connect": seconds / 2, "statement": seconds / 2})
    began = time.monotonic()
    found = gather("postgres-cluster", "x", context(postgres={"x": settings}))
    return found.nodes[0], time.monotonic() - began


FACTS = {
    "version": 150000, "recovering": False, "default_read_only": False, "hidden": False, "system_identifier": "7",
    "max_connections": 100, "reserved": 3, "used": 1, "receiver": "", "paused": False, "standbys": 0, "synchronous": 0,
    "synchronous_names": "", "commits_wait": True, "confirming": 0, "waiting": [], "limited": [],
}  # fmt: skip


def row_answer(facts: object) -> bytes:
    return ROW + value(json.dumps(facts).encode()) + message(b"C", b"SELECT 1\0") + READY


def test_impostor_with_plausible_facts_is_believed() -> None:
    """The control of the tests below."""
    with speaker(impostor(row_answer(FACTS))) as address:
        node, _ = single_node(address)
    assert (node.problem, node.max_connections) == (None, 100)


@pytest.mark.parametrize(
    "facts",
    [
        {**FACTS, "used": "1"}, {**FACTS, "used": float("nan")}, {**FACTS, "used": None}, {**FACTS, "used": True},
        {**FACTS, "used": -1}, {**FACTS, "recovering": None}, {**FACTS, "paused": 0}, {}, [], "", None,
    ],
)  # fmt: skip
def test_facts_that_are_none(facts: object) -> None:
    with speaker(impostor(row_answer(facts))) as address:
        node, _ = single_node(address)
    assert problem(node).kind == "protocol"


@pytest.mark.parametrize("answer", [ROW + value(b"not json") + READY, READY, message(b"I", b"") + READY])
def test_answers_without_facts(answer: bytes) -> None:
    with speaker(impostor(answer)) as address:
        node, _ = single_node(address)
    assert problem(node).kind in ("protocol", "reset")


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(flood(b"\xff\0garbage"), id="garbage"),
        pytest.param(flood(WELCOME), id="welcome"),
        pytest.param(flood(message(b"N", b"SNOTICE\0Mhello\0\0")), id="notices"),
        pytest.param(impostor(ROW, value(b"x" * 1000)), id="rows"),
        pytest.param(impostor(ROW + b"D" + struct.pack("!IHI", 1 << 30, 1, 1 << 29), b"x"), id="one-huge-row"),
        pytest.param(impostor(b"", message(b"S", b"a\0b\0")), id="parameters"),
        pytest.param(impostor(b"", message(b"A", b"\0\0\0\1a\0b\0")), id="notifications"),
        pytest.param(impostor(b"", message(b"C", b"SELECT 1\0")), id="results"),
    ],
)
def test_floods_end_in_time_and_memory(talk: Callable[[socket.socket], None]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with speaker(talk) as address:
        node, took = single_node(address)
    assert problem(node).kind in ("protocol", "too-large", "reset", "timeout")
    assert took < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize(
    ("talk", "kinds"),
    [
        pytest.param(hang, ("timeout",), id="hang"),
        pytest.param(impostor(b""), ("timeout",), id="hang-after-login"),
        pytest.param(drip(WELCOME[:20]), ("timeout",), id="drip"),
        pytest.param(impostor(ROW[:-3]), ("timeout",), id="half-an-answer"),
        pytest.param(say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ("protocol",), id="http"),
        pytest.param(say(b"-ERR unknown command\r\n"), ("protocol",), id="redis"),
        pytest.param(say(b""), ("reset",), id="closed"),
    ],
)
@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
def test_wrong_speakers_are_told_in_time(
    talk: Callable[[socket.socket], None], kinds: tuple[str, ...], mode: str
) -> None:
    with speaker(talk) as address:
        node, took = single_node(address, tls={"mode": mode})
    if mode == "disable":
        assert problem(node).kind in kinds
    assert problem(node).kind in (*kinds, "protocol", "tls", "reset")
    assert address in problem(node).message
    assert took < 3


def test_server_without_tls() -> None:
    with speaker(say(b"N")) as address:
        node, _ = single_node(address, tls={"mode": "require"})
    assert problem(node).kind == "tls"
    assert "disable" in problem(node).hint


def test_tls_handshake_that_never_ends() -> None:
    def talk(client: socket.socket) -> None:
        client.recv(8)
        client.sendall(b"S")
        hang(client)

    with speaker(talk) as address:
        node, took = single_node(address, tls={"mode": "require"})
    assert problem(node).kind == "timeout"
    assert took < 3


def test_name_with_a_dead_family(tmp_path: Path) -> None:
    with (
        speaker(impostor(row_answer(FACTS))) as address,
        dns_server(lambda query, _: reply(query, ("db.test", "A", "127.0.0.1"), ("db.test", "AAAA", "::1"))) as server,
    ):
        settings = {"nodes": [f"db.test:{address.rpartition(':')[2]}"], "tls": {"mode": "disable"}}
        found = gather("postgres-cluster", "x", context(nameserver=server, postgres={"x": settings}))
    assert found.nodes[0].problem is None


# -- words


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("FATAL:  sorry, too many clients already", "full"),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "full"),
        ('FATAL:  too many connections for database "shop"', "full"),
        ("FATAL:  no more connections allowed (max_client_conn)", "full"),
        ('FATAL:  too many connections for role "prodcheck"', "denied"),
        ("FATAL:  the database system is starting up", "refused"),
        ("FATAL:  the database system is not accepting connections", "refused"),
        ("server closed the connection unexpectedly", "reset"),
        ("SSL SYSCALL error: EOF detected", "reset"),
        ("FATAL:  Desol\u00e9, trop de clients", "protocol"),
    ],
)
def test_words_of_servers_and_poolers(said: str, kind: str) -> None:
    found = classify(ServerError(f'connection to server at "10.0.0.1", port 5432 failed: {said}\n'), "db:5432")
    assert found.kind == kind
    assert found.message.startswith("db:5432: ")
    assert "10.0.0.1" not in found.message
    assert kind != "full" or "too many" in found.message


def test_password_is_blanked_should_the_server_echo_it() -> None:
    found = classify(ServerError("FATAL:  your password canary\x1b[2J is weak", "28P01"), "db:5432", "canary")
    assert found.kind == "denied"
    assert "canary" not in found.message
    assert "\x1b" not in found.message


def test_without_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    found = problem_of(lambda: single_node("127.0.0.1:1"))
    assert (found.kind, found.hint) == ("missing-extra", "pip install 'pytest-prodcheck[postgres]'")


def test_what_is_sent() -> None:
    settings = {"nodes": ["a:1", "b:2"], "writer": "w:3", "user": "me", "timeouts": {"connect": "7s"}}
    environment = context(postgres={"x": settings}).environment
    collector = find("postgres-cluster")
    what = "PostgreSQL login as me, one read-only transaction"
    assert collector.sends("x", environment) == tuple(Sending(to, what) for to in ("a:1", "b:2", "w:3"))
    assert collector.host("x", environment) == "a:1"
    assert collector.seconds_for("x", environment) > 12
