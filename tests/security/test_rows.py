"""Rows never leave: what programs and servers quote of them reaches nobody, tried with a canary in each program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_prodcheck.demo.runtime.programs import postgres_programs
from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.evidence.tools.program_errors import last_words, without_rows
from pytest_prodcheck.evidence.tools.subprocesses import CompletedProgram
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.postgres.servers import PASSWORD, Server, server
from tests.project import Project

ROW = "Zoë Muster, Diagnose F32"
MAKE = f"""\
create table people (id int primary key, name text);
insert into people values (1, '{ROW}
second line of the value {ROW}');
create function tells(name text) returns int language plpgsql immutable as
  'begin raise exception ''%'', name; end';
create function lies(name text) returns int language plpgsql immutable as
  'begin raise unique_violation using message = name; end';
alter table people enable row level security;
create policy own on people to auditor using (tells(name) = 1);
grant select on people to auditor"""
STATEMENTS = {
    "check": f"begin; alter table people add check (id > 0); insert into people values (-1, '{ROW}')",
    "unique": "begin; create unique index on people (name); insert into people select 2, name from people",
    "cast": "select name::int from people",
    "raised": "select tells(name) from people",
    "raised-as-unique": "select lies(name) from people",
    "syntax": f"insert into people values (2, {ROW})",
    "copy": f"copy people from stdin;\n{ROW}\t{ROW}\n\\.\n",
    "enum": f"create type mood as enum ('a'); select '{ROW}'::mood",
    "date": f"select date '{ROW}'",
    "notice": f"do $$ begin raise notice '{ROW}'; raise warning '{ROW}'; end $$",
    "json": f"select '{{\"{ROW}\": '::json",
}


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    with server(postgres_programs()) as given:
        given.run("create role auditor login", *MAKE.split(";\n"))
        given.run(f"alter role postgres password '{PASSWORD}'")
        yield given


def errors(shop: Server, program: str, *words: str, text: str = "", user: str = "postgres") -> str:
    """What a program of PostgreSQL's complains of."""
    path = shop.programs / program
    if not path.exists():
        pytest.skip(f"no {program} beside the server; install: apt-get install postgresql")
    environment = {**os.environ, "PGPASSWORD": PASSWORD, "LC_ALL": "C.UTF-8", "PGCLIENTENCODING": "UTF8"}
    command = [str(path), "-h", "127.0.0.1", "-p", str(shop.node.port), "-U", user]
    done = subprocess.run([*command, *words], input=text, capture_output=True, text=True, env=environment, timeout=30)
    return done.stderr


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_psql(shop: Server, statement: str) -> None:
    told = errors(shop, "psql", "-X", "-d", "shop", "-v", "ON_ERROR_STOP=1", text=statement)
    assert "Muster" in told
    assert "Muster" not in last_words(told)
    assert "Muster" not in CompletedProgram(("psql",), 1, "", told).error_text


def test_psql_reading_a_file(shop: Server, tmp_path: Path) -> None:
    script = tmp_path / "seed.sql"
    script.write_text(f"insert into people values (7, '{ROW}'), (7, '{ROW}');\nselect 1/0;\n")
    told = errors(shop, "psql", "-X", "-d", "shop", "-f", str(script))
    assert "Key (id)=(7)" in told
    assert "(7)" not in last_words(told)
    assert "duplicate key value violates unique constraint" in last_words(told)


def test_pg_dump(shop: Server) -> None:
    """A policy whose function raises: pg_dump shows the server's message, and the statement that met it."""
    shop.run(f"alter role auditor password '{PASSWORD}'")
    told = errors(shop, "pg_dump", "-d", "shop", "--enable-row-security", "-t", "people", user="auditor")
    assert "Muster" in told
    assert "Muster" not in last_words(told)
    assert "pg_dump: error" in last_words(told)


def test_pg_restore(shop: Server, tmp_path: Path) -> None:
    """Rows that are there already, and an INSERT that is shown whole ("Command was")."""
    path = tmp_path / "shop.dump"
    for more in ((), ("--inserts",)):
        assert errors(shop, "pg_dump", "-d", "shop", "-Fc", "-f", str(path), "-t", "people", "-a", *more) == ""
        told = errors(shop, "pg_restore", "-d", "shop", "-a", str(path))
        assert "Muster" in told or "(1)" in told
        assert "Muster" not in last_words(told)
        assert "Key" not in last_words(told)
        assert "pg_restore" in last_words(told)


def test_indexes_whose_expressions_raise(shop: Server) -> None:
    shop.run("create or replace function tells(name text) returns int language sql immutable as 'select 1'",
             "create index on people (tells(name))",
             "create or replace function tells(name text) returns int language plpgsql immutable as "
             "'begin raise exception ''%'', name; end'")  # fmt: skip
    told = errors(shop, "reindexdb", "-d", "shop", "-t", "people")
    shop.run("drop index people_tells_idx")
    assert "Muster" in told
    assert "Muster" not in last_words(told)


def _by_sqlalchemy(url: str) -> None:
    """As Alembic and every application with SQLAlchemy does it."""
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="pip install alembic")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("insert into people values (:id, :name)"), {"id": 1, "name": ROW})


