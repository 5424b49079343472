"""What commits wait for, and the WAL that slots keep, on real servers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.runtime.waiting import until
from pytest_prodcheck.demo.switches.backups import finish_segments
from pytest_prodcheck.evidence.postgres.synchronous import confirmations
from suites.data_integrity import test_replication as replication
from suites.smoke import test_postgres as smoke
from tests.evidence.contexts import context, gather
from tests.evidence.stores import Stores, address_of
from tests.judged import outcomes


@pytest.mark.parametrize(
    ("names", "wait", "wanted"),
    [
        ("", True, 0), ("  ", True, 0), ("s1", True, 1), ("s1, s2", True, 1), ("*", True, 1), ("2 (s1, s2)", True, 2),
        ("FIRST 2 (s1, barman_receive_wal)", True, 2), ("any 3(a,b,c,d)", True, 3), ('ANY 1 ("2 (odd")', True, 1),
        ('"3 (a"', True, 1), ("first", True, 1), ("FIRST 2 (s1, s2)", False, 0),
    ],
)  # fmt: skip
def test_confirmations(names: str, wait: bool, wanted: int) -> None:
    """As PostgreSQL's documentation of synchronous_standby_names says."""
    assert confirmations(names, wait) == wanted


@pytest.fixture(scope="module")
def cluster(running: Stores) -> Cluster:
    return running.start_postgres()


def failed_reasons(running: Stores, cluster: Cluster, standbys: int = 1) -> dict[str, str]:
    """What the checks say that judge commits and slots; only what is not good."""
    settings = {
        "nodes": [address_of(f"db-{n}", node.entrance) for n, node in enumerate(cluster.nodes[: 1 + standbys], 1)],
        "database": "shop", "tls": {"ca": "ca.pem"}, "password": {"file": running.known.postgres},
        "expect": {"primaries": 1, "standbys": standbys},
    }  # fmt: skip
    given = context(running.place, nameserver=running.nameserver, postgres={"x": settings})
    said = {
        "primary": outcomes(smoke.test_the_writer_leads_to_the_one_primary, gather("postgres-cluster", "x", given)),
        "slots": outcomes(replication.test_no_slot_fills_the_disk, gather("postgres-slots", "x", given)),
    }
    if standbys:
        shape = gather("postgres-replication", "x", given)
        said["topology"] = outcomes(replication.test_the_cluster_has_its_shape, shape)
    return {name: words for name, words in said.items() if words != "passed"}


@contextlib.contextmanager
def configured(cluster: Cluster, **settings: str) -> Iterator[None]:
    cluster.primary.configure(**settings)
    try:
        yield
    finally:
        cluster.primary.configure(**dict.fromkeys(settings))


def hangs(cluster: Cluster) -> bool:
    """Whether a user's commit waits for longer than a second."""
    ended = threading.Event()

    def commit() -> None:
        with contextlib.suppress(Exception), cluster.primary.connect() as connection:
            connection.execute("update customers set since = since where name = 'customer'")
            ended.set()

    thread = threading.Thread(target=commit, daemon=True)
    thread.start()
    return not ended.wait(1)


def test_healthy(running: Stores, cluster: Cluster) -> None:
    assert failed_reasons(running, cluster) == {}


@pytest.mark.parametrize("quorum", ["FIRST 2 (%s, barman_receive_wal)", "ANY 2 (%s, b, c)", "nobody"])
def test_too_few_confirm(running: Stores, cluster: Cluster, quorum: str) -> None:
    """pg_auto_failover#326, barman#88: one of two that every commit waits for is connected."""
    name = cluster.primary.ask("select application_name from pg_stat_replication")
    with configured(cluster, synchronous_standby_names=quorum % f'"{name}"' if "%" in quorum else quorum):
        hung = hangs(cluster)
        seen, alone = failed_reasons(running, cluster), failed_reasons(running, cluster, standbys=0)
    assert hung
    assert set(seen) == {"primary", "topology"}
    assert all("every commit waits for" in words and "commits hang" in words for words in seen.values())
    assert "primary" in alone


