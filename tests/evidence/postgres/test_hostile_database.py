"""A database whose owner overloads all that PostgreSQL has, before its own in `search_path` (CVE-2018-1058).

Every function, aggregate, operator and relation of `pg_catalog` that somebody without rights can make a namesake of is
made one, with the same arguments; whoever calls one leaves a line in the server's log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.environments.grants import grants
from pytest_prodcheck.evidence.content.recording import record_content
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.table import COLLECTORS
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.stores import Stores, address_of

FUNCTIONS = """
do $do$
declare f record; made int := 0;
begin
  for f in select p.oid, p.proname, pg_get_function_identity_arguments(p.oid) as arguments,
      case when p.proretset then 'setof ' else '' end || format_type(p.prorettype, null) as result
    from pg_catalog.pg_proc p where pronamespace = 'pg_catalog'::regnamespace and prokind in ('f', 'w')
  loop
    begin
      execute format('create function public.%I(%s) returns %s language plpgsql as %L', f.proname, f.arguments,
        f.result, format('begin raise log ''HOSTILE %s''; return%s; end', f.proname,
          case when f.result like 'setof%' or f.result in ('void', 'record') then '' else ' null' end));
      made := made + 1;
    exception when others then null;
    end;
  end loop;
  for f in select distinct p.proname, pg_get_function_identity_arguments(p.oid) as arguments
    from pg_catalog.pg_proc p where pronamespace = 'pg_catalog'::regnamespace and prokind = 'a' loop
    begin
      execute format('create function public.%I(%s) returns text language plpgsql as %L', 'step_' || f.proname,
        concat_ws(', ', 'text', nullif(f.arguments, '')),
        format('begin raise log ''HOSTILE aggregate %s''; return null; end', f.proname));
      execute format('create aggregate public.%I(%s) (sfunc = public.%I, stype = text)', f.proname,
        coalesce(nullif(f.arguments, ''), '*'), 'step_' || f.proname);
      made := made + 1;
    exception when others then null;
    end;
  end loop;
  raise notice '% made', made;
  if made < 1000 then raise exception 'only % functions', made; end if;
end $do$"""
OPERATORS = """
do $do$
declare o record; made int := 0;
begin
  for o in select oprname, oprcode::oid as code, format_type(nullif(oprleft, 0), null) as l,
      format_type(oprright, null) as r, format_type(oprresult, null) as result, oprleft
    from pg_catalog.pg_operator where oprnamespace = 'pg_catalog'::regnamespace
  loop
    begin
      execute format('create function public.op_%s_%s(%s %s) returns %s language plpgsql as %L', made, o.code,
        case when o.oprleft = 0 then '' else o.l || ',' end, o.r, o.result,
        format('begin raise log ''HOSTILE operator %s''; return null; end', replace(o.oprname, '%', '%%')));
      execute format('create operator public.%s (function = public.op_%s_%s, %s rightarg = %s)', o.oprname, made,
        o.code, case when o.oprleft = 0 then '' else 'leftarg = ' || o.l || ',' end, o.r);
      made := made + 1;
    exception when others then null;
    end;
  end loop;
  if made < 300 then raise exception 'only % operators', made; end if;
end $do$"""
RELATIONS = """
do $do$
declare c record;
begin
  execute 'create function public.shown() returns boolean language plpgsql as
    ''begin raise log ''''HOSTILE relation''''; return true; end''';
  for c in select relname from pg_catalog.pg_class
    where relnamespace = 'pg_catalog'::regnamespace and relkind in ('r', 'v') loop
    begin
      execute format('create view public.%I as select * from pg_catalog.%I where public.shown()', c.relname, c.relname);
    exception when others then null;
    end;
  end loop;
