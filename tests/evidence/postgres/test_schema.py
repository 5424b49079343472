"""What is found of constraints, triggers, indexes, sequences and collations, on real servers of every version."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from tests.evidence.postgres.servers import Server
from tests.evidence.postgres.shop_database import changed, find


@pytest.mark.parametrize(
    ("on", "off", "field", "name"),
    [
        ("alter table app.orders add constraint c check (total < 9) not valid",
         "alter table app.orders drop constraint c", "unvalidated", "app.orders.c"),
        ("alter table app.events add constraint f foreign key (order_id) references app.orders not valid",
         "alter table app.events drop constraint f", "unvalidated", "app.events.f"),
        ("create domain app.d as int; create table app.x (a app.d); "
         "alter domain app.d add constraint c check (value > 0) not valid",
         "drop table app.x; drop domain app.d", "unvalidated", "app.d.c"),
        ("alter table app.orders disable trigger touch", "alter table app.orders enable trigger touch", "disabled",
         "app.orders.touch"),
        ("alter table app.lines disable trigger all", "alter table app.lines enable trigger all", "disabled",
         "app.lines.lines_order_id_fkey"),
        ("alter database shop set session_replication_role = 'replica'",
         "alter database shop reset session_replication_role", "disabled", "role every role"),
        ("alter table app.orders enable replica trigger touch", "alter table app.orders enable trigger touch",
         "disabled", "app.orders.touch"),
        ("create rule kept as on delete to app.orders do instead nothing; alter table app.orders disable rule kept",
         "drop rule kept on app.orders", "disabled", "app.orders.kept"),
        ("create function app.f() returns event_trigger language plpgsql as 'begin end'; create event trigger audit "
         "on ddl_command_end execute function app.f(); alter event trigger audit disable",
         "drop event trigger audit; drop function app.f", "disabled", "audit"),
        ("create unlogged table app.u (a int)", "drop table app.u", "unlogged", "app.u"),
        ("create index part on only app.visits (at)", "drop index app.part", "invalid", "app.part"),
    ],
)  # fmt: skip
def test_schema_faults(database: Server, on: str, off: str, field: str, name: str) -> None:
    with changed(database, on, off):
        schema = find(database, "postgres-schema")
    lists = ("unvalidated", "disabled", "unlogged", "invalid")
    found = {each: [one.name for one in getattr(schema, each)] for each in lists}
    assert name in found.pop(field)
    assert not any(found.values())


def test_constraint_that_is_not_enforced(database: Server) -> None:
    if database.version < 180000:
        pytest.skip("NOT ENFORCED came with PostgreSQL 18")
    with changed(database, "alter table app.events add constraint f foreign key (order_id) references app.orders "
                 "not enforced; insert into app.events values (-1, 'x')",
                 "alter table app.events drop constraint f; delete from app.events where order_id = -1"):  # fmt: skip
        schema, orphans = find(database, "postgres-schema"), find(database, "postgres-orphans")
    assert [each.what for each in schema.unvalidated] == ["foreign key, not enforced"]
    assert [(each.name, each.orphans) for each in orphans.relations if each.kind == "not enforced"] == [
        ("app.events.f", 1)
    ]


def test_invalid_index_and_one_that_is_being_built(database: Server) -> None:
    import psycopg

    build = "create unique index concurrently once on app.orders (total)"
    with contextlib.closing(database.node.connect()) as writer:
        writer.execute("begin")
        writer.execute("insert into app.orders (total) values (1)")

        def run() -> None:
            with contextlib.suppress(psycopg.Error):
                database.run(build)

        building = threading.Thread(target=run)
        building.start()
        for _ in range(100):
            if database.node.ask("select count(*) from pg_index where indexrelid = 'app.once'::regclass"
                                if database.node.ask("select to_regclass('app.once')") else "select 0"):  # fmt: skip
                break
            time.sleep(0.05)
        schema, activity = find(database, "postgres-schema"), find(database, "postgres-activity")
        writer.execute("commit")
    building.join(20)
    assert (schema.invalid, schema.building) == ((), 1)
    assert activity.waits == ()  # it waits for a virtual transaction, and blocks nobody
    schema = find(database, "postgres-schema")
    assert ([each.name for each in schema.invalid], schema.building) == (["app.once"], 0)
    database.run("drop index app.once", "delete from app.orders where id > 1000")


@pytest.mark.parametrize(
    ("make", "used", "column"),
    [
        ("create sequence app.s as smallint; select setval('app.s', 16384)", 0.5, ""),
        ("create sequence app.s as smallint increment -1; select setval('app.s', -16384)", 0.5, ""),
        ("create sequence app.s as smallint minvalue -32768 start -32768; select setval('app.s', 0)", 0.5, ""),
        ("create sequence app.s; create table app.t (a integer default nextval('app.s')); "
         "select setval('app.s', 1 << 30)", 0.5, "app.t.a"),
        ("create table app.t (a smallint generated always as identity (sequence name app.s)); "
         "select setval('app.s', 16384)", 0.5, ""),
        ("create sequence app.s as smallint cycle; select setval('app.s', 32767)", None, ""),
        ("create sequence app.s cycle; create table app.t (a smallint default nextval('app.s')); "
         "select setval('app.s', 16384)", 0.5, "app.t.a"),
        ("create sequence app.s maxvalue 10", 0.0, ""),
        ("create sequence app.s as smallint; alter sequence app.s restart with 16385", 0.5, ""),
        ("create sequence app.s as smallint; select setval('app.s', 32767, false)", 1.0, ""),
        ("create sequence app.s as smallint increment -1; select setval('app.s', -32767, false)", 1.0, ""),
        # check_pgactivity#291: the next INSERT says "integer out of range"
        ("create sequence app.s; create domain app.outer as integer check (value > 0); "
         "create table app.t (a app.outer default nextval('app.s')); select setval('app.s', 2147483647)", 1.0,
         "app.t.a"),
        ("create sequence app.s; create domain app.inner as smallint; create domain app.outer as app.inner "
         "check (value > 0); create table app.t (a app.outer default nextval('app.s')); "
         "select setval('app.s', 16384)", 0.5, "app.t.a"),
        ("create sequence app.s; create table app.t (a numeric(5) default nextval('app.s')); "
         "select setval('app.s', 50000)", 0.5, "app.t.a"),
        ("create sequence app.s; create domain app.outer as numeric(7, 2); "
         "create table app.t (a app.outer default nextval('app.s')); select setval('app.s', 50000)", 0.5, "app.t.a"),
        ("create sequence app.s; create table app.t (a numeric default nextval('app.s'))", 0.0, ""),
        ("create sequence app.s minvalue 5 maxvalue 14 start 5; select nextval('app.s')", 0.1, ""),
        # a default that names its sequence as text leaves no dependency behind
        ("create sequence app.s; create table app.t (a integer default nextval(('app.s'::text)::regclass)); "
         "select setval('app.s', 1 << 30)", 0.5, "app.t.a"),
        ("create sequence app.s; create table app.t (a smallint default nextval('s'::text)); "
         "select setval('app.s', 16384)", 0.5, "app.t.a"),
        # a key that refers to it is narrower than what it refers to
        ("create table app.t (a bigint generated always as identity (sequence name app.s) primary key, "
         "b integer references app.t); select setval('app.s', 1 << 30)", 0.5, "app.t.b"),
    ],
)  # fmt: skip
def test_sequences(database: Server, make: str, used: float | None, column: str) -> None:
    off = "drop table if exists app.t; drop sequence if exists app.s; drop domain if exists app.outer; " \
          "drop domain if exists app.inner"  # fmt: skip
    with changed(database, f"{make}; grant select on app.s to prodcheck", off):
        schema = find(database, "postgres-schema")
    found = [each for each in schema.sequences if each.name == "app.s"]
    if used is None:
        assert (found, schema.cycling) == ([], 1)
    else:
        assert [(round(each.used, 3), each.column) for each in found] == [(used, column)]


def test_the_parent_of_partitions_that_is_marked_unlogged(database: Server) -> None:
    """pg_partman#267: before 18 a parent keeps the mark, which no ALTER TABLE removes; it holds no rows."""
    if database.version >= 180000:
        pytest.skip("PostgreSQL 18 refuses unlogged partitioned tables")
    make = (
        "create unlogged table app.logs (day int) partition by range (day); "
        "create table app.logs_1 partition of app.logs for values from (0) to (10)"
    )
    with changed(database, make, "drop table app.logs"):
        assert find(database, "postgres-schema").unlogged == ()
    make = make.replace("create table", "create unlogged table")
    with changed(database, make, "drop table app.logs"):
        assert [one.name for one in find(database, "postgres-schema").unlogged] == ["app.logs_1"]


