"""Dumps and base backups that attack whoever restores them, as root and as an ordinary user.

Each leaves a file in `loot`, a folder that everybody may write to, or speaks to a listener, where it gets anything to
run. What is restored is looked at too: no false alarm about a backup that is well, and nothing good of one that is not.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.restore.sql_text import SqlText
from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.restore.as_user import CANARY, Outcome, restore
from tests.evidence.stores import Stores

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=f"restores cannot be shut in here: {why_unavailable()}")
USERS = ("", "nobody") if os.geteuid() == 0 else ("",)
HEAD = "--\n-- PostgreSQL database dump\n--\n\nSET standard_conforming_strings = on;\n"
END = "\n--\n-- PostgreSQL database dump complete\n--\n"
TABLE = "CREATE TABLE public.t (x text);\nCOPY public.t (x) FROM stdin;\na\\\\b\n\\.\n"


@dataclass
class Trap:
    """A project with a scratch folder, as one user has it; and what an attacker would have got."""

    place: Path
    user: str
    cluster: Cluster
    password: str
    listener: socket.socket
    path: str = ""
    more: dict[str, Any] = field(default_factory=dict)  # settings of the cluster
    umask: int = -1

    @property
    def archive(self) -> Path:
        """Of one's own: the cluster's is closed to others."""
        own = self.place / "archive"
        if not own.exists():
            shutil.copytree(self.cluster.archive, own)
        return own

    @property
    def loot(self) -> Path:
        return self.place / "loot"

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def run(self, kind: str, folder: str, programs: str = "", **how: Any) -> Outcome:
        """Restores, and looks that nothing was taken and the source is what it was."""
        for top in (self.place / folder, self.archive) if self.user else ():
            for path in (top, *top.rglob("*")):
                os.chown(path, pwd.getpwnam(self.user).pw_uid, -1, follow_symlinks=False)
        before = digest(self.place / folder)
        archive = {"archive": str(self.archive)} if kind == "basebackup" else {}
        archive |= {"programs": programs} if programs else {}
        backups = {"kind": kind, "folder": folder, **archive,
                   "restore": {"folder": "scratch", "check": "database", **how}}  # fmt: skip
        shop = {
            "nodes": [f"127.0.0.1:{self.cluster.primary.port}"], "database": "shop", "user": "prodcheck",
            "password": {"file": self.password}, "tls": {"mode": "prefer"}, "backups": backups, **self.more,
        }  # fmt: skip
        found = restore(self.place, {"postgres": {"shop": shop}}, self.user, path=self.path, umask=self.umask)
        assert list(self.loot.iterdir()) == []
        assert digest(self.place / folder) == before
        assert list((self.place / "scratch").iterdir()) == []
        self.listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            self.listener.accept()
        return found

    def find_only(self, *programs: str) -> None:
        """Others are not installed, as far as restores can tell."""
        (self.place / "bin").mkdir()
        for each in (*programs, "cp"):
            (self.place / "bin" / each).symlink_to(shutil.which(each) or f"/usr/bin/{each}")
        self.path = str(self.place / "bin")

    def dump(self, text: str, whole: bool = True, **how: Any) -> Outcome:
        (self.place / "dumps").mkdir()
        (self.place / "dumps" / "shop.sql").write_text(HEAD + text + (END if whole else ""))
        return self.run("dump", "dumps", **how)


def digest(folder: Path) -> str:
    """Of all that lies in a folder: kinds, rights and content."""
    found = hashlib.sha256()
    for path in sorted((folder, *folder.rglob("*"))):
        about = path.lstat()
        found.update(f"{path} {about.st_mode} {about.st_uid} {about.st_mtime_ns}".encode())
        if stat.S_ISLNK(about.st_mode):
            found.update(os.readlink(path).encode())
        elif stat.S_ISREG(about.st_mode):
            found.update(path.read_bytes())
    return found.hexdigest()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As an ordinary user; as root too what root is attacked by otherwise, and all of it with PRODCHECK_SOAK=1."""
    if "trap" in metafunc.fixturenames:
        both = metafunc.function.__name__ in ALSO_AS_ROOT or os.environ.get("PRODCHECK_SOAK") == "1"
        users = USERS if both else USERS[-1:]
        metafunc.parametrize("trap", users, indirect=True, ids=[each or "self" for each in users])


ALSO_AS_ROOT = (
    "test_a_role_of_the_application", "test_a_backup_that_is_a_link", "test_links_and_pipes_in_a_base_backup",
    "test_settings_in_a_base_backup_are_not_read", "test_what_a_superuser_left_in_the_database",
    "test_what_cannot_be_shut_in_is_not_restored", "test_what_other_users_get_of_a_restore",
)  # fmt: skip