end $do$"""
# what takes any arguments has namesakes for those that are given it
ANY = """
do $do$
declare f record;
begin
  for f in select * from (values ('concat_ws', 'text, text, boolean, boolean'), ('concat_ws', 'text, name, name, name'),
    ('concat_ws', 'text, name, name'), ('format', 'text, name, name'), ('format', 'text, name'),
    ('format', 'text, smallint, oid, integer, boolean'), ('format', 'text, timestamptz'), ('format', 'text, text'),
    ('json_build_array', 'text, text'), ('json_build_array', 'name, integer, integer'), ('concat', 'oid, text')
  ) as given(name, arguments) loop
    execute pg_catalog.format('create function public.%I(%s) returns text language plpgsql as %L', f.name, f.arguments,
      pg_catalog.format('begin raise log ''HOSTILE %s''; return null; end', f.name));
  end loop;
end $do$"""
CASTS = """
create function public.as_text(public.orders) returns text language plpgsql as
  $$begin raise log 'HOSTILE cast'; return ''; end$$;
create cast (public.orders as text) with function public.as_text(public.orders);
create type public.mood as enum ('good', 'bad');
create function public.mood_text(public.mood) returns text language plpgsql as
  $$begin raise log 'HOSTILE cast of mood'; return ''; end$$;
create cast (public.mood as text) with function public.mood_text(public.mood);
create table public.moods (mood public.mood primary key, seen timestamptz, card text);
insert into public.moods values ('good', pg_catalog.now(), '4111111111111111');
create table public.days (mood public.mood references public.moods);
insert into public.days values ('good');
create table public.schema_migrations (version public.mood, dirty public.mood);
insert into public.schema_migrations values ('good', 'bad')"""
# what fits a call of amcheck better than its own functions, whose other arguments have defaults
_SAYS = "language plpgsql as $$begin raise log 'HOSTILE amcheck'; return; end$$"
BESIDE_AMCHECK = (
    f"create function watch.verify_heapam(regclass) returns table(msg text) {_SAYS}",
    f"create function watch.bt_index_check(oid, boolean) returns void {_SAYS}",
)
DATABASE = "hostile"
SEEN: dict[str, int] = {}
SQL = """\
-- as people write it: nothing but the table has its schema
select count(*) from public.orders where id = 1 and lower('A') = 'a'
and concat_ws('|', 'a', 'b', true, false) is not null and to_regclass('pg_class') in (select oid from pg_class)"""


@pytest.fixture(scope="module")
def hostile(cluster: Cluster, running: Stores) -> Iterator[Cluster]:
    """A database that mallory owns, who is nobody's superuser."""
    cluster.primary.ask("create role mallory login")
    cluster.primary.ask(f"create database {DATABASE} owner mallory")
    owner: dict[str, Any] = {"database": DATABASE}
    cluster.primary.ask("create schema watch; create extension amcheck schema watch", **owner)
    cluster.primary.ask("grant create on schema watch to mallory", **owner)  # as in `public` of PostgreSQL 14 and older
    with cluster.primary.connect(DATABASE) as connection:
        connection.execute("set role mallory")
        connection.execute("create table public.orders (id int primary key, placed_at timestamptz)")
        connection.execute("insert into public.orders values (1, now()), (2, now())")
        connection.execute(CASTS)
        for each in (RELATIONS, FUNCTIONS, OPERATORS, ANY, *BESIDE_AMCHECK):
            connection.execute(each)
        connection.execute(f"alter database {DATABASE} set search_path = public, pg_catalog")
    cluster.primary.ask(f"alter role prodcheck in database {DATABASE} set search_path = public, pg_catalog", **owner)
    yield cluster
    cluster.primary.ask(f"drop database {DATABASE} with (force)")
    cluster.primary.ask("drop role mallory")


def _context(cluster: Cluster, running: Stores) -> Context:
    scripts = running.place / "hostile-scripts"
    scripts.mkdir(exist_ok=True)
    (scripts / "1_good.sql").write_text("select 1")
    first, second = cluster.nodes
    shop = {
        "nodes": [address_of("db-1", first.entrance), address_of("db-2", second.entrance)], "database": DATABASE,
        "expect": {"primaries": 1, "standbys": 1}, "password": {"file": running.known.postgres},
        "tls": {"ca": "ca.pem"}, "timeouts": {"connect": "5s", "statement": "10s"},
        "invariants": {"count": {"sql": SQL, "at_most": 5}}, "orphans": {"enforced": True},
        "relations": {"moods": {"child": "days(mood)", "parent": "moods(mood)"}},
        "freshness": {"orders": {"table": "orders", "column": "placed_at", "at_most": "1h"}},
        "structure": {"tables": ["orders", "moods"]},
        "columns": {"moods.card": {"never": ["card"]}, "moods.mood": {"never": ["card"]}},
        "migrations": {"kind": "table", "scripts": scripts.name, "failed": "dirty"},
        "content": {"tables": ["orders", "moods"]},
        "backups": {"kind": "dump", "folder": "."},
    }  # fmt: skip
    return context(running.place, nameserver=running.nameserver, postgres={"shop": shop})


