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
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.switches.backups import finish_segments
from pytest_prodcheck.environments.grants import grants
from pytest_prodcheck.evidence.content.record_file import read
from pytest_prodcheck.evidence.content.recording import record_content
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.restore.scratch_folder import LOCK, PREFIX, sweep
from pytest_prodcheck.evidence.tools import confinement
from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.records.backups import RestoreRun, Verification
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.stores import Stores, address_of

Make = Callable[..., Context]


def tables(running: Stores, cluster: Cluster, restore: dict[str, Any], **changes: Any) -> dict[str, Any]:
    restore = {"unconfined": bool(why_unavailable()), **restore}  # where bubblewrap is not installed
    backups = {
        "kind": "basebackup", "folder": "pg/backups", "archive": "pg/archive", "restore_record": "pg/restored.json",
        "restore": {"folder": "pg/scratch", "record": "pg/records/{label}.json", "check": "database", **restore},
    }  # fmt: skip
    if changes:
        backups = {"restore": {"folder": "pg/scratch", "check": "database", **restore}, **changes}
    settings = {
        "nodes": [address_of("db-1", cluster.nodes[0].entrance)], "database": "shop", "tls": {"ca": "ca.pem"},
        "password": {"file": running.known.postgres}, "backups": backups,
    }  # fmt: skip
    return {"nameserver": running.nameserver, "postgres": {"shop": settings}}


@pytest.fixture
def make(running: Stores, cluster: Cluster) -> Make:
    def made(restore: dict[str, Any] | None = None, **changes: Any) -> Context:
        return context(running.place, **tables(running, cluster, restore or {}, **changes))

    return made


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    yield
    assert list((cluster.folder / "scratch").glob(f"{PREFIX}*")) == []


def restored(given: Context) -> RestoreRun:
    run: RestoreRun = gather("postgres-restore", "shop", given, 60)
    return run


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
        _eventually(lambda: len(list(scratch.glob(f"{PREFIX}*/data/postmaster.pid"))) == 1, child)
        assert _servers(scratch)
        child.send_signal(signal.SIGKILL)
        child.wait(5)
        _eventually(lambda: not _servers(scratch), None)
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


def _eventually(condition: Callable[[], Any], child: subprocess.Popen[bytes] | None) -> Any:
    for _ in range(300):
        if found := condition():
            return found
        assert child is None or child.poll() is None, child.stdout and child.stdout.read()
        time.sleep(0.1)
    raise AssertionError("not within 30 s")


def _dump(cluster: Cluster, name: str, *options: str) -> Path:
    folder = cluster.folder / "dumps"
    if not folder.exists():
        cluster.spawner.folder(folder)
    words: list[str | Path] = [cluster.programs / "pg_dump", "-h", cluster.folder, "-p", str(cluster.primary.port)]
    cluster.spawner.run([*words, "-U", "postgres", "-f", folder / name, *options, "shop"], cluster.folder / "dump.log")
    return folder / name


@pytest.mark.parametrize(("name", "options"), [("a.dump", ("-Fc",)), ("a.sql", ())])
def test_a_dump_is_read_whole_and_loaded(make: Make, cluster: Cluster, name: str, options: tuple[str, ...]) -> None:
    if not (cluster.programs / "pg_dump").exists():
        pytest.skip("no pg_dump beside the server; install: apt-get install postgresql")
    path = _dump(cluster, name, *options)
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


def test_a_record_is_of_a_moment_without_commits(cluster: Cluster, tmp_path: Path) -> None:
    with cluster.primary.connect() as connection, cluster.primary.connect() as witness:
        record = record_content(connection, witness, ["public.orders"])
    (tmp_path / "r.json").write_text(record.text())
    assert read(tmp_path / "r.json") == record
    assert record.tables["public.orders"].rows == 2


TOML = """\
version = 1
[environments.test]
revision = "r"
nameserver = "{nameserver}"
[environments.test.postgres.shop]
nodes = ["{node}"]
database = "shop"
tls = {{ ca = "ca.pem" }}
password = {{ file = "password" }}
backups = {{ kind = "basebackup", folder = "pg/backups", archive = "pg/archive", restore = {restore} }}
"""


def _declare(running: Stores, cluster: Cluster, restore: str = "{}") -> None:
    """The prodcheck.toml of a backup job, and the file with its password."""
    node = address_of("db-1", cluster.nodes[0].entrance)
    text = TOML.format(nameserver=running.nameserver, node=node, restore=restore)
    (running.place / "prodcheck.toml").write_text(text)
    (running.place / "password").write_text(running.known.postgres)
    (running.place / "password").chmod(0o600)


