"""Backups that are really restored: what is compared, what is refused, and that nothing stays behind."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.switches.backups import finish_segments
from pytest_prodcheck.evidence.restore.scratch_folder import LOCK, PREFIX, sweep
from pytest_prodcheck.evidence.tools import confinement
from pytest_prodcheck.records.backups import Verification
from tests.evidence.contexts import gather, problem_of
from tests.evidence.restore.restoring import Make, dump, eventually, restored, tables
from tests.evidence.stores import Stores

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_backup_comes_up_as_it_was_recorded(make: Make, cluster: Cluster) -> None:
    cluster.restore_record.unlink()
    run = restored(make())
    assert run.wrong == ()
    assert run.recovered
    assert {each.table: each.rows_restored for each in run.compared}["public.orders"] == 2
    assert run.checked_relations
    assert 0 < run.recovery_time <= run.seconds
    written = json.loads(cluster.restore_record.read_text())
    assert (written["good"], written["label"], written["compared"]) == (True, "base-1", 9)


def test_a_target_that_the_archive_does_not_reach_is_no_recovery(make: Make, cluster: Cluster) -> None:
    """The server would start, say so to pg_ctl, and die later."""
    run = restored(make({"target": {"lsn": "7/0"}}))
    assert not run.recovered
    assert "before configured recovery target was reached" in run.reason
    assert json.loads(cluster.restore_record.read_text())["good"] is False


def test_a_named_point_in_time(make: Make, cluster: Cluster) -> None:
    cluster.primary.ask("create table if not exists public.later (id int)")
    cluster.primary.ask("select pg_create_restore_point('with the table')")
    cluster.primary.ask("drop table public.later")
    finish_segments(cluster, 1)
    run = restored(make({"target": {"name": "with the table"}, "backup": "base-1"}))
    assert (run.recovered, run.tables) == (True, 10)
    assert "the record is of position" in run.record_problem


def test_what_a_role_is_set_to_ends_none_of_our_statements(make: Make, cluster: Cluster) -> None:
    """It comes with the backup."""
    for statement in (
        "alter role postgres in database shop set statement_timeout = '1ms'",
        "select pg_create_restore_point('hasty')",
        "alter role postgres in database shop reset statement_timeout",
    ):
        cluster.primary.ask(statement, database="postgres")
    finish_segments(cluster, 1)
    run = restored(make({"target": {"name": "hasty"}, "backup": "base-1", "record": None}))
    assert (run.wrong, run.record_problem, run.tables, run.seen) == ((), "", 9, "compared with nothing")


def test_too_little_time(make: Make) -> None:
    later = {"time": "2099-01-01 00:00:00+00"}
    slow = {"target": later, "record": None, "settings": {"recovery_min_apply_delay": "1h"}}
    problem = problem_of(lambda: gather("postgres-restore", "shop", make(slow), 3))
    assert problem.message.startswith("shop: not restored and read within 3 s (")
    assert problem.hint == "raise restore.timeout"


def test_an_archive_that_is_not_there(make: Make, cluster: Cluster) -> None:
    how = {"kind": "basebackup", "folder": "pg/backups", "archive": "pg/nowhere"}
    own, aside = cluster.base / "pg_wal", cluster.base / "pg_wal.aside"
    own.rename(aside)
    own.mkdir()
    try:
        for name in ("postgres-wal-archive", "postgres-backup-verification"):
            problem = problem_of(lambda name=name: gather(name, "shop", make({}, **how)))  # type: ignore[misc]
            assert "pg/nowhere: No such file or directory" in problem.message
            assert "is `archive` right" in problem.hint
    finally:
        own.rmdir()
        aside.rename(own)


@pytest.mark.parametrize("every_row", [False, True])
def test_rows_that_an_index_lacks(make: Make, cluster: Cluster, every_row: bool) -> None:
    """Only a look at every row finds them; it is not the default, for it takes twice as long as all the rest."""
    cluster.primary.ask("create table words (text text); insert into words values ('one'), ('two')")
    cluster.primary.ask("create function plainly(text) returns text immutable language sql as 'select $1'")
    cluster.primary.ask("create index words_plainly on words (plainly(text))")
    turned = "create or replace function plainly(text) returns text immutable language sql as 'select reverse($1)'"
    cluster.primary.ask(turned)
    point = f"index lacks rows {every_row}"
    cluster.primary.ask(f"select pg_create_restore_point('{point}')")
    cluster.primary.ask("drop table words; drop function plainly(text)")
    finish_segments(cluster, 1)
    run = restored(make({"target": {"name": point}, "backup": "base-1", "heapallindexed": every_row}))
    assert run.recovered
    assert run.checked_relations
    assert any("words_plainly" in line for line in run.damaged) == every_row


def test_a_gap_does_not_pass_for_the_end_of_the_archive(make: Make, cluster: Cluster) -> None:
    finish_segments(cluster, 3)
    lost = sorted(each for each in cluster.archive.iterdir() if len(each.name) == 24)[-2]
    kept = lost.read_bytes()
    lost.unlink()
    try:
        run = restored(make({"record": None}))
        assert not run.recovered
        assert "but the archive goes on to" in run.reason
        assert gather("postgres-wal-archive", "shop", make()).missing == (lost.name,)
    finally:
        lost.write_bytes(kept)
        cluster.spawner.own(lost)
    assert restored(make({"record": None})).recovered


def test_a_place_inside_a_server_is_refused(make: Make, cluster: Cluster) -> None:
    for place in ("pg/db-1", "pg/db-1/base"):
        problem = problem_of(lambda place=place: restored(make({"folder": place})))  # type: ignore[misc]
        assert "in the data folder" in problem.message
    assert "there is no folder" in problem_of(lambda: restored(make({"folder": "nowhere"}))).message


def test_leftovers_are_swept_and_what_runs_is_not(tmp_path: Path) -> None:
    import fcntl

    for name in ("dead", "alive"):
        (tmp_path / f"{PREFIX}{name}").mkdir()
        (tmp_path / f"{PREFIX}{name}" / LOCK).write_text("")
    (tmp_path / f"{PREFIX}starting").mkdir()
    (tmp_path / "else").mkdir()
    with (tmp_path / f"{PREFIX}alive" / LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["else", f"{PREFIX}alive", f"{PREFIX}starting"]


KILLED = """
    import json, sys
    from pathlib import Path
    from tests.evidence.contexts import context, gather
    root, tables = sys.argv[1], json.loads(sys.argv[2])
    gather("postgres-restore", "shop", context(Path(root), **tables), 60)