def _by_alembic(url: str) -> None:
    pytest.importorskip("alembic", reason="pip install alembic")
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    with sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool).connect() as connection:
        Operations(MigrationContext.configure(connection)).execute(f"insert into people values (1, '{ROW}')")


DJANGO = """\
import sys
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "USER": "postgres",
                              "PASSWORD": sys.argv[1], "HOST": "127.0.0.1", "PORT": sys.argv[2]}})
from django.db import connection
connection.cursor().execute("insert into people values (1, %s)", [sys.argv[3]])
"""


def test_django(shop: Server) -> None:
    pytest.importorskip("django", reason="pip install django")
    command = [sys.executable, "-c", DJANGO, PASSWORD, str(shop.node.port), ROW]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
    assert "(id)=(1)" in told
    assert "(id)=(1)" not in last_words(told)
    assert "Muster" not in last_words(told)


@pytest.mark.parametrize("program", [_by_sqlalchemy, _by_alembic], ids=["sqlalchemy", "alembic"])
def test_tools_of_python(shop: Server, program: Callable[[str], None]) -> None:
    """What they print where they fail: the driver's error with DETAIL, the statement and its parameters."""
    with pytest.raises(Exception) as caught:  # each has its own
        program(f"postgresql+psycopg://postgres:{PASSWORD}@127.0.0.1:{shop.node.port}/shop")
    told = "".join(traceback.format_exception(caught.value))
    assert "Muster" in told or "(id)=(1)" in told
    kept = "\n".join(without_rows(told))
    assert "Muster" not in kept
    assert "(id)=(1)" not in kept


OTHERS = {
    "psycopg": 'psycopg.errors.UniqueViolation: {row}\nDETAIL:  Key (name)=({row}) already exists.\n',
    "sqlalchemy": '(psycopg.errors.InvalidTextRepresentation) invalid input syntax for type integer: "{row}"\n'
                  "[SQL: insert into people values (%(a)s)]\n[parameters: {{'a': '{row}'}}]\n",
    "jdbc": 'org.postgresql.util.PSQLException: ERROR: invalid input syntax for type integer: "{row}"\n'
            "  Detail: Key (name)=({row}) already exists.\n  Where: COPY people, line 1\n",
    "pq": 'pq: invalid input syntax for type integer: "{row}"\n',
    "pgx": 'ERROR: {row} (SQLSTATE P0001)\n',
    "node": "error: duplicate key value violates unique constraint\n  detail: 'Key (name)=({row}) already exists.',\n",
    "barman": "ERROR: backup failed: {row}: invalid input\n",
}  # fmt: skip


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_drivers_of_other_languages(text: str) -> None:
    """As the programs show them that are written with those: migrations, copies, scripts that fetch a backup."""
    assert "Muster" not in last_words(text.format(row=ROW))


def backups(root: Path, configuration: str, *more: str, **declared: str) -> str:
    """All that the evidence on backups says, with this file for the program's configuration."""
    program = declared["kind"]
    if shutil.which(program) is None:
        pytest.skip(f"no {program}; install: apt-get install {program}")
    (root / "tool.conf").write_text(configuration)
    settings = {**declared, "tool": [program, *more]}
    given = context(root, postgres={"shop": {"nodes": ["127.0.0.1:1"], "backups": settings}})
    try:
        return repr(gather("postgres-backups", "shop", given, 60))
    except EvidenceProblem as error:
        return repr(error.problem)


