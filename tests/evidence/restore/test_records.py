"""What record-backup writes: of a moment without commits, of some rows, of a table that changes meanwhile."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.switches.backups import finish_segments
from pytest_prodcheck.evidence.content.record_file import read
from pytest_prodcheck.evidence.content.recording import record_content
from pytest_prodcheck.records.backups import RestoreRun
from tests.evidence.contexts import problem_of
from tests.evidence.restore.restoring import Make, allow, declare, eventually, record_backup, restored
from tests.evidence.stores import Stores

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_record_is_of_a_moment_without_commits(cluster: Cluster, tmp_path: Path) -> None:
    with cluster.primary.connect() as connection, cluster.primary.connect() as witness:
        record = record_content(connection, witness, ["public.orders"])
    (tmp_path / "r.json").write_text(record.text())
    assert read(tmp_path / "r.json") == record
    assert record.tables["public.orders"].rows == 2


def test_what_record_backup_wrote_is_what_a_restore_holds(make: Make, running: Stores, cluster: Cluster) -> None:
    """The whole way: rights, backup, record, later changes, restore to the record's position, comparison."""
    declare(running, cluster)
    for function in ("pg_create_restore_point(text)", "pg_switch_wal()"):
        cluster.primary.ask(f"revoke execute on function {function} from prodcheck")
    base, record = cluster.backups / "monday", cluster.records / "monday.json"
    code, said = record_backup(running, "-o", str(record))
    assert (code, record.exists()) == (3, False)
    assert "permission denied for function pg_create_restore_point (42501) (prodcheck grants prints all" in said
    allow(cluster, make())
    cluster.primary.backup(base)
    try:
        code, said = record_backup(running, "-o", str(record))
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
        code, said = record_backup(running, "-o", str(record), "--table", "public.nowhere")
        assert (code, "there is no table public.nowhere" in said) == (3, True)
        cluster.primary.ask("revoke execute on function pg_switch_wal() from prodcheck")
        code, said = record_backup(running, "-o", str(record), "--table", "public.orders")
        assert (code, "1 table recorded" in said, "after the current WAL file is archived" in said) == (0, True, True)
        assert read(record).complete is False
        code, said = record_backup(running, "-o", str(cluster.records))
        assert (code, "Is a directory" in said) == (3, True)
        assert [each for each in cluster.folder.iterdir() if each.name.endswith(".new")] == []
        for odd in ("0", "-1", "nan", "inf", "1e9", "soon"):
            code, said = record_backup(running, "-o", str(record), f"--timeout={odd}")
            assert (code, "argument --timeout" in said) == (2, True), said
    finally:
        cluster.primary.ask("update payments set method = 'test-visa'")
        shutil.rmtree(base)
        record.unlink(missing_ok=True)


@pytest.fixture
def many(make: Make, running: Stores, cluster: Cluster) -> Iterator[str]:
    """A table of some 6 MB, in a backup of its own with a record in parts; some of its pages are empty."""
    rows = "select n as id, repeat(md5(n::text), 8) as text from generate_series(1, 22000) as n"
    cluster.primary.ask(f"create table many as {rows}")
    cluster.primary.ask("delete from many where id between 4001 and 11000")
    cluster.primary.ask("alter table many add primary key (id)")
    visible = "select relallvisible from pg_class where relname = 'many'"
    eventually(lambda: cluster.primary.ask("vacuum many") or int(str(cluster.primary.ask(visible))) > 300, None)
    base, record = cluster.backups / "parts", cluster.records / "parts.json"
    cluster.primary.backup(base)
    declare(running, cluster, '{ sample = "5%", record = "pg/records/parts.json" }')
    allow(cluster, make())
    code, said = record_backup(running, "-o", str(record))
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
            eventually(lambda: witness.execute(WAITS, (pid,)).fetchone()[0] == "SyncRep", None)
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