"""


def test_a_restore_that_is_killed_leaves_no_server(running: Stores, cluster: Cluster) -> None:
    """The kernel ends its server; the folder goes with the next restore."""
    given = tables(running, cluster, {"target": {"time": "2099-01-01 00:00:00+00"}, "record": None})
    # the server waits for WAL that never comes: a restore that takes long
    given["postgres"]["shop"]["backups"]["restore"]["settings"] = {"recovery_min_apply_delay": "1h"}
    words = [sys.executable, "-c", textwrap.dedent(KILLED), str(running.place), json.dumps(given)]
    child = subprocess.Popen(words, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    scratch = cluster.folder / "scratch"
    try:
        eventually(lambda: len(list(scratch.glob(f"{PREFIX}*/data/postmaster.pid"))) == 1, child)
        assert _servers(scratch)
        child.send_signal(signal.SIGKILL)
        child.wait(5)
        eventually(lambda: not _servers(scratch), None)
        (left,) = scratch.glob(f"{PREFIX}*")
        sweep(scratch)
        assert not left.exists()
    finally:
        child.kill()
        child.wait(5)
        if child.stdout:
            child.stdout.close()


def _servers(scratch: Path) -> list[int]:
    """The processes of a restore: what makes its place, and the server in it."""
    found = []
    for each in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if each.name.isdigit() and f"{scratch}/{PREFIX}".encode() in (each / "cmdline").read_bytes():
                found.append(int(each.name))
    return found


@pytest.mark.parametrize(("name", "options"), [("a.dump", ("-Fc",)), ("a.sql", ())])
def test_a_dump_is_read_whole_and_loaded(make: Make, cluster: Cluster, name: str, options: tuple[str, ...]) -> None:
    if not (cluster.programs / "pg_dump").exists():
        pytest.skip("no pg_dump beside the server; install: apt-get install postgresql")
    path = dump(cluster, name, *options)
    how = {"kind": "dump", "folder": "pg/dumps", "pattern": name}
    try:
        found: Verification = gather("postgres-backup-verification", "shop", make({}, **how))
        assert [each.good for each in found.backups] == [True]
        run = restored(make({}, **how))
        assert (run.wrong, run.tables) == ((), 9)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size * 2 // 3)  # `pg_restore --list` still passes
        found = gather("postgres-backup-verification", "shop", make({}, **how))
        assert [each.good for each in found.backups] == [False]
    finally:
        path.unlink()


def test_wal_that_is_packed_is_unpacked(make: Make, cluster: Cluster) -> None:
    from pytest_prodcheck.demo.switches.backups import ACTS

    own = cluster.base / "pg_wal"
    aside = cluster.folder / "pg_wal.aside"
    shutil.copytree(own, aside)
    packing = type("S", (), {"postgres": cluster, "place": cluster.folder.parent})()
    ACTS["archive-packed"][0](packing)
    try:
        for each in own.iterdir():
            if each.is_file():
                each.unlink()  # a backup without WAL of its own (pg_basebackup -X none)
        found: Verification = gather("postgres-backup-verification", "shop", make())
        assert [each.said for each in found.backups] == [""]
        assert restored(make()).wrong == ()
    finally:
        ACTS["archive-packed"][1](packing)
        shutil.copytree(aside, own, dirs_exist_ok=True)
        shutil.rmtree(aside)
        for each in own.rglob("*"):
            if each.is_file():
                cluster.spawner.own(each)


PASS = ("-pass", "pass:not-a-secret", "-pbkdf2", "-iter", "1")
DECRYPT = ["openssl", "enc", "-d", "-aes-256-cbc", *PASS, "-in", "{file}"]


def _openssl(content: bytes) -> bytes:
    command = ["openssl", "enc", "-aes-256-cbc", *PASS]
    return subprocess.run(command, input=content, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(
    ("pack", "ending", "unpack"),
    [
        (gzip.compress, "", None),  # archive_command = 'gzip < %p > archive/%f'
        (_openssl, "", DECRYPT),
        (lambda content: _openssl(gzip.compress(content, 1)), ".gz.enc", DECRYPT),
        (_openssl, ".enc", None),
        (_openssl, ".enc", ["openssl", "enc", "-d", "-aes-256-cbc", "-pass", "pass:wrong", "-in", "{file}"]),
    ],
    ids=["gzip-plain-name", "openssl-plain-name", "gzip-openssl", "undeclared", "wrong-password"],
)  # fmt: skip
def test_wal_that_is_encrypted(
    make: Make, cluster: Cluster, pack: Callable[[bytes], bytes], ending: str, unpack: list[str] | None
) -> None:
    """By the declared program; without it nothing is said of the restore but what to declare."""
    how: dict[str, Any] = {"kind": "basebackup", "folder": "pg/backups", "archive": "pg/sealed", "unpack": unpack}
    own, aside = cluster.base / "pg_wal", cluster.folder / "pg_wal.aside"
    shutil.copytree(own, aside)
    sealed = cluster.spawner.folder(cluster.folder / "sealed")
    for each in own.iterdir():
        if each.is_file():
            each.unlink()  # a backup without WAL of its own (pg_basebackup -X none)
    try:
        for each in cluster.archive.iterdir():
            named = sealed / f"{each.name}{'' if each.suffix else ending}"
            named.write_bytes(each.read_bytes() if each.suffix else pack(each.read_bytes()))
            cluster.spawner.own(named)
        archive = gather("postgres-wal-archive", "shop", make(None, **how))
        assert (archive.missing, archive.broken) == ((), ())
        if ending and unpack != DECRYPT:
            for name in ("postgres-backup-verification", *(("postgres-restore",) if unpack is None else ())):
                problem = problem_of(lambda name=name: gather(name, "shop", make(None, **how)))  # type: ignore[misc]
                assert "backups.unpack" in problem.hint
            return
        found: Verification = gather("postgres-backup-verification", "shop", make(None, **how))
        assert [each.said for each in found.backups] == [""]
        assert restored(make(None, **how)).wrong == ()
    finally:
        shutil.rmtree(sealed)
        shutil.copytree(aside, own, dirs_exist_ok=True)
        shutil.rmtree(aside)
        for each in own.rglob("*"):
            if each.is_file():
                cluster.spawner.own(each)


@pytest.mark.parametrize("kind", ["basebackup", "dump"])
def test_where_it_cannot_be_shut_in(make: Make, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Errored, with what to install and what would accept the risk; accepted, it is restored and says so."""
    monkeypatch.setattr(confinement, "why_unavailable", lambda: "bwrap is not installed (apt-get install bubblewrap)")
    how = {"kind": "dump", "folder": "pg/dumps"} if kind == "dump" else {}
    if how and not (cluster.programs / "pg_dump").exists():
        pytest.skip("no pg_dump beside the server; install: apt-get install postgresql")
    path = dump(cluster, "a.dump", "-Fc") if how else None
    try:
        problem = problem_of(lambda: restored(make({"unconfined": False}, **how)))
        assert "apt-get install bubblewrap" in problem.message
        assert "backups.restore.unconfined = true" in problem.hint
        run = restored(make({"unconfined": True, "as_superuser": bool(how)}, **how))
        assert (run.wrong, run.confined) == ((), False)
    finally:
        if path is not None:
            path.unlink()


