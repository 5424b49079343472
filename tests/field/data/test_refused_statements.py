"""PostgreSQL that answers and refuses what the application does next: no partition, an empty view, no identity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pytest_prodcheck.demo.runtime.programs import postgres_programs
from pytest_prodcheck.demo.runtime.waiting import until
from suites.data_integrity.test_replication import test_changes_of_others_come_in as subscriptions
from suites.data_integrity.test_schema import test_numbers_are_left as numbers
from suites.data_integrity.test_schema import test_objects_take_their_statements as usable
from suites.data_integrity.test_schema import test_row_policies_filter as policies
from suites.data_integrity.test_schema import test_rows_of_now_have_a_partition as partitions
from suites.data_integrity.test_storage import test_autovacuum_keeps_up as dead_rows
from suites.data_integrity.test_storage import test_no_transaction_is_left_open as transactions
from tests.evidence.contexts import gather
from tests.evidence.postgres.servers import Server, server
from tests.judged import judged


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    # far from UTC: days of `date` and `timestamp` begin when the server's do
    with server(postgres_programs(), wal_level="logical", timezone="America/Los_Angeles") as one:
        one.run("create schema app", "create role prodcheck login", "alter role prodcheck set datestyle = 'SQL, DMY'")
        one.grant(one.context())
        one.run("alter default privileges in schema app grant select on sequences to prodcheck")
        yield one


def said_of(check: Callable[..., None], name: str, shop: Server, **more: Any) -> tuple[str, str]:
    """What a check says: outcome, and the reason of the first judgement that is not passed."""
    found = judged(check, gather(name, "shop", shop.context()), **more)
    bad = next((each for each in found.judgements if str(each.outcome) != "passed"), None)
    return str(found.outcome), bad.reason if bad else ""


def told(check: Callable[..., None], name: str, shop: Server, **tolerate: Any) -> tuple[str, str]:
    """The same, with names that are tolerated."""
    return said_of(check, name, shop, declared={"tolerate": tolerate})


def days(*ranges: tuple[int, int], key: str = "at date") -> list[str]:
    """A table with partitions of these days, counted from the server's day; key: its column, and what is made of it."""
    column, _, made_of = key.partition("; ")
    made = [f"create table app.days ({column}, n int) partition by range ({made_of or 'at'})"]
    for number, (since, until_day) in enumerate(ranges):
        made.append(
            f"do $$ begin execute format('create table app.days_{number} partition of app.days for values from (%L) "
            f"to (%L)', now()::date + {since}, now()::date + {until_day}); end $$"
        )
    return made


@pytest.mark.parametrize(
    ("ranges", "key", "taken", "outcome"),
    [
        (((-40, -9), (-9, 0)), "at date", False, "failed"),  # pg_partman#449: the job stopped
        (((-40, -9), (9, 40)), "at timestamptz", False, "failed"),  # one of them was dropped
        (((-40, 1),), "at timestamp", True, "warned"),  # the last day
        (((-40, 1), (1, 90)), "at date", True, "passed"),
        (((-40, -9), (-9, 0)), "at timestamptz; ((at at time zone 'America/Los_Angeles')::date)", False, "failed"),
        ((), "at date", False, "warned"),
        (((3, 9),), "at date", False, "warned"),  # it is not used yet
        (((-400, -300),), "at date", False, "passed"),  # it is not used any more
    ],
)
def test_partitions_that_end(shop: Server, ranges: Any, key: str, taken: bool, outcome: str) -> None:
    shop.run(*days(*ranges, key=key))
    try:
        if taken:
            shop.run("insert into app.days values (now())")
        else:
            with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
                shop.run("insert into app.days values (now())")
        said = told(partitions, "postgres-schema", shop)
        assert said[0] == outcome, said
        assert told(partitions, "postgres-schema", shop, partitions=["app.d*"])[0] == "passed"
        shop.run("create table app.rest partition of app.days default")
        rest = told(partitions, "postgres-schema", shop)
        assert rest[0] == ("warned" if outcome == "failed" else "passed"), rest
    finally:
        shop.run("drop table app.days")