@pytest.mark.parametrize("settings", [
    {"synchronous_standby_names": "ANY 1 (%s, b, c)"}, {"synchronous_standby_names": "*"},
    {"synchronous_standby_names": "FIRST 2 (%s, nobody)", "synchronous_commit": "local"},
])  # fmt: skip
def test_enough_confirm(running: Stores, cluster: Cluster, settings: dict[str, str]) -> None:
    name = cluster.primary.ask("select application_name from pg_stat_replication")
    given = {key: value.replace("%s", f'"{name}"') for key, value in settings.items()}
    with configured(cluster, **given):
        until(lambda: given["synchronous_standby_names"].startswith("FIRST")
              or cluster.primary.ask("select bool_or(sync_state in ('sync', 'quorum')) from pg_stat_replication"),
              "the standby is synchronous")  # fmt: skip
        assert not hangs(cluster)
        assert failed_reasons(running, cluster) == {}


def test_a_standby_that_streams_and_confirms_nothing(running: Stores, cluster: Cluster) -> None:
    """Its process stands still: pg_stat_replication says "streaming" until wal_sender_timeout, and commits hang."""
    pid = int(cluster.standby.ask("select pid from pg_stat_wal_receiver"))
    with configured(cluster, synchronous_standby_names="*"):
        until(lambda: cluster.primary.ask("select bool_or(sync_state = 'sync') from pg_stat_replication"), "it is")
        os.kill(pid, signal.SIGSTOP)
        try:
            hung = hangs(cluster)
            seen = failed_reasons(running, cluster)
        finally:
            os.kill(pid, signal.SIGCONT)
    assert hung
    assert "commits hang" in seen["primary"]
    assert "commits hang" in seen["topology"]
    cluster.wait_for_replay()


@pytest.fixture(scope="module")
def logical(cluster: Cluster) -> Cluster:
    """The cluster, its primary started again so that it decodes."""
    cluster.primary.stop()
    cluster.primary.settings["wal_level"] = "logical"
    cluster.primary.start()
    cluster.wait_for_streaming()
    return cluster


@contextlib.contextmanager
def slot(cluster: Cluster, consumer: str) -> Iterator[None]:
    """A logical slot of nobody, of a consumer that takes nothing, or of one that works."""
    primary = cluster.primary
    primary.ask("select pg_create_logical_replication_slot('cdc', 'test_decoding')")
    process = None
    if consumer:
        reach = ["-h", str(primary.data.parent), "-p", str(primary.port), "-U", "postgres", "-d", "shop"]
        command = [str(cluster.programs / "pg_recvlogical"), *reach, "-S", "cdc", "--start", "-f", os.devnull]
        process = subprocess.Popen([*command, "-F", "1", "-s", "1"], stderr=subprocess.DEVNULL)
        until(lambda: primary.ask("select active from pg_replication_slots where slot_name = 'cdc'"), "it is connected")
        if consumer == "stuck":
            process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait(10)
        gone = "select not active from pg_replication_slots where slot_name = 'cdc'"
        until(lambda: primary.ask(gone), "it is gone")
        primary.ask("select pg_drop_replication_slot('cdc')")


@pytest.mark.parametrize(("consumer", "said"), [("", "no consumer is"), ("stuck", "not advance"), ("works", "")])
@pytest.mark.parametrize("standbys", [0, 1])
def test_slots(running: Stores, logical: Cluster, consumer: str, said: str, standbys: int) -> None:
    """check_postgres#138, flusso#111: the slot of a consumer that is gone, or hangs, fills the disk."""
    with slot(logical, consumer):
        finish_segments(logical, 20)
        time.sleep(1.5 if consumer == "works" else 0)
        seen = failed_reasons(running, logical, standbys)
    assert set(seen) == ({"slots"} if said else set()), seen
    assert said in seen.get("slots", "")