@pytest.fixture
def trap(request: pytest.FixtureRequest, cluster: Cluster, running: Stores) -> Iterator[Trap]:
    with trapped(request.param, cluster, running.known.postgres) as found:
        yield found


@contextlib.contextmanager
def trapped(user: str, cluster: Cluster, password: str) -> Iterator[Trap]:
    """A project of a user, ourselves where it is "". password: file, or text, of the role that looks at the cluster."""
    place = Path(tempfile.mkdtemp(prefix="pc-", dir="/tmp"))
    place.chmod(0o755)
    for name, mode in (("loot", 0o1777), ("scratch", 0o755)):
        (place / name).mkdir()
        (place / name).chmod(mode)
    secret = place / "secret"
    secret.write_text(CANARY)
    if user:
        found = pwd.getpwnam(user)
        for each in (place, place / "scratch", secret):
            os.chown(each, found.pw_uid, found.pw_gid)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Trap(place, user, cluster, password, listener)
    shutil.rmtree(place)


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


SWALLOWED = """
create function app.f() returns boolean language plpgsql as $$
begin
  begin
    execute $q$copy app.log from program 'id > LOOT/owned'$q$;
  exception when others then null;
  end;
  begin
    execute $q$copy app.log from 'PLACE/secret'$q$;
    raise exception 'it was read';
  exception when insufficient_privilege or undefined_file or invalid_parameter_value then null;
  end;
  return true;
end $$;
create table app.log (t text);
create table app.t (i int, check (app.f()));
insert into app.t values (1)"""


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


@pytest.fixture
def base(trap: Trap) -> Path:
    """A base backup of one's own."""
    folder = trap.place / "base"
    folder.mkdir()
    shutil.copytree(trap.cluster.base, folder / "monday", symlinks=True)
    return folder / "monday"


def test_a_backup_that_is_a_link(trap: Trap, base: Path) -> None:
    real = trap.place / "base" / "real"
    (trap.place / "elsewhere").mkdir()
    base.rename(trap.place / "elsewhere" / "monday")
    base.symlink_to(trap.place / "elsewhere" / "monday")
    if trap.user:
        for path in (trap.place / "elsewhere", *(trap.place / "elsewhere").rglob("*")):
            os.chown(path, pwd.getpwnam(trap.user).pw_uid, -1)
    before = digest(trap.place / "elsewhere")
    found = trap.run("basebackup", "base")
    assert digest(trap.place / "elsewhere") == before
    assert not real.exists()
    assert (found.wrong, found.problem, found.tables) == ((), "", 9)


def _link(name: str) -> Callable[[Trap, Path], None]:
    def change(trap: Trap, base: Path) -> None:
        (base / name).unlink(missing_ok=True)
        (base / name).symlink_to(trap.place / "secret")

    return change


def _space(trap: Trap, base: Path) -> None:
    (trap.place / "rootonly").mkdir(mode=0o700)
    (base / "pg_tblspc" / "99999").symlink_to(trap.place / "rootonly")


def _pipe(trap: Trap, base: Path) -> None:
    os.mkfifo(base / "base" / "pipe")


def _wal_link(trap: Trap, base: Path) -> None:
    shutil.rmtree(base / "pg_wal")
    (trap.place / "wal").mkdir()
    (base / "pg_wal").symlink_to(trap.place / "wal")