def test_rows_that_pile_up_in_the_default_partition(shop: Server) -> None:
    """pgpartman/pg_partman#247, #510, #620: the job stopped; the partition that is missing cannot be made any more."""
    shop.run(*days((-40, -9), (-9, 0)), "create table app.rest partition of app.days default")
    try:
        shop.run("insert into app.days values (now())")
        with pytest.raises(psycopg.errors.CheckViolation, match="would be violated by some row"):
            shop.run("do $$ begin execute format('create table app.days_2 partition of app.days for values from (%L) "
                     "to (%L)', now()::date, now()::date + 9); end $$")  # fmt: skip
        said = told(partitions, "postgres-schema", shop)
    finally:
        shop.run("drop table app.days")
    assert said[0] == "warned"
    assert "rows of now go to the default partition" in said[1]


def test_partitions_of_partitions(shop: Server) -> None:
    """Those of last year are over; those of this year have to go on, unless they are whole."""
    shop.run(
        *days((-700, -10), (-10, 400)), "drop table app.days_0, app.days_1",
        "create table app.old partition of app.days for values from ('2020-01-01') to ('2021-01-01') "
        "partition by range (at)",
        "create table app.old_1 partition of app.old for values from ('2020-01-01') to ('2020-02-01')",
        "create table app.new partition of app.days for values from ('2021-01-01') to (maxvalue) "
        "partition by range (at)",
    )  # fmt: skip
    try:
        assert told(partitions, "postgres-schema", shop)[0] == "warned"  # app.new has none
        shop.run("create table app.new_1 partition of app.new for values from ('2021-01-01') to (maxvalue)")
        assert told(partitions, "postgres-schema", shop)[0] == "passed"
    finally:
        shop.run("drop table app.days")


def test_partitions_by_number(shop: Server) -> None:
    """pg_partman#327: partitions of so many ids each, and the sequence is past the last one."""
    shop.run("create table app.ids (id bigserial, n int) partition by range (id)",
             "create table app.ids_1 partition of app.ids for values from (minvalue) to (3)")  # fmt: skip
    try:
        shop.run("insert into app.ids (n) values (1)")
        assert told(partitions, "postgres-schema", shop)[0] == "passed"
        shop.run("insert into app.ids (n) values (1)")
        said = told(partitions, "postgres-schema", shop)
        with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
            shop.run("insert into app.ids (n) values (1)")
        assert said[0] == "failed"
        assert "no partition takes 3, the next number of its sequence" in said[1]
        shop.run("create table app.rest partition of app.ids default")
        assert told(partitions, "postgres-schema", shop)[0] == "warned"
        shop.run("drop table app.rest")
        shop.run("create table app.ids_2 partition of app.ids for values from (3) to (maxvalue)")
        assert told(partitions, "postgres-schema", shop)[0] == "passed"
    finally:
        shop.run("drop table app.ids")


def test_a_materialized_view_without_content(shop: Server) -> None:
    shop.run("create materialized view app.sales as select 1 as day with no data")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="has not been populated"):
        shop.run("select from app.sales")
    before = told(usable, "postgres-schema", shop)
    shop.run("refresh materialized view app.sales")
    assert before[0] == "failed"
    assert "app.sales: the materialized view was never filled" in before[1]
    assert told(usable, "postgres-schema", shop) == ("passed", "")
    shop.run("drop materialized view app.sales")


@pytest.mark.parametrize(
    ("table", "publication", "changed", "outcome"),
    [
        ("id int", "for all tables", True, "failed"),
        ("id int", "for all tables", False, "warned"),  # events: nobody updates them
        ("id int unique", "for table app.t", True, "failed"),
        ("id int primary key deferrable", "for table app.t", True, "failed"),
        ("id int", "for tables in schema app", True, "failed"),
        ("id int", "for table app.t with (publish = 'insert')", True, "passed"),
        ("id int primary key", "for all tables", True, "passed"),
    ],
)
def test_updates_of_published_tables(
    shop: Server, table: str, publication: str, changed: bool, outcome: str
) -> None:
    shop.run(f"create table app.t ({table}, n int)", "insert into app.t values (1)")
    if changed:
        shop.run("update app.t set n = 1")
        until(lambda: shop.node.ask("select n_tup_upd from pg_stat_user_tables where relname = 't'"), "it is counted")
    shop.run(f"create publication p {publication}")
    try:
        if outcome == "passed":
            shop.run("update app.t set n = 2")
        else:
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="replica identity"):
                shop.run("update app.t set n = 2")
        assert told(usable, "postgres-schema", shop)[0] == outcome
    finally:
        shop.run("drop publication p", "drop table app.t")