def _allow(cluster: Cluster, given: Context) -> None:
    """What `prodcheck grants` prints for records, of which some lines print others."""
    lines = list(grants("shop", given.environment.postgres["shop"]))
    about = "-- prodcheck record-backup: positions in WAL, and every table of the database"
    rights, *printing = [line.removesuffix("\\gexec").strip() for line in lines[lines.index(about) + 1 :]]
    with cluster.primary.connect() as connection:
        connection.execute(rights)
        found = [row[0] for line in printing for row in connection.execute(line).fetchall()]
        assert {"GRANT SELECT ON orders TO prodcheck", "GRANT USAGE ON SCHEMA public TO prodcheck"} <= set(found)
        for line in found:
            connection.execute(line)


def _record(running: Stores, *words: str) -> tuple[int, str]:
    """`prodcheck record-backup`, as a backup job runs it."""
    command = [sys.executable, "-m", "pytest_prodcheck.cli", "record-backup", "shop", "--env", "test", *words]
    done = subprocess.run(command, cwd=running.place, capture_output=True, text=True, check=False, timeout=60)
    assert running.known.postgres not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_what_record_backup_wrote_is_what_a_restore_holds(make: Make, running: Stores, cluster: Cluster) -> None:
    """The whole way: rights, backup, record, later changes, restore to the record's position, comparison."""
    _declare(running, cluster)
    for function in ("pg_create_restore_point(text)", "pg_switch_wal()"):
        cluster.primary.ask(f"revoke execute on function {function} from prodcheck")
    base, record = cluster.backups / "monday", cluster.records / "monday.json"
    code, said = _record(running, "-o", str(record))
    assert (code, record.exists()) == (3, False)
    assert "permission denied for function pg_create_restore_point (42501) (prodcheck grants prints all" in said
    _allow(cluster, make())
    cluster.primary.backup(base)
    try:
        code, said = _record(running, "-o", str(record))
        assert code == 0, said
        assert "9 tables recorded" in said
        assert read(record).complete
        assert {each.form for each in read(record).tables.values()} == {"binary"}
        cluster.primary.ask("update payments set method = 'changed after the record'")
        finish_segments(cluster, 1)
        run = restored(make({"backup": "monday"}))
        assert (run.wrong, len(run.compared)) == ((), 9)
        plain = json.loads(record.read_text())
        plain["tables"]["public.payments"]["content"] = "1"
        record.write_text(json.dumps(plain))
        assert ["public.payments" in each for each in restored(make({"backup": "monday"})).wrong] == [True]
        del plain["tables"]["public.payments"]
        record.write_text(json.dumps(plain))
        assert restored(make({"backup": "monday"})).wrong == ("1 tables more than were recorded",)
        record.write_text(json.dumps(plain | {"complete": False}))
        assert restored(make({"backup": "monday"})).seen.startswith("8 of 9 tables, ")
        record.write_text(json.dumps(plain | {"database": "ledger"}))
        problem = restored(make({"backup": "monday"})).record_problem
        assert problem == "the record is of the database ledger, not of shop"
        code, said = _record(running, "-o", str(record), "--table", "public.nowhere")
        assert (code, "there is no table public.nowhere" in said) == (3, True)
        cluster.primary.ask("revoke execute on function pg_switch_wal() from prodcheck")
        code, said = _record(running, "-o", str(record), "--table", "public.orders")
        assert (code, "1 table recorded" in said, "after the current WAL file is archived" in said) == (0, True, True)
        assert read(record).complete is False
        code, said = _record(running, "-o", str(cluster.records))
        assert (code, "Is a directory" in said) == (3, True)
        assert [each for each in cluster.folder.iterdir() if each.name.endswith(".new")] == []
        for odd in ("0", "-1", "nan", "inf", "1e9", "soon"):
            code, said = _record(running, "-o", str(record), f"--timeout={odd}")
            assert (code, "argument --timeout" in said) == (2, True), said
    finally:
        cluster.primary.ask("update payments set method = 'test-visa'")
        shutil.rmtree(base)
        record.unlink(missing_ok=True)


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


@pytest.fixture
def many(make: Make, running: Stores, cluster: Cluster) -> Iterator[str]:
    """A table of some 6 MB, in a backup of its own with a record in parts; some of its pages are empty."""
    rows = "select n as id, repeat(md5(n::text), 8) as text from generate_series(1, 22000) as n"
    cluster.primary.ask(f"create table many as {rows}")
    cluster.primary.ask("delete from many where id between 4001 and 11000")
    cluster.primary.ask("alter table many add primary key (id)")
    visible = "select relallvisible from pg_class where relname = 'many'"
    _eventually(lambda: cluster.primary.ask("vacuum many") or int(str(cluster.primary.ask(visible))) > 300, None)
    base, record = cluster.backups / "parts", cluster.records / "parts.json"
    cluster.primary.backup(base)
    _declare(running, cluster, '{ sample = "5%", record = "pg/records/parts.json" }')
    _allow(cluster, make())
    code, said = _record(running, "-o", str(record))
    assert code == 0, said
    cluster.primary.ask("update many set text = 'changed after the record' where id % 7 = 0")
    finish_segments(cluster, 1)
    yield "public.many"
    cluster.primary.ask("drop table many")
    shutil.rmtree(base)
    record.unlink()