REFUSED = {
    "postgresql.auto.conf": _link("postgresql.auto.conf"), "recovery.signal": _link("recovery.signal"),
    "standby.signal": _link("standby.signal"), "a relation": _link("base/1/1259"), "a tablespace": _space,
    "a pipe": _pipe, "pg_wal": _wal_link,
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_links_and_pipes_in_a_base_backup(trap: Trap, base: Path, what: str) -> None:
    REFUSED[what](trap, base)
    found = trap.run("basebackup", "base")
    assert "leads out of the backup" in found.problem or "it is not restored" in found.problem, found
    assert (trap.place / "secret").read_text() == CANARY


@pytest.mark.parametrize("maker", ["bwrap", "unshare"])
def test_settings_in_a_base_backup_are_not_read(trap: Trap, base: Path, maker: str) -> None:
    trap.find_only(maker, *(["setpriv"] if maker == "bwrap" else []))
    evil = "".join(
        f"{name} = '{value}'\n" for name, value in {
            "shared_preload_libraries": "evil", "archive_mode": "on", "archive_command": f"id > {trap.loot}/owned",
            "restore_command": f"id > {trap.loot}/owned", "archive_cleanup_command": f"id > {trap.loot}/owned",
            "recovery_end_command": f"id > {trap.loot}/owned", "listen_addresses": "*", "hot_standby": "on",
            "ssl_passphrase_command": f"id > {trap.loot}/owned", "unix_socket_directories": str(trap.loot),
            "primary_conninfo": f"host=127.0.0.1 port={trap.port}", "session_preload_libraries": "evil",
            "log_directory": str(trap.loot), "logging_collector": "on",
        }.items()
    )  # fmt: skip
    (trap.place / "more").mkdir()
    (trap.place / "more" / "evil.conf").write_text(evil)
    for name in ("postgresql.conf", "postgresql.auto.conf"):
        (base / name).write_text(f"{evil}include_dir '{trap.place / 'more'}'\n")
    (base / "pg_hba.conf").write_text("host all all 0.0.0.0/0 trust\n")
    for name in ("recovery.conf", "standby.signal"):
        (base / name).write_text(evil)
    found = trap.run("basebackup", "base")
    assert (found.wrong, found.problem, found.tables) == ((), "", 9)


EVENT = """
create function public.on_ddl() returns event_trigger language plpgsql as $$ begin
  begin execute 'copy (select 1) to program ''id > LOOT/owned'''; exception when others then null; end; end $$;
create event trigger evil on ddl_command_start execute function public.on_ddl();
alter role postgres in database shop set statement_timeout = '1ms';
alter role postgres set search_path = public, pg_catalog;
create function public.count(text) returns bigint language sql as 'select 1::bigint'"""
GONE = """
alter event trigger evil disable; drop event trigger evil; drop function public.on_ddl();
drop function public.count(text);
alter role postgres in database shop reset statement_timeout;
alter role postgres reset search_path"""


def test_what_a_superuser_left_in_the_database(trap: Trap) -> None:
    """Event triggers, libraries of roles: the backup is whole, and none of it runs when it is looked through."""
    primary = trap.cluster.primary
    with primary.connect() as connection:
        connection.execute(EVENT.replace("LOOT", str(trap.loot)).encode())
    made = trap.cluster.backups / "evil"
    try:
        primary.backup(made)
        list(map(Path.unlink, trap.loot.iterdir()))  # the source's own DDL fires it too
        (trap.place / "base").mkdir()
        shutil.copytree(made, trap.place / "base" / "monday", symlinks=True)
        found = trap.run("basebackup", "base")
    finally:
        shutil.rmtree(made, ignore_errors=True)
        with primary.connect() as connection:
            connection.execute("set session_replication_role = replica; set statement_timeout = 0")
            connection.execute(GONE.encode())
    assert (found.wrong, found.problem, found.tables) == ((), "", 9)


def test_links_in_the_archive_are_not_read(trap: Trap, base: Path) -> None:
    archive = trap.archive
    newest = max(each.name for each in archive.iterdir() if len(each.name) == 24)
    (archive / newest).unlink()
    (archive / newest).symlink_to(trap.place / "secret")
    os.mkfifo(archive / "00000002.history")
    found = trap.run("basebackup", "base", target={"lsn": "7/0"})
    assert not found.good


def _open_to_others(scratch: Path) -> Iterator[str]:
    """What others may read or change below a scratch folder, whose name they see in the list of processes."""
    for top in scratch.iterdir():
        shared = 0o007 if os.geteuid() == 0 and top.stat().st_uid == 0 else 0o077
        for place, names, files in os.walk(top):
            for name in (*names, *files):
                with contextlib.suppress(OSError):
                    about = os.lstat(os.path.join(place, name))
                    if about.st_mode & shared and not stat.S_ISLNK(about.st_mode):
                        yield f"{oct(about.st_mode)} {os.path.relpath(os.path.join(place, name), top)}"
            names[:] = [name for name in names if os.stat(os.path.join(place, name)).st_mode & 0o001]


@pytest.mark.parametrize("kind", ["basebackup", "dump"])
def test_what_other_users_get_of_a_restore(trap: Trap, base: Path, kind: str) -> None:
    """Nothing, even where the umask closes nothing: neither the log, which may tell rows, nor what WAL comes by."""
    trap.umask = 0
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            with contextlib.suppress(OSError):
                seen.update(_open_to_others(trap.place / "scratch"))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        found = trap.run("basebackup", "base") if kind == "basebackup" else trap.dump(TABLE)
    finally:
        over.set()
        watching.join()
    assert found.good, found
    assert seen == set()
