"""A real primary and standby as the collector sees them: roles, connections, replay, rights, names, poolers."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.records.stores import PostgresCluster
from suites.smoke import test_postgres as smoke
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.postgres.node_problems import problem
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


@pytest.mark.parametrize(
    ("change", "back", "why"),
    [
        # credcheck#5, pgbouncer#563: sessions go on, and the next start of the application is refused
        ("valid until '2026-01-02 03:04+00'", "valid until 'infinity'", "its password ended at 2026-01-02 03:04 UTC"),
        ("nologin", "login", "it is NOLOGIN"),
        ("connection limit 0", "connection limit -1", "its CONNECTION LIMIT is 0"),
    ],
)
def test_a_role_that_may_not_connect_again(cluster: Cluster, ask: Ask, change: str, back: str, why: str) -> None:
    with cluster.primary.connect(user="batch"):
        assert outcomes(smoke.test_connections_are_left, ask()) == "passed"
        with altered(cluster, f"alter role batch {change}", f"alter role batch {back}"):
            said = outcomes(smoke.test_connections_are_left, ask())
    assert said.startswith("warned: ")
    assert f"{why}, and it has 1 sessions" in said


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
