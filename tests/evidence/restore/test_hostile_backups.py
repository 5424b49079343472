"""Dumps and base backups that attack whoever restores them, as root and as an ordinary user.

Each leaves a file in `loot`, a folder that everybody may write to, or speaks to a listener, where it gets anything to
run. What is restored is looked at too: no false alarm about a backup that is well, and nothing good of one that is not.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.restore.sql_text import SqlText
from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.restore.as_user import CANARY
from tests.evidence.restore.traps import (
    END,
    HEAD,
    SWALLOWED,
    TABLE,
    Trap,
    pytest_generate_tests,
    trap,
)

__all__ = ["pytest_generate_tests", "trap"]

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=f"restores cannot be shut in here: {why_unavailable()}")


PSQL = {
    "at the beginning of a line": "\\! id > LOOT/owned\n", "behind a statement": "select 1 \\! id > LOOT/owned\n",
    "pipe": "select 1 \\g |id > LOOT/owned\n", "file": "select 1 \\g LOOT/owned\n",
    "copy": "\\copy t from program 'id > LOOT/owned'\n", "another user": "\\connect - postgres\n",
    "in a comment with a newline": "--\n-- Name: x\n\\! id > LOOT/owned\n-- ; Type: TABLE\n--\n",
}  # fmt: skip


@pytest.mark.parametrize("what", PSQL)
def test_commands_of_psql_are_found(what: str) -> None:
    text = (HEAD + TABLE + PSQL[what] + END).encode()
    read = SqlText(io.BytesIO(text), Deadline(10), 10_000)

    def all_of_it() -> None:
        for each in read.statements():
            assert b"LOOT" not in each
            assert list(read.rows()) == [b"a\\\\b\n"] if read.is_copy(each) else True

    with pytest.raises(EvidenceProblem, match="holds a command of psql"):
        all_of_it()


@pytest.mark.parametrize("what", ["at the beginning of a line", "another user"])
def test_commands_of_psql(trap: Trap, what: str) -> None:
    found = trap.dump(TABLE + PSQL[what].replace("LOOT", str(trap.loot)))
    assert found.problem.startswith("configuration: line ")
    assert "holds a command of psql" in found.problem


def test_rows_look_like_commands(trap: Trap) -> None:
    """They are rows: pg_dump writes a backslash of a row as two."""
    found = trap.dump("CREATE TABLE public.t (x text);\nCOPY public.t (x) FROM stdin;\n\\\\! id\n\\N\n;\n'\n\\.\n")
    assert found.good, found
    assert found.tables == 1


PROGRAM = "COPY public.log FROM PROGRAM 'id > LOOT/owned; echo x'"
LOG = "CREATE TABLE public.log (t text);\n"
C = "CREATE FUNCTION public.run(cstring) RETURNS integer AS '/lib/x86_64-linux-gnu/libc.so.6', 'system' LANGUAGE c;\n"
NEEDS_A_SUPERUSER = {
    "COPY FROM PROGRAM": LOG + PROGRAM + ";\n",
    "COPY TO a file": "COPY (select 1) TO 'LOOT/owned';\n",
    "a function in C": C + "SELECT public.run('id > LOOT/owned');\n",
    "ALTER SYSTEM": "ALTER SYSTEM SET archive_command = 'id > LOOT/owned';\nSELECT pg_reload_conf();\n",
    "a secret": "CREATE TABLE public.seen AS SELECT pg_read_file('PLACE/secret') AS s;\n",
    "the environment": "CREATE TABLE public.seen AS SELECT pg_read_binary_file('/proc/self/environ') AS s;\n",
    "lo_import": "SELECT lo_import('PLACE/secret');\n",
    "another server": "CREATE EXTENSION dblink;\nSELECT dblink_connect('host=127.0.0.1 port=PORT user=x');\n",
}


@pytest.mark.parametrize("what", NEEDS_A_SUPERUSER)
@pytest.mark.parametrize("as_superuser", [False, True], ids=["loader", "superuser"])
def test_what_needs_a_superuser(trap: Trap, what: str, as_superuser: bool) -> None:
    """The loader may not do it; a superuser that was asked for finds no shell, no file of ours, and no network."""
    text = NEEDS_A_SUPERUSER[what].replace("LOOT", str(trap.loot)).replace("PLACE", str(trap.place))
    found = trap.dump(TABLE + text.replace("PORT", str(trap.port)), as_superuser=as_superuser)
    if as_superuser:
        assert what == "ALTER SYSTEM" or not found.good, found
    else:
        assert found.problem.startswith("configuration: the dump needs a superuser") or "2F003" in str(found), found


@pytest.mark.parametrize("as_superuser", [False, True], ids=["loader", "superuser"])
@pytest.mark.parametrize(("form", "maker"), [("-Fc", ""), ("-Fp", ""), ("-Fd", ""), ("-Ft", ""), ("-Fd", "unshare")])
def test_a_role_of_the_application(trap: Trap, form: str, maker: str, as_superuser: bool) -> None:
    """A dump as pg_dump makes it, of a database in which somebody without rights laid a trap: it is restored whole."""
    if maker:
        trap.find_only(maker)
    primary = trap.cluster.primary
    primary.ask("create role app login")
    primary.ask("create database trapped owner app")
    try:
        with primary.connect("trapped") as connection:
            connection.execute("set role app; create schema app")
            connection.execute(SWALLOWED.replace("LOOT", str(trap.loot)).replace("PLACE", str(trap.place)))
        folder = trap.place / "dumps"
        folder.mkdir()
        made = trap.cluster.folder / "trapped"
        words: list[str | Path] = [trap.cluster.programs / "pg_dump", "-h", trap.cluster.folder, "-U", "postgres"]
        words += ["-p", str(primary.port), form, "-f", made, "trapped"]
        if not (trap.cluster.programs / "pg_dump").exists():
            pytest.skip("no pg_dump beside the server; install: apt-get install postgresql")
        trap.cluster.spawner.run(words, trap.cluster.folder / "dump.log")
        shutil.move(made, folder / "trapped.dump")
        found = trap.run("dump", "dumps", as_superuser=as_superuser)
    finally:
        primary.ask("drop database trapped with (force)")
        primary.ask("drop role app")
    assert found.good, found
    assert found.tables == 2


def test_an_event_trigger_is_left_out(trap: Trap) -> None:
    text = f"""
CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ begin
  execute 'copy (select 1) to program ''id > {trap.loot}/owned'''; end $$;
CREATE EVENT TRIGGER evil ON ddl_command_start EXECUTE FUNCTION public.on_ddl();
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port={trap.port}' PUBLICATION p;
"""
    found = trap.dump(text + TABLE, as_superuser=True)
    assert found.good, found
    assert "not restored, for it would act: 1 event trigger" in found.notes


def test_functions_beside_amchecks(trap: Trap) -> None:
    """One that takes an oid fits better than amcheck's own: it would be called as a superuser."""
    evil = "RETURNS void LANGUAGE plpgsql AS $$ begin raise exception 'called'; end $$;\n"
    text = TABLE + "CREATE EXTENSION amcheck WITH SCHEMA public;\nCREATE INDEX i ON public.t (x);\n"
    for more in ("", ", checkunique boolean"):  # as PostgreSQL 15 calls it, and as 17 does
        text += f"CREATE FUNCTION public.bt_index_check(index oid, heapallindexed boolean{more}) {evil}"
    found = trap.dump(text)
    assert found.good, found


def test_rows_of_a_refused_dump_are_not_shown(trap: Trap) -> None:
    text = f"CREATE TABLE public.p (id int, name text CHECK (name <> '{CANARY}'));\n"
    for bad in (f"COPY public.p (id, name) FROM stdin;\n1\t{CANARY}\n\\.\n",
                f"INSERT INTO public.p VALUES ('{CANARY}', 'x');\n",
                f"{CANARY} is no SQL;\n", f"DO $$ begin raise exception '{CANARY}'; end $$;\n"):  # fmt: skip
        found = trap.dump(text + bad)  # CANARY in what the process says is an error of the helper's
        assert any("was not loaded whole" in each for each in found.wrong), found
        shutil.rmtree(trap.place / "dumps")


def test_a_dump_that_unpacks_to_more_than_there_is_room_for(trap: Trap) -> None:
    """Bounded in memory and on the disk: a comment of 300 MB is read and forgotten, a value of that size is refused."""
    (trap.place / "dumps").mkdir()
    with gzip.open(trap.place / "dumps" / "shop.sql.gz", "wb", 1) as packed:
        packed.write(HEAD.encode())
        for _ in range(300):
            packed.write(b"-- " + b"-" * 1_000_000 + b"\n")
        packed.write((TABLE + END).encode())
    assert trap.run("dump", "dumps").good


GROWS = """CREATE FUNCTION public.grow() RETURNS boolean LANGUAGE plpgsql AS $$ begin
  create table public.big as select repeat('x', 1500) || n as t from generate_series(1, 10000000) as n;
  return true; end $$;
CREATE TABLE public.c (i int CHECK (public.grow()));
"""
FULL = {
    "rows": TABLE + GROWS + "INSERT INTO public.c VALUES (1);\n",
    "sorting": TABLE + "SELECT count(*) FROM (SELECT n, repeat('x', 900) AS t FROM generate_series(1, 9000000) AS n "
                       "ORDER BY 2, 1) AS s;\n",
    "the log": TABLE + "DO $$ begin for n in 1..10000000 loop raise log '%', repeat('x', 5000); end loop; end $$;\n",
}  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted as root")
@pytest.mark.parametrize("what", FULL)
def test_a_dump_that_grows_while_it_is_loaded(trap: Trap, what: str) -> None:
    """It is ended before the disk is full; that is our want of room, and proves nothing of the dump."""
    scratch = trap.place / "scratch"
    mounted = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=400m,mode=777", "tmpfs", scratch), check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        found = trap.dump(FULL[what])
    finally:
        subprocess.run(("umount", "-l", scratch), check=True)
    assert "the restore was ended" in found.problem or "lacks what it needs on this machine" in found.problem, found


def test_a_pipe_and_a_link_for_a_dump(trap: Trap) -> None:
    (trap.place / "dumps").mkdir()
    os.mkfifo(trap.place / "pipe")
    (trap.place / "dumps" / "shop.sql").symlink_to(trap.place / "secret")
    found = trap.run("dump", "dumps", backup="shop.sql")
    assert not found.good
    (trap.place / "dumps" / "shop.sql").unlink()
    (trap.place / "dumps" / "shop.sql").symlink_to(trap.place / "pipe")
    assert trap.run("dump", "dumps", backup="shop.sql").problem


def test_what_cannot_be_shut_in_is_not_restored(trap: Trap) -> None:
    trap.find_only()
    found = trap.dump(TABLE)
    assert found.problem.startswith("configuration: what a backup holds can run code")
    for each in ("apt-get install bubblewrap", "apt-get install util-linux", "backups.restore.unconfined = true"):
        assert each in found.problem
    shutil.rmtree(trap.place / "dumps")
    found = trap.dump(TABLE, unconfined=True)
    assert found.good, found
    assert not found.confined