def test_some_rows_are_compared_and_all_counted(make: Make, cluster: Cluster, many: str) -> None:
    """Which ones is left to chance; what they are compared with is the source's own."""
    place = cluster.records / "parts.json"
    held = read(place).tables[many]
    filled = sum(each != "0" for each in held.parts)
    assert (held.rows, held.pages, filled < len(held.parts)) == (15000, 128, True)
    for share in (0.2, 0.99):
        run = restored(make({"backup": "parts", "sample": share}))
        assert run.wrong == ()
        found = {each.table: each for each in run.compared}
        assert found[many].rows_restored == 15000
        assert (0 < found[many].hashed < 15000) if share < 0.5 else (found[many].hashed == 15000)
        assert found["public.orders"].hashed == 2  # it is too small for parts
        assert ("all counted" in run.seen) == (share < 0.5)

    def changed(change: Callable[[dict[str, Any]], object], **restore: Any) -> RestoreRun:
        plain = json.loads(place.read_text())
        kept = place.read_text()
        change(plain["tables"][many])
        place.write_text(json.dumps(plain))
        try:
            return restored(make({"backup": "parts", **restore}))
        finally:
            place.write_text(kept)

    def another_part(table: dict[str, Any]) -> None:
        table["parts"][1] = str(int(table["parts"][1]) + 1)
        table["content"] = str(int(table["content"]) + 1)

    assert changed(another_part, sample=0.99).wrong == (
        "public.many: other content than was recorded (pages 128 to 255)",
    )
    assert changed(another_part).wrong == ("public.many: other content than was recorded",)
    assert changed(lambda table: table.update(rows=15001), sample=0.01).wrong == (
        "public.many: 15000 rows, 15001 were recorded",
    )
    whole = changed(lambda table: [table.pop(each) for each in ("parts", "pages")], sample=0.01)
    assert (whole.wrong, whole.share) == ((), 1.0)
    assert "do not add up" in changed(lambda table: table["parts"].pop(0)).record_problem


def test_rows_are_counted_where_they_lie(make: Make, cluster: Cluster, many: str) -> None:
    """Not in an index, which still has those of a page that is gone; amcheck takes an empty page for a new one."""
    path = cluster.base.parent / "parts" / str(cluster.primary.ask("select pg_relation_filepath('many')"))
    kept = path.read_bytes()
    assert int(str(cluster.primary.ask("select relallvisible from pg_class where relname = 'many'"))) > 300
    page = 10 * 8192
    path.write_bytes(kept[:page] + bytes(8192) + kept[page + 8192 :])
    run = restored(make({"backup": "parts", "sample": 0.01}))
    lost = next(each for each in run.compared if each.table == many)
    assert run.wrong == (f"public.many: {lost.rows_restored} rows, 15000 were recorded",)


