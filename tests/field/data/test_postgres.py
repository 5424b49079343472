"""PostgreSQL clusters that answer while commits hang, and sequences that are nearer to their end than they look."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.runtime.programs import postgres_programs
from pytest_prodcheck.demo.runtime.waiting import until
from pytest_prodcheck.demo.switches.backups import finish_segments
from suites.data_integrity import test_replication as replication
from tests.evidence.contexts import context, gather
from tests.evidence.postgres.servers import Server, server
from tests.evidence.postgres.test_commits import cluster, configured, failed_reasons, hangs
from tests.evidence.stores import Stores, address_of
from tests.judged import outcomes

__all__ = ["cluster"]


def test_strict_synchronous_mode_without_a_standby(running: Stores, cluster: Cluster) -> None:
    """patroni#2400, #435: Patroni sets "*" where no standby is there: the primary answers, and takes no write."""
    cluster.standby.stop()
    try:
        until(lambda: not cluster.primary.ask("select count(*) from pg_stat_replication"), "the standby is gone")
        with configured(cluster, synchronous_standby_names="*"):
            assert hangs(cluster)
            seen = failed_reasons(running, cluster, standbys=0)
    finally:
        cluster.standby.start(cluster.primary, cluster.conninfo)
        cluster.wait_for_streaming()
    assert "every commit waits for 1" in seen["primary"]
    assert failed_reasons(running, cluster) == {}


def test_the_synchronous_standby_is_not_connected_to_the_primary(running: Stores, cluster: Cluster) -> None:
    """patroni#3369: the standby that is named follows another standby; the one that is connected is not named."""
    with configured(cluster, synchronous_standby_names="FIRST 1 (cascaded)"):
        assert hangs(cluster)
        seen = failed_reasons(running, cluster)
    assert set(seen) == {"primary", "topology"}
    assert "cascaded" in seen["topology"]


def test_a_slot_that_a_standby_keeps(running: Stores, cluster: Cluster) -> None:
    """cloudnative-pg#9969: a slot is left behind on a former primary; it keeps WAL there, and the primary has none."""
    cluster.standby.ask("select pg_create_physical_replication_slot('left_behind', true)")
    try:
        finish_segments(cluster, 20)
        cluster.wait_for_replay()
        seen = failed_reasons(running, cluster)
    finally:
        cluster.standby.ask("select pg_drop_replication_slot('left_behind')")
    assert set(seen) == {"slots"}
    assert "no consumer is connected" in seen["slots"]
    assert failed_reasons(running, cluster) == {}


def test_a_standby_that_is_late_on_purpose(running: Stores, cluster: Cluster) -> None:
    """patroni#1179, pgbackrest#1222, GitLab's copy for accidents: it applies what is an hour old, and keeps up."""
    settings = {
        "nodes": [address_of(f"db-{n}", node.entrance) for n, node in enumerate(cluster.nodes, 1)],
        "database": "shop", "tls": {"ca": "ca.pem"}, "password": {"file": running.known.postgres},
        "expect": {"primaries": 1, "standbys": 1},
    }  # fmt: skip
    given = context(running.place, nameserver=running.nameserver, postgres={"x": settings})
    held = "select wait_event from pg_stat_activity where backend_type = 'startup'"
    cluster.standby.configure(recovery_min_apply_delay="1h")
    try:
        cluster.primary.ask("update customers set since = since where name = 'customer' returning 1")
        until(lambda: cluster.standby.ask(held) == "RecoveryApplyDelay", "it is held back")
        finish_segments(cluster, 60)
        found = gather("postgres-replication", "x", given)
    finally:
        cluster.standby.configure(recovery_min_apply_delay=None)
        cluster.wait_for_replay()
    primary, standby = (each.position for each in found.nodes)
    assert primary - standby > 50_000_000
    assert outcomes(replication.test_the_standbys_are_close_in_bytes, found) == "passed"
    said = outcomes(replication.test_the_standbys_are_close_in_time, found)
    assert said.startswith("warned: ")
    assert "recovery_min_apply_delay is 3600 s" in said


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    with server(postgres_programs()) as one:
        one.run("create schema app", "create role prodcheck login")
        one.grant(one.context())
        one.run("grant usage on schema app to prodcheck",
                "alter default privileges in schema app grant select on sequences to prodcheck")  # fmt: skip
        yield one


def test_the_parent_of_partitions_is_never_vacuumed(shop: Server) -> None:
    """check_pgactivity#398, #365: a partitioned table has no vacuum and no dead rows of its own."""
    shop.run("create table app.p (id int) partition by range (id)",
             "create table app.p1 partition of app.p for values from (0) to (9000)",
             "alter table app.p1 set (autovacuum_enabled = off)",
             "insert into app.p select generate_series(1, 8000)", "analyze app.p")  # fmt: skip
    dead = "select n_dead_tup from pg_stat_user_tables where relname = 'p1'"
    assert gather("postgres-activity", "shop", shop.context()).dead == ()
    shop.run("delete from app.p where id > 10")
    until(lambda: shop.node.ask(dead) == 7990, "the statistics are there")
    told = gather("postgres-activity", "shop", shop.context()).dead
    shop.run("drop table app.p")
    assert [(each.table, each.dead) for each in told] == [("app.p1", 7990)]


