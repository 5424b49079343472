"""Takes what a database holds at one position in WAL, while it is written to; blocks no writer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.content_record import ContentRecord, Held
from pytest_prodcheck.evidence.content_sql import FIXED, RANGES_SINCE, TABLES, Form, between, digest_of
from pytest_prodcheck.evidence.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_prodcheck.evidence.deadlines import Deadline

TRIES = 200  # looks for a moment in which nothing commits
PAUSE = 0.2  # seconds until a commit that was being written is seen as one
FEWEST_PAGES = 128  # of a part
MOST_PARTS = 1000  # of a table
MOST_PARTS_IN_ALL = 250_000  # of the tables of a record, which has some 30 bytes for each


@dataclass(frozen=True)
class _Session:
    """Statements about one table, in what is left of the time."""

    connection: Any
    deadline: Deadline | None

    def ask(self, table: str, sql: str, *values: str) -> tuple[Any, ...] | None:
        """The first row; raises EvidenceProblem (timeout)."""
        import psycopg

        if self.deadline is not None:
            left = max(int(self.deadline.seconds_left() * 1000), 1)
            self.connection.execute(f"set local statement_timeout = {left}")
        try:
            done = self.connection.execute(sql, values or None)
            return tuple(done.fetchone()) if done.description else None
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            what = f"{table} was not read whole in time"
            raise EvidenceProblem(Problem("timeout", what, "is it locked? or allow more: --timeout")) from None

    def digest(self, table: str, form: Form, where: str = "") -> tuple[int, str]:
        """Rows and the sum of their hashes."""
        rows, content = self.ask(table, digest_of(table, form, where)) or (0, "0")
        return int(rows), str(content)


def take(
    connection: Any, witness: Any, only: Sequence[str] = (), physical: bool = True, parts: bool = False,
    deadline: Deadline | None = None,
) -> ContentRecord:  # fmt: skip
    """What the primary holds now; raises EvidenceProblem (timeout) at the deadline, where there is one.

    connection, witness: psycopg's, two sessions of a role that may create restore points. only: names of tables, all
    where left out. physical: the backup is of the cluster's files, no dump, whose types have other oids. parts: large
    tables are hashed in parts, so that a restore can compare some of them; one after the other, where a whole table
    has the server's parallel workers. Not before PostgreSQL 14, and not for dumps.

    A transaction that commits between our snapshot and the position would be in a restore and not in the record, so a
    moment is looked for in which none does; raises EvidenceProblem where `TRIES` looks find none. The tables are held
    before (ACCESS SHARE, as by any reader): TRUNCATE and rewrites do not keep to snapshots.
    """
    import psycopg

    connection.autocommit = witness.autocommit = True
    for each in FIXED:
        connection.execute(f"set {each}")
    session = _Session(connection, deadline)
    for _ in range(TRIES):
        forms = _forms(connection, only, physical)
        connection.execute("begin isolation level repeatable read")
        try:
            for name in forms:
                session.ask(name, f"lock table only {name} in access share mode")
            lsn = _quiet_position(connection, witness)
            if lsn is not None:
                tables = _tables(session, forms, parts and physical)
                system, database = connection.execute(
                    "select (select system_identifier::text from pg_control_system()), current_database()"
                ).fetchone()
                _let_it_be_archived(witness)
                return ContentRecord(str(system), str(database), time.time(), lsn, tables)
        except psycopg.errors.UndefinedTable:  # dropped since it was listed
            continue
        finally:
            connection.execute("rollback")
    what = f"no moment without a commit was found in {TRIES} looks of {PAUSE:g} s"
    raise EvidenceProblem(Problem("timeout", what, "run it when less is written"))


def _forms(connection: Any, only: Sequence[str], physical: bool) -> dict[str, Form]:
    """Quoted name -> form of the tables to record; raises EvidenceProblem where one is not there."""
    forms: dict[str, Form] = {
        name: "binary" if binary and physical else "text" for name, binary in connection.execute(TABLES).fetchall()
    }
    if missing := sorted(set(only) - set(forms)):
        what = f"there is no table {', '.join(missing)} in {connection.info.dbname}"
        raise EvidenceProblem(Problem("configuration", what))
    return {name: form for name, form in forms.items() if not only or name in only}


def _quiet_position(connection: Any, witness: Any) -> str | None:
    """A position that shows exactly what our snapshot shows, None where a transaction may have ended in between.

    The statement's snapshot comes first, then the restore point. Whoever had not ended by the snapshot must not have
    ended a while after the position either: a commit is in WAL before others see it, by the time its sync takes.
    """
    lsn, before = connection.execute("select pg_create_restore_point('prodcheck'), pg_current_snapshot()").fetchone()
    time.sleep(PAUSE)
    after = witness.execute("select pg_current_snapshot()").fetchone()[0]
    (_, first_new, running), (_, next_new, still) = _snapshot(str(before)), _snapshot(str(after))
    return str(lsn) if (running | set(range(first_new, next_new))) <= still else None


def _snapshot(text: str) -> tuple[int, int, set[int]]:
    """xmin, xmax and the transactions in progress of "xmin:xmax:xip,…"."""
    xmin, xmax, running = text.split(":")
    return int(xmin), int(xmax), {int(each) for each in running.split(",") if each}


def _tables(session: _Session, forms: dict[str, Form], parts: bool) -> dict[str, Held]:
    """Quoted name -> what the table holds."""
    if not parts or session.connection.info.server_version < RANGES_SINCE:
        return {name: Held(*session.digest(name, form), form) for name, form in forms.items()}
    most = max(min(MOST_PARTS, MOST_PARTS_IN_ALL // max(len(forms), 1)), 1)
    return {name: _in_parts(session, name, form, most) for name, form in forms.items()}


def _in_parts(session: _Session, name: str, form: Form, most: int) -> Held:
    """A table in at most so many parts; a small one whole."""
    size = "select pg_relation_size(%s::regclass) / current_setting('block_size')::bigint"
    (pages,) = session.ask(name, size, name) or (0,)
    step = max(FEWEST_PAGES, -(-int(pages) // most))
    starts = range(0, int(pages), step)
    if len(starts) < 2:
        return Held(*session.digest(name, form), form)
    ends: list[int | None] = [*starts[1:], None]
    found = [session.digest(name, form, between(*each)) for each in zip(starts, ends, strict=True)]
    content = str(sum(int(each) for _, each in found))
    return Held(sum(rows for rows, _ in found), content, form, step, tuple(each for _, each in found))


def _let_it_be_archived(connection: Any) -> None:
    """Ends the WAL file, so that the record's position gets into the archive now; not everybody may."""
    import psycopg

    try:
        connection.execute("select pg_switch_wal()")
    except psycopg.Error:
        return
