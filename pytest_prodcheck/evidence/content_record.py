"""What a database held at one position in WAL, as a file that a backup job writes and a restore is compared with."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_prodcheck.evidence.content_sql import FIXED, FORMS, TABLES, Form, digest_of
from pytest_prodcheck.evidence.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_prodcheck.evidence.deadlines import Deadline

FORMAT = "prodcheck-content/1"
LARGEST = 64 * 1024 * 1024  # bytes of a record: half a million tables
TRIES = 200  # looks for a moment in which nothing commits
PAUSE = 0.2  # seconds until a commit that was being written is seen as one


class Held(NamedTuple):
    """What one table held. content: the sum of its rows' hashes. form: in which the rows were hashed."""

    rows: int
    content: str
    form: Form


@dataclass(frozen=True)
class ContentRecord:
    """One record. lsn: WAL replayed up to there, and no further, shows this content. tables: quoted name -> content."""

    system_identifier: str
    database: str
    taken_at: float
    lsn: str
    tables: dict[str, Held]

    def text(self) -> str:
        """The file's text."""
        tables = {name: each._asdict() for name, each in sorted(self.tables.items())}
        document = {
            "format": FORMAT, "system_identifier": self.system_identifier, "database": self.database,
            "taken_at": self.taken_at, "lsn": self.lsn, "tables": tables,
        }  # fmt: skip
        return json.dumps(document, indent=1) + "\n"


def read(path: Path) -> ContentRecord:
    """A record from its file; raises EvidenceProblem where it is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        plain: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise ValueError(f"it is not of the form {FORMAT}")
        tables = {str(name): _held(each) for name, each in plain["tables"].items()}
        found = ContentRecord(
            str(plain["system_identifier"]), str(plain["database"]), float(plain["taken_at"]), str(plain["lsn"]), tables
        )
    except OSError as error:
        hint = "`prodcheck record-backup` writes it when the backup is done"
        raise EvidenceProblem(Problem("configuration", f"{path}: {error.strerror}", hint)) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        hint = "let `prodcheck record-backup` write it again, with a new backup"
        raise EvidenceProblem(Problem("protocol", f"{path}: is no record of content ({error})", hint)) from None
    if not found.tables:
        raise EvidenceProblem(Problem("protocol", f"{path}: it records no table", "which database was recorded?"))
    return found


def _held(plain: Any) -> Held:
    form = plain.get("form", "text")
    if form not in FORMS:
        raise ValueError(f"rows in the form {form!r} are unknown")
    return Held(int(plain["rows"]), str(int(plain["content"])), form)


def take(
    connection: Any, witness: Any, only: Sequence[str] = (), physical: bool = True, deadline: Deadline | None = None
) -> ContentRecord:
    """What the primary holds now; raises EvidenceProblem (timeout) at the deadline, where there is one.

    connection, witness: psycopg's, two sessions of a role that may create restore points. only: names of tables, all
    where left out. physical: the backup is of the cluster's files, no dump, whose types have other oids. A transaction
    that commits between our snapshot and the position would be in a restore and not in the record, so a moment is
    looked for in which none does; raises EvidenceProblem where `TRIES` looks find none.
    """
    connection.autocommit = witness.autocommit = True
    for _ in range(TRIES):
        connection.execute("begin isolation level repeatable read")
        try:
            lsn = _quiet_position(connection, witness)
            if lsn is not None:
                record = _hash(connection, lsn, only, physical, deadline)
                _let_it_be_archived(witness)
                return record
        finally:
            connection.execute("rollback")
    what = f"no moment without a commit was found in {TRIES} looks of {PAUSE:g} s"
    raise EvidenceProblem(Problem("timeout", what, "run it when less is written"))


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


def _hash(
    connection: Any, lsn: str, only: Sequence[str], physical: bool, deadline: Deadline | None
) -> ContentRecord:
    import psycopg

    for each in FIXED:
        connection.execute(f"set local {each}")
    system, database = connection.execute(
        "select (select system_identifier::text from pg_control_system()), current_database()"
    ).fetchone()
    forms: dict[str, Form] = {
        name: "binary" if binary and physical else "text" for name, binary in connection.execute(TABLES).fetchall()
    }
    if missing := sorted(set(only) - set(forms)):
        raise EvidenceProblem(Problem("configuration", f"there is no table {', '.join(missing)} in {database}"))
    tables = {}
    for name, form in forms.items():
        if not only or name in only:
            if deadline is not None:
                left = max(int(deadline.seconds_left() * 1000), 1)
                connection.execute(f"set local statement_timeout = {left}")
            try:
                rows, content = connection.execute(digest_of(name, form)).fetchone()
            except psycopg.errors.QueryCanceled:
                what = f"{name} was not read whole in time"
                raise EvidenceProblem(Problem("timeout", what, "is it locked? or allow more: --timeout")) from None
            tables[name] = Held(rows, content, form)
    return ContentRecord(str(system), str(database), time.time(), lsn, tables)


def _let_it_be_archived(connection: Any) -> None:
    """Ends the WAL file, so that the record's position gets into the archive now; not everybody may."""
    import psycopg

    try:
        connection.execute("select pg_switch_wal()")
    except psycopg.Error:
        return