def test_partitions_of_a_published_table(shop: Server) -> None:
    """Each partition needs an identity of its own, and is told as its table, once."""
    shop.run(*days((-40, 1), (1, 90)), "insert into app.days values (now())", "create publication p for all tables")
    try:
        said = told(usable, "postgres-schema", shop)
        assert said[0] == "warned"
        assert "app.days: publication p" in said[1]
        for each in (0, 1):
            shop.run(f"alter table app.days_{each} replica identity full")
        assert told(usable, "postgres-schema", shop)[0] == "passed"
    finally:
        shop.run("drop publication p", "drop table app.days")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        # the package is gone, or was replaced: changed where the database notes it, as no other package is at hand
        ("extname = 'postgis'", "extension postgis: its version 1.3 is not on this server"),
        ("extversion = '2.4.5'", "its version 2.4.5 is not on this server, but 1.3: ALTER EXTENSION … UPDATE"),
    ],
)
def test_an_extension_that_is_not_on_the_server(shop: Server, change: str, reason: str) -> None:
    shop.run("create extension pgcrypto", f"update pg_extension set {change} where extname = 'pgcrypto'")
    try:
        said = told(usable, "postgres-schema", shop)
        assert said[0] == "warned"
        assert reason in said[1]
        assert told(usable, "postgres-schema", shop, unusable=["extension *"])[0] == "passed"
    finally:
        shop.run("update pg_extension set extname = 'pgcrypto', extversion = '1.3' where extname <> 'plpgsql'",
                 "drop extension pgcrypto")  # fmt: skip
    assert told(usable, "postgres-schema", shop)[0] == "passed"


def numbers_said(shop: Server, **tolerate: Any) -> tuple[str, str]:
    return told(numbers, "postgres-schema", shop, **tolerate)


def test_sequences_behind_their_rows(shop: Server) -> None:
    """pglogical#48, #136: logical replication brings rows and no sequence; the next INSERT is a duplicate."""
    shop.run("create table app.a (id bigserial primary key, n int)", "create table app.b (id int unique generated "
             "by default as identity, n int)", "create table app.empty (id serial primary key)",
             "insert into app.a select i from generate_series(2, 50) i",  # the first one was deleted
             "insert into app.b select i from generate_series(1, 50) i",
             "grant usage on schema app to prodcheck")  # fmt: skip
    try:
        assert numbers_said(shop)[0] == "passed"  # the tables may not be read
        shop.run("grant select on app.a, app.b, app.empty to prodcheck")
        copied = numbers_said(shop)
        shop.run("insert into app.empty default values")
        seeded = numbers_said(shop)  # two tables may have come with their numbers
        shop.run("insert into app.a (n) values (1)")
        used = numbers_said(shop)
        with pytest.raises(psycopg.errors.UniqueViolation):
            shop.run("insert into app.a (n) values (1)")
        tolerated = numbers_said(shop, numbers=["app.a.id", "app.b.*"])
        for each in ("a", "b"):
            shop.run(f"select setval(pg_get_serial_sequence('app.{each}', 'id'), 50)")
        shop.run("insert into app.a values (100000)")  # far ahead, by somebody's own hand
        well = numbers_said(shop)
    finally:
        shop.run("drop table app.a, app.b, app.empty")
    assert copied[0] == "failed"
    assert "setval() to the largest number" in copied[1]
    assert seeded[0] == "warned"
    assert used[0] == "failed"
    assert tolerated[0] == "passed"
    assert well == ("passed", "")


def test_sequences_of_a_table_that_a_subscription_fills(shop: Server) -> None:
    """Its numbers are drawn on the publisher, as long as the subscription is enabled."""
    shop.run("create table app.copied (id serial primary key)", "insert into app.copied select generate_series(1, 9)",
             "select nextval('app.copied_id_seq')", "grant select on app.copied to prodcheck",
             "create subscription s connection 'dbname=none' publication p with (connect = false, slot_name = none)",
             "insert into pg_subscription_rel select oid, 'app.copied'::regclass, 'r' from pg_subscription",
             )  # fmt: skip
    try:
        shop.run("update pg_subscription set subenabled = true")
        following = numbers_said(shop)
        shop.run("update pg_subscription set subenabled = false")
        left = numbers_said(shop)
    finally:
        shop.run("drop subscription s", "drop table app.copied")
    assert following == ("passed", "")
    assert left[0] == "failed"


@pytest.mark.parametrize(("setting", "outcome"), [("track_counts", "errored"), ("autovacuum", "warned")])
def test_autovacuum_that_never_comes(shop: Server, setting: str, outcome: str) -> None:
    """Dead rows that nobody counts are not none."""
    shop.node.configure(**{setting: "off"})
    try:
        said = said_of(dead_rows, "postgres-activity", shop)
    finally:
        shop.node.configure(**{setting: None})
    assert said[0] == outcome
    assert said_of(dead_rows, "postgres-activity", shop)[0] == "passed"


