"""What a dump of one database does not hold, and what of it a restore has to notice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.evidence.content.recording import record_content
from pytest_prodcheck.evidence.postgres.server_text import shown
from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.records.backups import RestoreRun
from tests.evidence.contexts import context, gather
from tests.evidence.stores import Stores, address_of

KINDS = {
    "policy": ("create role app_reader; create table c (id int primary key, name text)",
               "alter table c enable row level security; create policy own on c to app_reader using (name = 'x')"),
    "tablespace": ("create table c (id int primary key)", "alter table c set tablespace fast"),
    "locale": ("create table c (id int primary key, name text); insert into c values (1, 'Zoë'), (2, 'Łukasz')",
               "alter table c add constraint letters check (name ~ '^[[:alpha:]0-9]+$')"),
    "generated": ("create table c (name text); insert into c values ('Zoë'), ('ÉLODIE')",
                  "alter table c add column key text generated always as (lower(name)) stored"),
    "extension": ("create extension citext; create extension dblink; create table c (name citext)",
                  "insert into c values ('Zoë'); comment on extension citext is 'mine'"),
    "foreign": ("create extension postgres_fdw; create server far foreign data wrapper postgres_fdw options "
                "(port '1'); create user mapping for postgres server far options (user 'ann', password 'none')",
                "create table c (id int) partition by range (id); create table c1 partition of c for values from (0) "
                "to (9); create foreign table c2 partition of c for values from (9) to (99) server far; insert into "
                "c1 values (1); create foreign table f (id int) server far; create view v as select * from f"),
    "rule": ("create table c (id int); create table d (id int)",
             "create rule r as on insert to c do (insert into d values (1); insert into d values (2))"),
    "body": ("create table c (id int)",
             "create function f(int) returns int language sql begin atomic select case $1 when 1 then 2 end; select 3; "
             "end"),
}  # fmt: skip


@pytest.fixture
def source(cluster: Cluster) -> Iterator[Cluster]:
    """A database of another locale than the demo's."""
    if not (cluster.programs / "pg_dump").exists():
        pytest.skip("no pg_dump beside the server; install: apt-get install postgresql")
    space = cluster.spawner.folder(cluster.folder / "fast")
    cluster.primary.ask(f"create tablespace fast location '{space}'")
    cluster.primary.ask("create database kinds template template0 lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8'")
    cluster.primary.ask("grant connect on database kinds to prodcheck")
    yield cluster
    cluster.primary.ask("drop database kinds with (force)")
    cluster.primary.ask("drop tablespace fast")
    cluster.primary.ask("drop role if exists app_reader")
    shutil.rmtree(space)
    for each in ("dumps", "kinds.json"):
        path = cluster.folder / each
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def restored(running: Stores, cluster: Cluster, form: str, *options: str, record: bool = True) -> RestoreRun:
    folder = cluster.folder / "dumps"
    if not folder.exists():
        cluster.spawner.folder(folder)
    words: list[Any] = [cluster.programs / "pg_dump", "-h", cluster.folder, "-p", str(cluster.primary.port), "-U"]
    words += ["postgres", form, *options, "-f", folder / "kinds.dump", "kinds"]
    if record:
        with cluster.primary.connect("kinds") as connection, cluster.primary.connect("kinds") as witness:
            (cluster.folder / "kinds.json").write_text(record_content(connection, witness, physical=False).text())
    cluster.spawner.run(words, cluster.folder / "dump.log")
    restore = {"folder": "pg/scratch", "check": "database", "unconfined": bool(why_unavailable())}
    restore |= {"record": "pg/kinds.json"} if record else {}
    shop = {
        "nodes": [address_of("db-1", cluster.nodes[0].entrance)], "database": "kinds", "tls": {"ca": "ca.pem"},
        "password": {"file": running.known.postgres},
        "backups": {"kind": "dump", "folder": "pg/dumps", "restore": restore},
    }  # fmt: skip
    given = context(running.place, nameserver=running.nameserver, postgres={"shop": shop})
    run: RestoreRun = gather("postgres-restore", "shop", given, 60)
    (folder / "kinds.dump").unlink()
    return run


@pytest.mark.parametrize("form", ["-Fc", "-Fp"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_dump_of_one_database_does_not_hold(running: Stores, source: Cluster, kind: str, form: str) -> None:
    """It is whole all the same: pg_restore by hand says so too."""
    for statements in KINDS[kind]:
        for each in statements.split("; ") if "begin" not in statements and "rule" not in statements else [statements]:
            source.primary.ask(each, database="kinds")
    run = restored(running, source, form)
    assert (run.wrong, run.record_problem) == ((), "")


def test_a_dump_of_the_schema_public_alone(running: Stores, source: Cluster) -> None:
    """`pg_dump -n public` makes the schema, which every database has; the large objects are not in it."""
    source.primary.ask("create table c (id int)", database="kinds")
    assert restored(running, source, "-Fc", "-n", "public").wrong == ()


@pytest.mark.parametrize("record", [True, False])
def test_large_objects_that_were_left_out(running: Stores, source: Cluster, record: bool) -> None:
    source.primary.ask("create table c (photo oid)", database="kinds")
    source.primary.ask("insert into c select lo_from_bytea(0, 'picture') from generate_series(1, 3)", database="kinds")
    assert restored(running, source, "-Fc", record=record).wrong == ()
    (wrong,) = restored(running, source, "-Fc", "--no-blobs", record=record).wrong
    assert wrong.startswith("0 large objects, 3 were recorded" if record else "no large object, and the database has 3")


SEQUENCES = ("create table c (id serial primary key, name text)",
             "create table d (id int generated by default as identity primary key)",
             "create table seeded (id serial primary key)",
             "insert into c (name) values ('a'), ('b')", "insert into d select from generate_series(1, 3)",
             "insert into seeded values (1), (2), (3)",
             "grant select on all sequences in schema public to prodcheck")  # fmt: skip


def test_sequences_whose_values_were_left_out(running: Stores, source: Cluster) -> None:
    """Rows with numbers that someone gave, and a sequence that never gave one, are as they are in the database."""
    for each in SEQUENCES:
        source.primary.ask(each, database="kinds")
    assert restored(running, source, "-Fc").wrong == ()
    wrong = restored(running, source, "-Fc", "--exclude-table-data=*_seq").wrong
    assert [each.partition(":")[0] for each in wrong] == ["public.c_id_seq", "public.d_id_seq"]


def test_a_servers_words_without_rows() -> None:
    secret = "Zoë Muster"
    assert shown("23514", 'new row for relation "p" violates check constraint "letters"').endswith("(23514)")
    assert secret not in shown("22P02", f'invalid input syntax for type integer: "{secret}"')
    assert secret not in shown("P0001", secret) + shown("42601", f'syntax error at or near "{secret}"')
    assert secret not in shown("23505", secret, "exec_stmt_raise")