PGBACKREST = {
    "no-section": ("repo1-cipher-pass={secret}\n[global]\n", "outside of section at line 1"),
    "no-key": ("[global]\nrepo1-path={repo}\n{secret}\n", "in key/value at line 3"),
    "no-such-value": ("[global]\nrepo1-path={repo}\nrepo1-cipher-type={secret}\n", "'repo1-cipher-type' option"),
    "no-number": ("[global]\nrepo1-path={repo}\nio-timeout={secret}\n", "'io-timeout' option"),
}


@pytest.mark.parametrize(("configuration", "words"), PGBACKREST.values(), ids=PGBACKREST)
def test_the_configuration_of_pgbackrest(tmp_path: Path, configuration: str, words: str) -> None:
    """It quotes the line that it cannot read: a password maybe."""
    text = configuration.format(repo=tmp_path, secret="Muster, it's 22")
    told = backups(tmp_path, text, f"--config={tmp_path / 'tool.conf'}", kind="pgbackrest", stanza="shop")
    assert words in told
    assert "Muster" not in told
    assert "it's" not in told


@pytest.mark.parametrize("text", [ROW, f'[backrest]\nbackrest-format=5\nx={ROW}', f'[backup:current]\n"{ROW}"={{}}'])
def test_the_files_of_pgbackrest(tmp_path: Path, text: str) -> None:
    """Its list of backups is overwritten: `info` quotes it, within its JSON too."""
    place = tmp_path / "backup" / "shop"
    place.mkdir(parents=True)
    for name in ("backup.info", "backup.info.copy"):
        (place / name).write_text(text + "\n")
    configuration, option = f"[global]\nrepo1-path={tmp_path}\nlog-level-file=off\n[shop]\npg1-path=/x\n", "--config="
    told = backups(tmp_path, configuration, option + str(tmp_path / "tool.conf"), kind="pgbackrest", stanza="shop")
    assert "status 99" in told
    assert "Muster" not in told


BARMAN = """\
[barman]
barman_home={home}
log_file={home}/log
[shop]
description=shop
backup_method=postgres
archiver=on
conninfo=host=127.0.0.1 port=1 password=a Muster
streaming_conninfo=postgresql://127.0.0.1:1/x?Muster=1
"""


@pytest.mark.parametrize(("before", "behind", "words"), [("password=Muster\n", "", "line: 1"),
                                                        ("", "=Muster\n", "parsing errors"),
                                                        ("", "backup_options=Muster\n", "")])  # fmt: skip
def test_the_configuration_of_barman(tmp_path: Path, before: str, behind: str, words: str) -> None:
    """It quotes the line that it cannot read, and connection strings with their passwords."""
    text = before + BARMAN.format(home=tmp_path) + behind
    told = backups(tmp_path, text, "-c", str(tmp_path / "tool.conf"), kind="barman", server="shop")
    assert words in told
    assert "Muster" not in told


@pytest.mark.parametrize("text", [ROW, f"status=DONE\nsize={ROW}", f"status=DONE\nerror={ROW}\nend_time={ROW}"])
def test_the_files_of_barman(tmp_path: Path, text: str) -> None:
    """What it knows of a backup is overwritten: it tells so, with the line, and lists none."""
    place = tmp_path / "shop" / "base" / "20261130T120000"
    place.mkdir(parents=True)
    (place / "backup.info").write_text(text + "\n")
    configuration, option = BARMAN.format(home=tmp_path), ("-c", str(tmp_path / "tool.conf"))
    told = backups(tmp_path, configuration, *option, kind="barman", server="shop")
    assert "Problem" in told
    assert "Muster" not in told


def test_own_words_are_kept() -> None:
    own = ("P00  ERROR: [055]: unable to load info file '/var/lib/pgbackrest/backup/shop/backup.info'\n"
           "            HINT: backup.info cannot be opened and is required to perform a backup.\n"
           "ERROR: Unknown server 'shop'\n"
           "pg_verifybackup: error: \"base/5/2619\" is present on disk but not in the manifest\n"
           "pg_restore: error: could not read from input file: end of file\n"
           'pg_basebackup: error: connection to server at "10.0.0.1", port 5432 failed: FATAL:  no pg_hba.conf entry\n'
           "ssh: connect to host backup-1 port 22: Connection refused\n")  # fmt: skip
    assert without_rows(own) == [line.strip() for line in own.splitlines()]


