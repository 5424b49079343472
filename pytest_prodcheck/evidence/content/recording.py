"""Takes what a database holds at one position in WAL, while it is written to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.content.hash_sql import (
    FIXED,
    RANGES_SINCE,
    SHAPES,
    TABLES,
    Form,
    digest_of,
    page_condition,
    ranges,
    timeout,
)
from pytest_prodcheck.evidence.content.record_file import ContentRecord, RecordedTable
from pytest_prodcheck.evidence.postgres.safe_sql import PATH
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_prodcheck.evidence.deadlines import Deadline

TRIES = 200  # looks for a moment in which nothing commits
PAUSE = 0.2  # seconds until a commit that was being written is seen as one
SHORTEST = 1.0  # seconds that must be left for another look
LOCK = 200  # ms that a lock is waited for
FEWEST_PAGES = 128  # of a part
MOST_PARTS = 1000  # of a table
MOST_PARTS_IN_ALL = 250_000  # of the tables of a record, which has some 30 bytes for each
_COMMITTING = """\
select exists (select from pg_stat_activity
where backend_xid is not null and lower(wait_event) in ('syncrep', 'walsync', 'walwrite'))"""


class _TableLocked(Exception):
    """Somebody holds a lock on a table: we do not wait, for others would wait behind what waits for us."""


@dataclass(frozen=True)
class _Session:
    """Statements about one table, in what is left of the time."""

    connection: Any
    deadline: Deadline | None

    def ask(self, table: str, sql: str, *values: str) -> tuple[Any, ...]:
        """The first row; raises EvidenceProblem where it takes too long or the table is gone, _Locked."""
        from psycopg import errors

        if self.deadline is not None:
            self.connection.execute(f"set local {timeout(self.deadline.seconds_left())}")
        try:
            return tuple(self.connection.execute(sql, values or None).fetchone())
        except errors.QueryCanceled:
            what = f"{table} was not read whole in time"
            raise EvidenceProblem(Problem("timeout", what, "raise --timeout")) from None
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            raise _TableLocked(table) from None
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            raise _changed([table]) from None

    def digest(self, table: str, form: Form, where: str = "") -> tuple[int, str]:
        """Rows and the sum of their hashes."""
        rows, content = self.ask(table, digest_of(table, form, where))
        return int(rows), str(content)


def record_content(
    connection: Any, witness: Any, only: Sequence[str] = (), physical: bool = True, parts: bool = False,
    deadline: Deadline | None = None,
) -> ContentRecord:  # fmt: skip
    """What the primary holds now; raises EvidenceProblem (timeout) at the deadline, where there is one.

    connection, witness: psycopg's, two sessions of a role that may create restore points. only: names of tables, all
    where left out. physical: the backup is of the cluster's files, no dump, whose types have other oids. parts: large
    tables are hashed in parts, so that a restore can compare some of them; one after the other, where a whole table
    has the server's parallel workers. Not before PostgreSQL 14, and not for dumps.

    A transaction that commits between our snapshot and the position would be in a restore and not in the record, so a
    moment is looked for in which none does, and in which no table is locked; raises EvidenceProblem where `TRIES` looks
    find none. TRUNCATE, rewrites and changed columns do not keep to snapshots: where one came in between, that is the
    problem which is raised.
    """
    connection.autocommit = witness.autocommit = True
    for each in (connection, witness):
        each.execute(f"set {PATH}; set default_transaction_read_only = on")
    for setting in (*FIXED, f"lock_timeout = {LOCK}"):
        connection.execute(f"set {setting}")
    session, looks = _Session(connection, deadline), 0
    why, hint = "", ""
    while looks < TRIES and (not looks or deadline is None or deadline.time_left() > SHORTEST):
        looks += 1
        connection.execute("begin isolation level repeatable read")
        try:
            lsn = _quiet_position(connection, witness)
            if lsn is not None:
                return _record(session, witness, lsn, only, physical, parts)
            why, hint = f"no {PAUSE:g} s without a commit were found", "run it at a time with fewer writes"
        except _TableLocked as error:
            why, hint = (
                f"{error}: another session holds a lock on it",
                "data_integrity.storage.locks shows which session",
            )
        finally:
            connection.execute("rollback")
    raise EvidenceProblem(Problem("timeout", f"{why} ({looks} looks)", hint))


def _record(
    session: _Session, witness: Any, lsn: str, only: Sequence[str], physical: bool, parts: bool
) -> ContentRecord:
    connection = session.connection
    system, database = connection.execute(
        "select (select system_identifier::text from pg_control_system()), current_database()"
    ).fetchone()
    forms: dict[str, Form] = {
        name: "binary" if binary and physical else "text" for name, binary in connection.execute(TABLES).fetchall()
    }
    if missing := sorted(set(only) - set(forms)):
        what = f"there is no table {', '.join(missing)} in {database} whose rows a backup contains"
        hint = (
            "write the schema too, and name each partition; views, foreign tables and unlogged tables are not recorded"
        )
        raise EvidenceProblem(Problem("configuration", what, hint))
    forms = {name: form for name, form in forms.items() if not only or name in only}
    ours = dict(connection.execute(SHAPES).fetchall())
    tables = _tables(session, forms, parts and physical)
    (objects,) = connection.execute("select count(*) from pg_largeobject_metadata").fetchone()
    now = dict(witness.execute(SHAPES).fetchall())  # nobody changes what has been read: it is locked like by any reader
    if changed := [name for name in tables if now.get(name) != ours[name]]:
        raise _changed(changed)
    archived = _let_it_be_archived(witness)
    return ContentRecord(str(system), str(database), time.time(), lsn, tables, not only, int(objects), archived)


def _changed(tables: Sequence[str]) -> EvidenceProblem:
    shown = ", ".join(tables[:5]) + (", …" if len(tables) > 5 else "")
    what = f"{shown}: truncated, dropped or altered while it was recorded"
    return EvidenceProblem(Problem("protocol", what, "run it again, or record other tables only (--table)"))


def _quiet_position(connection: Any, witness: Any) -> str | None:
    """A position that shows exactly what our snapshot shows, None where a transaction may have ended in between.

    The statement's snapshot comes first, then the restore point. Whoever had not ended by the snapshot must not have
    ended a while after the position either: a commit is in WAL before others see it, by the time its sync takes. Who
    still waits for that, or for a standby, may be in WAL already.
    """
    lsn, before = connection.execute("select pg_create_restore_point('prodcheck'), pg_current_snapshot()").fetchone()
    time.sleep(PAUSE)
    (committing,) = witness.execute(_COMMITTING).fetchone()
    (after,) = witness.execute("select pg_current_snapshot()").fetchone()
    (_, first_new, running), (_, next_new, still) = _snapshot(str(before)), _snapshot(str(after))
    return str(lsn) if not committing and (running | set(range(first_new, next_new))) <= still else None


def _snapshot(text: str) -> tuple[int, int, set[int]]:
    """xmin, xmax and the transactions in progress of "xmin:xmax:xip,…"."""
    xmin, xmax, running = text.split(":")
    return int(xmin), int(xmax), {int(each) for each in running.split(",") if each}


def _tables(session: _Session, forms: dict[str, Form], parts: bool) -> dict[str, RecordedTable]:
    """Quoted name -> what the table holds."""
    if not parts or session.connection.info.server_version < RANGES_SINCE:
        return {name: RecordedTable(*session.digest(name, form), form) for name, form in forms.items()}
    most = max(min(MOST_PARTS, MOST_PARTS_IN_ALL // max(len(forms), 1)), 1)
    return {name: _recorded_in_parts(session, name, form, most) for name, form in forms.items()}


def _recorded_in_parts(session: _Session, name: str, form: Form, most: int) -> RecordedTable:
    """A table in at most so many parts; a small one whole."""
    size = "select pg_relation_size(%s::regclass) / current_setting('block_size')::bigint"
    (pages,) = session.ask(name, size, name)
    step = max(FEWEST_PAGES, -(-pages // most))
    if pages <= step:
        return RecordedTable(*session.digest(name, form), form)
    found = [session.digest(name, form, page_condition(*each)) for each in ranges(pages, step)]
    content = str(sum(int(each) for _, each in found))
    return RecordedTable(sum(rows for rows, _ in found), content, form, step, tuple(each for _, each in found))


def _let_it_be_archived(connection: Any) -> bool:
    """Ends the WAL file, so that the record's position gets into the archive now; False where we may not."""
    import psycopg

    try:
        connection.execute("select pg_switch_wal()")
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