def test_policies_that_filter_nothing(shop: Server) -> None:
    """splinter#10, manifund#197, pgmold#116: policies are there, and row level security is off: all rows are seen."""
    shop.run("create table app.tenants (id int)", "create policy own on app.tenants using (id = 1)")
    try:
        off = told(policies, "postgres-schema", shop)
        assert told(policies, "postgres-schema", shop, policies=["app.tenants"])[0] == "passed"
        shop.run("alter table app.tenants enable row level security")
        on = told(policies, "postgres-schema", shop)
    finally:
        shop.run("drop table app.tenants")
    assert off[0] == "failed"
    assert on == ("passed", "")


def test_a_transaction_that_never_commits(shop: Server) -> None:
    """psycopg#684, dbt-adapters#1608: a worker asks again and again without autocommit; it idles for seconds only."""
    with shop.node.connect() as worker:
        worker.autocommit = False
        worker.execute("select 1")
        until(lambda: shop.node.ask("select max(now() - xact_start) > '1 s' from pg_stat_activity where state "
                                    "= 'idle in transaction'"), "it is open for a second")  # fmt: skip
        worker.execute("select 2")
        found = gather("postgres-activity", "shop", shop.context())
        assert judged(transactions, found).outcome.value == "passed"
        (session,) = found.idle
        assert session.seconds < 1 < session.open
        worker.rollback()
    old = replace(found, idle=(replace(session, open=4000.0),))
    assert judged(transactions, old).outcome.value == "warned"


def test_dead_rows_of_toast(shop: Server) -> None:
    shop.run("create table app.docs (id int primary key, text text)",
             "alter table app.docs alter text set storage external",
             "alter table app.docs set (toast.autovacuum_enabled = off)",
             "insert into app.docs select i, repeat('x', 8000) from generate_series(1, 500) i",
             *("update app.docs set text = text || '.'" for _ in range(3)))  # fmt: skip
    dead = "select max(n_dead_tup) from pg_stat_all_tables where schemaname = 'pg_toast'"
    until(lambda: (shop.node.ask(dead) or 0) > 6000, "the statistics are there")
    said = said_of(dead_rows, "postgres-activity", shop)
    shop.run("drop table app.docs")
    assert said[0] == "failed"
    assert "TOAST of app.docs" in said[1]


def test_subscriptions(shop: Server) -> None:
    """A row that is there already; one that nobody enabled again; a publication whose tables were never fetched."""

    def said(**tolerate: Any) -> tuple[str, str]:
        return told(subscriptions, "postgres-subscriptions", shop, **tolerate)

    folder = shop.node.ask("show unix_socket_directories")
    other = f"host={folder} port={shop.node.port} dbname=publisher user=postgres"
    shop.node.ask("create database publisher")
    shop.run("create table app.orders (id int primary key)")
    with shop.node.connect(database="publisher") as there:
        for each in ("create schema app", "create table app.orders (id int primary key)", "create publication p",
                     "select pg_create_logical_replication_slot('s', 'pgoutput')"):  # fmt: skip
            there.execute(each)
        shop.run(f"create subscription s connection '{other}' publication p with (create_slot = false)")
        until(lambda: shop.node.ask("select pid from pg_stat_subscription"), "its worker is there")
        assert said()[0] == "warned"  # it brings no table
        there.execute("alter publication p add table app.orders")
        shop.run("alter subscription s refresh publication")
        until(lambda: shop.node.ask("select srsubstate from pg_subscription_rel") == "r", "its table is copied")
        shop.run("insert into app.orders values (7)")
        there.execute("insert into app.orders values (7), (8)")
        until(lambda: shop.node.ask("select apply_error_count from pg_stat_subscription_stats"), "the worker failed")
        failing = said()
        shop.run("alter subscription s disable")
        disabled = said()
        assert said(subscriptions=["s"])[0] == "passed"
        shop.run("delete from app.orders", "alter subscription s enable")
        until(lambda: shop.node.ask("select count(*) from app.orders") == 2, "rows come in")
        well = said()
        shop.run("drop subscription s", "drop table app.orders")
    assert failing[0] == "failed"
    assert disabled[0] == "failed"
    assert "s: no change comes in" in disabled[1]
    assert well == ("passed", "")
