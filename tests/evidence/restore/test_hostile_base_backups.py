"""Base backups that attack whoever restores them: links, pipes, settings, functions of a superuser, archives."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.evidence.restore.as_user import CANARY
from tests.evidence.restore.traps import (
    TABLE,
    Trap,
    digest,
    pytest_generate_tests,
    trap,
)

__all__ = ["pytest_generate_tests", "trap"]


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