def test_a_partition_that_is_half_detached(shop: Server) -> None:
    """puppetdb#4013, thingsboard#8271: DETACH … CONCURRENTLY was ended while it waited; its rows are seen no more."""

    def told() -> list[str]:
        return [f"{each.name} {each.what}" for each in gather("postgres-schema", "shop", shop.context()).half_detached]

    shop.run("create table app.e (at date) partition by range (at)",
             "create table app.e1 partition of app.e for values from ('2026-01-01') to ('2027-01-01')",
             "insert into app.e values ('2026-11-30')")  # fmt: skip
    with shop.node.connect() as waits, shop.node.connect() as reader:
        reader.autocommit = False
        reader.execute("select from app.e")
        detaching = threading.Thread(target=lambda: _until_cancelled(waits), daemon=True)
        detaching.start()
        until(lambda: shop.node.ask("select count(*) from pg_inherits where inhdetachpending") == 1, "it is half done")
        assert told() == []  # it waits for the reader: nothing is wrong yet
        waits.cancel()
        detaching.join(20)
        reader.rollback()
    assert shop.node.ask("select count(*) from app.e") == 0
    assert told() == ["app.e1 half detached from app.e"]
    shop.run("alter table app.e detach partition app.e1 finalize")
    assert told() == []
    shop.run("drop table app.e, app.e1")


def _until_cancelled(connection: Any) -> None:
    with contextlib.suppress(Exception):
        connection.execute("alter table app.e detach partition app.e1 concurrently")


@pytest.mark.parametrize(
    ("make", "used"),
    [
        # check_pgactivity#145: a range that begins high is not used up by its beginning
        ("create sequence app.s minvalue 111110000000000001 maxvalue 111119999999999999 start 111110000000000001;"
         "select setval('app.s', 111110000000000124)", 0.0),
        # spilo#940: numbers begin after the smallest, and go down
        ("create sequence app.s as smallint start 30000; select setval('app.s', 32000)", 0.977),
        ("create sequence app.s as smallint increment -1 minvalue -100 maxvalue -1; select setval('app.s', -90)", 0.9),
        # pghero#542: an identity column has no nextval() as its default
        ("create table app.t (id int generated by default as identity (sequence name app.s));"
         "select setval('app.s', 2147483647)", 1.0),
        # discourse-prometheus#98: the sequence is a bigint's, the column that it fills is not
        ("create sequence app.s; create table app.t (id int default nextval('app.s'));"
         "select setval('app.s', 2000000000)", 0.931),
    ],
)  # fmt: skip
def test_how_much_of_a_sequence_is_used(shop: Server, make: str, used: float) -> None:
    shop.run(*make.split(";"))
    try:
        told = gather("postgres-schema", "shop", shop.context()).sequences
        (found,) = (each for each in told if each.name == "app.s")
    finally:
        shop.run("drop table if exists app.t", "drop sequence if exists app.s")
    assert round(found.used, 3) == used


@pytest.mark.parametrize(("make", "names"), [
    # salesagent#2087, pg_index_watch#12: CREATE … CONCURRENTLY that failed; the catalogue lists it, nothing uses it
    ("create table app.w (id int); insert into app.w values (1), (1); "
     "!create unique index concurrently wi on app.w (id)",
     ["app.wi invalid index of w"]),
    # pg_partman#222, pghero#284: NOT VALID on one partition, on a domain, and never validated
    ("create table app.w (id int) partition by range (id); "
     "create table app.w1 partition of app.w for values from (0) to (9); insert into app.w values (1); "
     "alter table app.w1 add constraint c check (id > 5) not valid",
     ["app.w1.c check, not validated"]),
    ("create domain app.wd as int; create table app.w (d app.wd); insert into app.w values (-1); "
     "alter domain app.wd add constraint c check (value > 0) not valid", ["app.wd.c check, not validated"]),
])  # fmt: skip
def test_what_was_never_made_whole(shop: Server, make: str, names: list[str]) -> None:
    for each in make.split("; "):
        with contextlib.suppress(Exception) if each.startswith("!") else contextlib.nullcontext():
            shop.run(each.removeprefix("!"))
    told = gather("postgres-schema", "shop", shop.context())
    shop.run("drop table app.w", "drop domain if exists app.wd")
    assert [f"{each.name} {each.what}" for each in (*told.invalid, *told.unvalidated)] == names