def test_what_a_server_refuses_us(shop: Server) -> None:
    """Our own statements, and those that a team declares."""
    for name, sql in (("cast", "select max(name::int) from people"), ("raised", "select tells(name) from people"),
                      ("as-unique", "select lies(name) from people")):  # fmt: skip
        given = shop.context(user="postgres", invariants={name: {"sql": sql, "at_most": 1}})
        problem = problem_of(lambda given=given, name=name: gather("postgres-invariant", name, given))  # type: ignore[misc]
        assert "Muster" not in str(problem)


def test_a_script_that_fetches(tmp_path: Path) -> None:
    """Whatever a declared command prints goes through the same filter."""
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.tools.subprocesses import run

    script = f"import sys; sys.exit('ERROR:  {ROW}\\nDETAIL:  Failing row contains ({ROW}).')"
    done = run((sys.executable, "-c", script), Deadline(20), folder=tmp_path)
    assert done.code == 1
    assert "Muster" in done.errors
    assert "Muster" not in done.error_text


TOML = """\
version = 1
[environments.live]
protected = true
revision = "r1"
absent = ["services", "auth", "workflows", "redis"]
"""
CLUSTER = """\
[environments.live.postgres.{name}]
nodes = ["127.0.0.1:{port}"]
database = "shop"
user = "postgres"
tls = {{ mode = "disable" }}
password = {{ file = "password" }}
invariants.raised-{name} = {{ sql = "select public.tells(name) from public.people", at_most = 1 }}
backups = {backups}
"""
DUMP = f"""\
--
-- PostgreSQL database dump
--
CREATE TABLE public.p (id int, name text CHECK (name <> '{ROW}'));
COPY public.p (id, name) FROM stdin;
1\t{ROW}
\\.
--
-- PostgreSQL database dump complete
--
"""


def test_no_artefact_of_a_protected_environment_holds_any(shop: Server, tmp_path: Path) -> None:
    """A dump that does not load, a statement that is refused, and configurations that cannot be read."""
    project = Project.make(tmp_path / "project", toml=TOML, checks="")
    project.write("dumps/shop.sql", DUMP)
    project.write("pgbackrest.conf", "repo1-cipher-pass=Muster\n")
    project.write("barman.conf", "password=Muster\n")
    project.write("password", PASSWORD).chmod(0o600)
    restore = f'restore = {{ check = "database", unconfined = {str(bool(why_unavailable())).lower()} }}'
    clusters = {
        "shop": f'{{ kind = "dump", folder = "dumps", {restore} }}',
        "second": '{ kind = "pgbackrest", stanza = "x", tool = '
                  f'["pgbackrest", "--config={project.folder}/pgbackrest.conf"] }}',
        "third": '{ kind = "barman", server = "x", tool = ["barman", "-c", "barman.conf"] }',
    }
    if not all(map(shutil.which, ("pgbackrest", "barman"))):
        pytest.skip("no pgbackrest and barman; install: apt-get install pgbackrest barman")
    given = [CLUSTER.format(name=name, port=shop.node.port, backups=each) for name, each in clusters.items()]
    project.write("prodcheck.toml", TOML + "".join(given))
    done = project.pytest("-m", "data_integrity", "--prodcheck-json", "r.json", "--junit-xml", "r.xml",
                          "--prodcheck-html", "r.html", "-rA", "--showlocals", "-vv", "--allow-check",
                          "data_integrity.backups.restore", env="live")  # fmt: skip
    told = project.prodcheck("gate", "data_integrity", "--env", "live", "--explain").stdout
    said = (project.folder / "r.json").read_text()
    assert "was not loaded whole" in said
    assert "outside of section at line 1" in said
    assert "barman.conf', line: 1" in said
    given_by_us = ("dumps", "pgbackrest.conf", "barman.conf")
    files = [each for each in project.folder.rglob("*") if each.is_file() and not set(each.parts) & set(given_by_us)]
    assert {"r.json", "r.xml", "r.html", "run.json"} <= {each.name for each in files}
    texts = {str(each): each.read_text(errors="replace") for each in files} | {"out": done.stdout, "gate": told}
    assert [name for name, text in texts.items() if "Muster" in text] == []