def _called(cluster: Cluster) -> set[str]:
    """What was called since the last look, on any node."""
    found = set()
    for node in cluster.nodes:
        log = cluster.folder.parent / f"{node.name}.log"
        with log.open("rb") as file:
            file.seek(SEEN.get(log.name, 0))
            text = file.read()
            SEEN[log.name] = SEEN.get(log.name, 0) + len(text)
        found |= set(re.findall(r"HOSTILE [^\n]*", text.decode(errors="replace")))
    return found


def test_the_trap_works(hostile: Cluster) -> None:
    """Somebody who does not look out calls them."""
    _called(hostile)
    hostile.primary.ask("select concat_ws('|', '150000', true, false), 1 = 1", database=DATABASE)
    hostile.primary.ask("select count(*), lower('A') from orders", database=DATABASE)
    hostile.primary.ask("select count(*) from pg_class", database=DATABASE)
    hostile.primary.ask("select o::text from orders as o", database=DATABASE)
    found = _called(hostile)
    kinds = {"relation", "operator =", "cast", "concat_ws", "lower", "aggregate count"}
    assert {f"HOSTILE {each}" for each in kinds} <= found


LEFT_OUT = {"postgres-restore", "postgres-restore-record", "postgres-backup-verification", "postgres-wal-archive",
            "postgres-migration-lint", "postgres-backups"}  # fmt: skip
NAMES = sorted(each for each in COLLECTORS if each.startswith("postgres") and each not in LEFT_OUT)


@pytest.mark.parametrize("name", NAMES)
def test_none_of_them_is_called(hostile: Cluster, running: Stores, name: str) -> None:
    given = _context(hostile, running)
    allow = grants("shop", given.environment.postgres["shop"])
    with hostile.primary.connect(DATABASE) as connection:
        connection.execute("set search_path = pg_catalog")
        connection.execute("grant select on all tables in schema public to prodcheck")
        connection.execute("grant usage on schema watch to prodcheck")
        connection.execute("grant execute on all functions in schema watch to prodcheck")
    assert list(allow)
    _called(hostile)
    target = "count" if name == "postgres-invariant" else "shop"
    found = gather(name, target, given, 60)
    assert _called(hostile) == set()
    assert "problem=Problem" not in repr(found), found


def test_declared_sql_that_names_no_schema(hostile: Cluster, running: Stores) -> None:
    """It is told what to write, and is not looked for where mallory may create things."""
    given = _context(hostile, running)
    invariants = given.environment.postgres["shop"].invariants
    for sql, words in (("select count(*) from orders", "such as"), ("select note_of(1)", "OPERATOR"),
                       ("select count('good'::mood)", "no such type")):  # fmt: skip
        invariants["count"] = invariants["count"].model_copy(update={"sql": sql})
        problem = problem_of(lambda: gather("postgres-invariant", "count", given, 60))
        assert words.replace("such as", "as in public.orders") in str(problem)
    assert _called(hostile) == set()


def test_nor_where_a_backup_is_recorded(hostile: Cluster) -> None:
    with hostile.primary.connect(DATABASE) as connection, hostile.primary.connect(DATABASE) as witness:
        _called(hostile)
        record = record_content(connection, witness, parts=True)
        assert _called(hostile) == set()
        assert record.tables["public.orders"].rows == 2
        for each in (connection, witness):
            with pytest.raises(Exception, match="read-only transaction"):
                each.execute("create table mine (id int)")