def test_a_backup_with_a_tablespace(make: Make, cluster: Cluster) -> None:
    """It is copied too, and the scratch server writes into the copy; a folder that is not declared is not read.

    The last test: a restore that replays the making of a tablespace needs its folder.
    """
    space, mapped = (cluster.spawner.folder(cluster.folder / name) for name in ("fast", "mapped"))
    base = cluster.backups / "tuesday"
    cluster.primary.ask(f"create tablespace fast location '{space}'")
    try:
        cluster.primary.ask("create table quick tablespace fast as select n as id from generate_series(1, 500) as n")
        words: list[Any] = [cluster.programs / "pg_basebackup", "-D", base, "-h", cluster.folder, "-p"]
        words += [str(cluster.primary.port), "-U", "postgres", "-c", "fast", f"--tablespace-mapping={space}={mapped}"]
        cluster.spawner.run(words, cluster.folder / "tablespace.log", 120)
        cluster.primary.ask("update quick set id = -id")
        finish_segments(cluster, 1)
        before = {each: each.stat().st_mtime_ns for each in mapped.rglob("*") if each.is_file()}
        how: dict[str, Any] = {"backup": "tuesday", "record": None}
        problem = problem_of(lambda: restored(make(how)))
        assert "links" in problem.hint
        run = restored(make({**how, "links": ["pg/mapped"]}))
        assert (run.wrong, run.checked_relations) == ((), True)
        assert {each: each.stat().st_mtime_ns for each in mapped.rglob("*") if each.is_file()} == before
    finally:
        cluster.primary.ask("drop table if exists quick")
        cluster.primary.ask("drop tablespace fast")
        for each in (space, mapped, base):
            shutil.rmtree(each, ignore_errors=True)
