"""What is found of rows that refer to nothing, on real servers of every version."""

from __future__ import annotations

import pytest

from tests.evidence.postgres.servers import PASSWORD, Server
from tests.evidence.postgres.shop_database import SETTINGS, changed, find


def test_orphans(database: Server) -> None:
    off = "alter table app.lines enable trigger all; delete from app.lines where order_id < 0; " \
          "delete from app.events where order_id < 0"  # fmt: skip
    on = "insert into app.events values (-1, 'x'), (-2, 'x'), (null, 'x'); " \
         "alter table app.lines disable trigger all; insert into app.lines (order_id) values (-1)"  # fmt: skip
    with changed(database, on, off):
        orphans = find(database, "postgres-orphans", orphans={"enforced": False})
        sampled = find(database, "postgres-orphans", orphans={"enforced": False, "sample": 1000})
    database.run("delete from app.events where order_id is null")
    assert {each.name: (each.kind, each.orphans) for each in orphans.relations} == {
        "events": ("declared", 2), "app.lines.lines_order_id_fkey": ("not enforced", 1),
    }  # fmt: skip
    assert orphans.enforced == 2
    assert all(not each.sampled for each in sampled.relations)  # no larger than the sample


def test_a_partition_on_another_server(database: Server) -> None:
    """Only who has a user mapping reads it: without one the relation is not judged, and the others are."""
    if not database.node.ask("select count(*) from pg_available_extensions where name = 'postgres_fdw'"):
        pytest.skip("this server has no postgres_fdw")
    make = (
        "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw options "
        f"(host '127.0.0.1', port '{database.node.port}', dbname 'shop'); create table app.moved as select 5000 as id; "
        "create table app.far (id bigint) partition by range (id); "
        "create table app.far_1 partition of app.far for values from (0) to (2000); insert into app.far values (1); "
        "create foreign table app.far_2 partition of app.far for values from (2000) to (9000) server far "
        "options (schema_name 'app', table_name 'moved'); "
        "grant select on app.far, app.far_1, app.far_2, app.moved to prodcheck"
    )
    relations = {"far": {"child": "app.far(id)", "parent": "app.orders(id)"}, **SETTINGS["relations"]}
    with changed(database, make, "drop table app.far, app.moved; drop extension postgres_fdw cascade"):
        without = find(database, "postgres-orphans", relations=relations).relations
        database.run(f"create user mapping for prodcheck server far options (user 'prodcheck', password '{PASSWORD}')")
        with_one = find(database, "postgres-orphans", relations=relations).relations
    told = without[0].problem
    assert (without[0].name, without[0].orphans) == ("far", None)
    assert told is not None
    assert "user mapping not found" in told.message
    assert all(each.problem is None and each.orphans == 0 for each in without[1:])
    assert [(each.name, each.seen, each.orphans) for each in with_one[:2]] == [("far", 2, 1), ("events", 1000, 0)]


@pytest.mark.parametrize("mode", ["enable replica trigger all", "disable trigger all"])
@pytest.mark.parametrize("which", ["lines", "lines_new", "parents_new"])
def test_a_key_that_is_enforced_in_part(database: Server, mode: str, which: str) -> None:
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
        database.run(*make.split(";"), modes, broken)
        schema, orphans = find(database, "postgres-schema"), find(database, "postgres-orphans")
    finally:
        database.run("drop schema part cascade")
    assert any("part." in one.name for one in schema.disabled)
    assert {one.name: (one.kind, one.orphans) for one in orphans.relations if "part." in one.name} == {
        "part.lines.lines_parent_fkey": ("not enforced", 1)
    }


def test_orphans_in_pieces_and_by_sample(database: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.postgres import orphans as postgres_orphans

    told: list[str] = []
    monkeypatch.setattr(postgres_orphans, "PIECE", 2)
    monkeypatch.setattr(Deadline, "tell", lambda self, text: told.append(text))
    with changed(database, "insert into app.events select -i, 'x' from generate_series(1, 5000) i; analyze app.events",
                 "delete from app.events where order_id < 0"):  # fmt: skip
        whole = find(database, "postgres-orphans").relations[0]
        part = find(database, "postgres-orphans", orphans={"sample": 1000}).relations[0]
        late = find(database, "postgres-orphans", orphans={"budget": "1ms"}).relations[0]
    assert (whole.seen, whole.orphans) == (6000, 5000)
    assert database.version < 140000 or any("app.events: " in text and "%" in text for text in told)
    assert part.sampled
    assert 0 < part.seen < 6000
    assert part.total == 6000
    assert late.orphans is None
    assert "budget of 0.001 s" in str(late.problem)
