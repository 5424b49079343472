"""What the collectors of the data integrity suite find on real servers of every version that can be had."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

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
from tests.evidence.postgres.servers import Server, installed
from tests.evidence.postgres.shop_database import ALL, SETTINGS, changed, find


def test_healthy(database: Server, scripts_folder: Path) -> None:
    migrations: Migrations = find(database, "postgres-migrations", scripts_folder)
    assert (migrations.applied, migrations.pending, migrations.unknown) == (2, ("cc",), ())
    schema: Schema = find(database, "postgres-schema")
    assert (schema.unvalidated, schema.disabled, schema.unlogged, schema.invalid, schema.unreadable) == ((),) * 5
    assert schema.sequences_total == 2
    assert schema.sequences[0].name == "app.lines_n_seq"
    assert schema.sequences[0].used == pytest.approx(1000 / 32767, rel=0.05)  # other tests take a few numbers
    orphans: OrphanRows = find(database, "postgres-orphans")
    counts = {each.name: (each.kind, each.seen, each.orphans, each.problem) for each in orphans.relations}
    assert counts == {
        "events": ("declared", 1000, 0, None),
        "app.lines.lines_order_id_fkey": ("enforced", 1000, 0, None),
        "app.odd_child.odd_child_a_b_fkey": ("enforced", 1, 0, None),  # MATCH SIMPLE: NULL refers to nothing
        "app.visits.visits_order_id_fkey": ("enforced", 2, 0, None),
    }
    freshness: Freshness = find(database, "postgres-freshness")
    assert all(each.problem is None and each.age is not None and each.age < 300 for each in freshness.tables)
    assert isinstance(find(database, "postgres-invariant"), InvariantValue)
    checksums: Checksums = find(database, "postgres-checksums")
    assert [(node.on, node.failures, node.problem) for node in checksums.nodes] == [(True, 0, None)]
    activity: Activity = find(database, "postgres-activity")
    assert (activity.waits, activity.idle, activity.prepared) == ((), (), ())
    assert {each.database for each in activity.databases} >= {"shop", "template0", "postgres"}
    structure: Structure = find(database, "postgres-structure")
    (node,) = structure.nodes
    assert (node.problem, node.findings, node.left) == (None, (), ())
    assert node.checked == node.total > 100


@pytest.mark.parametrize("kind", ["bool", "text"])
def test_a_migration_that_broke_off(database: Server, tmp_path: Path, kind: str) -> None:
    """golang-migrate#282, #678: it notes so in the column `dirty`, and then migrates nothing any more."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "000004_carts.up.sql").write_text("select 1;")
    make = f"create table schema_migrations (version bigint, dirty {kind});"
    make += "insert into schema_migrations values (4, true); grant select on schema_migrations to public"
    settings = {"kind": "table", "scripts": "scripts", "holds": "latest"}
    with changed(database, make, "drop table schema_migrations"):
        found: Migrations = find(database, "postgres-migrations", tmp_path, migrations=settings)
    assert found.failed == (("4",) if kind == "bool" else ())


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
def test_invariants_that_prove_nothing(database: Server, sql: str, words: str) -> None:
    database.run("create table if not exists app.hidden (a int)")
    invariants = {"totals": {"sql": sql, "at_most": 0}}
    problem = problem_of(lambda: find(database, "postgres-invariant", invariants=invariants))
    assert words in f"{problem.kind} {problem}"
    assert database.node.ask("select count(*) from app.orders") == 1000


def test_invariant_within_its_budget(database: Server) -> None:
    slow = {"totals": {"sql": "select count(*) from pg_sleep(20)", "at_most": 0, "budget": "200ms"}}
    began = time.monotonic()
    problem = problem_of(lambda: find(database, "postgres-invariant", invariants=slow))
    assert (problem.kind, time.monotonic() - began < 5) == ("timeout", True)
    whole = {"totals": {"sql": "select -1.5::numeric;", "at_most": 0}}
    assert find(database, "postgres-invariant", invariants=whole).value == -1.5


def test_newest_rows(database: Server) -> None:
    with changed(database, "update app.orders set at = '2001-01-01'; "
                 "update app.orders set at = '2999-01-01' where id = 7; truncate app.events",
                 "update app.orders set at = now(); "
                 "insert into app.events select i, 'x' from generate_series(1, 1000) i"):  # fmt: skip
        orders, events = find(database, "postgres-freshness").tables
    assert orders.age is not None
    assert orders.age > 20 * 365 * 86400
    assert (events.age, events.problem) == (None, None)
    database.run("vacuum app.orders", "vacuum app.events")


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
)  # fmt: skip  # fmt: skip


def test_every_change_of_a_row_changes_its_hash(database: Server) -> None:
    """Also those that SQL takes for equal; and types without a binary form are found, however deep they are hidden."""
    with database.node.connect() as connection:
        with contextlib.suppress(Exception):  # ICU is not in every build
            connection.execute("create collation app.blind (provider = icu, locale = 'und-u-ks-level2', "
                               "deterministic = false)")  # fmt: skip
        collated = connection.execute("select count(*) from pg_collation where collname = 'blind'").fetchone()
        for statement in (HASHED if collated == (1,) else HASHED.replace(" collate app.blind", "")).split(";"):
            connection.execute(statement.encode())
        try:
            forms = dict(connection.execute(hash_sql.TABLES).fetchall())
            assert forms["app.rows"] is (database.version >= 140000)
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


def test_everything_that_is_granted_is_needed(database: Server, scripts_folder: Path) -> None:
    """The role has exactly what `prodcheck grants` prints: with any of it taken away something is errored, and told."""
    if database.version // 10000 != int(min(installed())):
        pytest.skip("once is enough")

    def trouble() -> str:
        given, found = database.context(scripts_folder, **SETTINGS), []
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
    given = [line.rstrip(";") for line in database.granted if line.startswith("GRANT")]
    assert len(given) > 10
    for line in given:
        if "CONNECT" in line or "IN SCHEMA public" in line:  # which everybody may; where no sequence is
            continue
        database.run(line.replace("GRANT", "REVOKE", 1).replace(" TO ", " FROM "))
        said = trouble()
        database.run(line)
        needed = "pg_monitor" if "pg_monitor" in line else "GRANT"
        assert needed in said, f"{line} is not needed, or not told: {said}"