def test_sequences_that_are_unlogged(database: Server) -> None:
    if database.version < 150000:
        pytest.skip("sequences are unlogged from PostgreSQL 15 on")
    make = "create unlogged sequence app.s; create unlogged table app.u (a int generated always as identity); " \
           "grant select on all sequences in schema app to prodcheck"  # fmt: skip
    with changed(database, make, "drop sequence app.s; drop table app.u"):
        found = {one.name: one.what for one in find(database, "postgres-schema").unlogged}
    assert found == {"app.s": "unlogged sequence", "app.u": "unlogged"}


def test_collations_of_another_version(database: Server) -> None:
    """check_pgactivity#268, gvmd#1878: after an upgrade of the system, indexes on text miss rows."""
    from suites.data_integrity.test_schema import test_text_is_ordered_as_when_indexes_were_built as check
    from tests.judged import outcomes

    assert outcomes(check, find(database, "postgres-collations")) == "passed"
    if database.version >= 150000:
        with changed(database, "update pg_database set datcollversion = '2.28' where datname = 'shop'",
                     "update pg_database set datcollversion = null where datname = 'shop'"):  # fmt: skip
            said = outcomes(check, find(database, "postgres-collations"))
        assert "database shop" in said
        assert "built with 2.28" in said
    if database.node.ask("select count(*) from pg_collation where collprovider = 'i'") < 10:
        pytest.skip("this server was built without ICU")
    database.run("create collation app.de (provider = icu, locale = 'de-DE')")
    try:
        database.run("update pg_collation set collversion = '58.0' where collname = 'de'")
        assert find(database, "postgres-collations").nodes[0].changed == ()  # nothing uses it
        database.run("create table app.names (name text collate app.de primary key)")
        said = outcomes(check, find(database, "postgres-collations"))
    finally:
        database.run("drop table if exists app.names", "drop collation app.de")
    assert "collation app.de" in said
    assert "built with 58.0" in said