def test_a_table_that_is_locked(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look finds the lock, however slow the machine is."""
    monkeypatch.setattr("pytest_prodcheck.evidence.content.recording.TRIES", 2)
    with cluster.primary.connect() as connection, cluster.primary.connect() as witness:
        with cluster.primary.connect() as migration:
            migration.execute("begin; lock table payments in access exclusive mode")
            problem = problem_of(lambda: record_content(connection, witness))
        assert problem.message == "public.payments: another session holds a lock on it (2 looks)"
        assert record_content(connection, witness).complete


ALTERED = (
    "truncate meddled", "vacuum full meddled", "drop table meddled", "alter table meddled add column more int",
    "alter table meddled alter column id type text", "alter table meddled rename to meddled_before",
)  # fmt: skip
UNTOUCHED = "insert into meddled values (4); analyze meddled; create index on meddled (id); vacuum meddled"


@pytest.mark.parametrize("statements", [*ALTERED, UNTOUCHED])
def test_a_table_that_is_altered_while_it_is_recorded(cluster: Cluster, statements: str) -> None:
    """TRUNCATE, rewrites and columns do not keep to the snapshot that a record is made of; rows and rights do."""

    def meddle() -> None:
        with cluster.primary.connect() as other:
            other.autocommit = True
            for statement in statements.split("; "):
                other.execute(statement)

    cluster.primary.ask("create table meddled as select generate_series(1, 3) as id")
    try:
        with cluster.primary.connect() as connection, cluster.primary.connect() as witness:
            connection.autocommit = True
            watched = Watched(connection, meddle)
            if statements == UNTOUCHED:
                assert record_content(watched, witness).tables["public.meddled"].rows == 3
            else:
                problem = problem_of(lambda: record_content(watched, witness))
                assert "public.meddled: truncated, dropped or altered while it was recorded" in problem.message
        assert watched.done
    finally:
        cluster.primary.ask("drop table if exists meddled, meddled_before")


@pytest.mark.parametrize("statement", ["create table fresh as select 1 as id", "drop schema passing cascade"])
def test_what_comes_and_goes_before_the_position(cluster: Cluster, statement: str) -> None:
    """What is recorded is what was there at the position: the tables are listed after it."""

    def meddle() -> None:
        with cluster.primary.connect() as other:
            other.execute(statement)

    cluster.primary.ask("create schema passing; create table passing.there as select 1 as id")
    try:
        with cluster.primary.connect() as connection, cluster.primary.connect() as witness:
            connection.autocommit = True
            record = record_content(Watched(connection, meddle, "begin"), witness)
        assert ("public.fresh" in record.tables) == statement.startswith("create")
        assert ("passing.there" in record.tables) == statement.startswith("create")
    finally:
        cluster.primary.ask("drop schema if exists passing cascade; drop table if exists fresh")


def test_a_commit_that_waits_for_a_standby_is_in_wal_already(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees it yet, and a restore does."""
    monkeypatch.setattr("pytest_prodcheck.evidence.content.recording.TRIES", 3)
    cluster.primary.ask("create table waiting (id int)")
    cluster.primary.configure(synchronous_standby_names="nobody")
    committing = cluster.primary.connect()
    pid = committing.info.backend_pid
    thread = threading.Thread(target=committing.execute, args=("insert into waiting values (1)",))
    with cluster.primary.connect() as connection, cluster.primary.connect() as witness:
        try:
            thread.start()
            _eventually(lambda: witness.execute(WAITS, (pid,)).fetchone()[0] == "SyncRep", None)
            problem = problem_of(lambda: record_content(connection, witness))
        finally:
            witness.execute("select pg_cancel_backend(%s)", (pid,))  # its wait, not what it has written
            thread.join(10)
            committing.close()
            cluster.primary.configure(synchronous_standby_names=None)
        assert "no 0.2 s without a commit were found (3 looks)" in problem.message
        assert record_content(connection, witness).tables["public.waiting"].rows == 1
    cluster.primary.ask("drop table waiting")


WAITS = "select wait_event from pg_stat_activity where pid = %s"


@pytest.mark.parametrize(
    "change",
    [
        '"rows": 1e999', '"rows": Infinity', '"rows": -1', '"rows": 2.5', '"content": 7', '"content": "1e5"',
        '"form": "json"', '"pages": 1e30', '"parts": "15"', '"parts": {"1": 2}', '"parts": [1.7, 5.9]',
        '"parts": ["1"]', '"pages": 4, "parts": ["1"]', '"parts": ' + "[" * 100_000 + "]" * 100_000,
    ],
    ids=lambda change: change[:30],
)  # fmt: skip
def test_a_record_that_is_none(tmp_path: Path, change: str) -> None:
    place, held = tmp_path / "r.json", f'{{"rows": 2, "content": "15", "form": "text", {change}}}'
    frame = '{{"format": "prodcheck-content/1", "system_identifier": "7", "database": "d", '
    frame += '"taken_at": {}, "lsn": "{}", "tables": {}}}'
    place.write_text(frame.format("1.5", "0/1", f'{{"public.t": {held}}}'))
    assert "is not a content record" in problem_of(lambda: read(place)).message
    for taken_at, lsn, tables in (("1e999", "0/1", "{}"), ("1", "0/1; drop", "{}"), ("1", "0/1", "[]")):
        place.write_text(frame.format(taken_at, lsn, tables))
        assert "is not a content record" in problem_of(lambda: read(place)).message
    place.write_text(frame.format("1", "0/1", "{}"))
    assert "it contains no table" in problem_of(lambda: read(place)).message


class Watched:
    """A connection that does something once, before the first statement of a kind."""

    def __init__(self, connection: Any, before: Callable[[], None], what: str = "count(*)") -> None:
        self.connection, self.before, self.what, self.done = connection, before, what, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if self.what in sql and not self.done:
            self.done = True
            self.before()
        return self.connection.execute(sql, *values)


@pytest.mark.parametrize("kind", ["basebackup", "dump"])
def test_where_it_cannot_be_shut_in(make: Make, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Errored, with what to install and what would accept the risk; accepted, it is restored and says so."""
    monkeypatch.setattr(confinement, "why_unavailable", lambda: "bwrap is not installed (apt-get install bubblewrap)")
    how = {"kind": "dump", "folder": "pg/dumps"} if kind == "dump" else {}
    if how and not (cluster.programs / "pg_dump").exists():
        pytest.skip("no pg_dump beside the server; install: apt-get install postgresql")
    path = _dump(cluster, "a.dump", "-Fc") if how else None
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
