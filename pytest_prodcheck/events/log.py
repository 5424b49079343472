"""The event log: one table, in SQLite beside the verdicts or in PostgreSQL; the same statements on both."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

FILE = "events.db"  # in the state folder
KEPT = 13 * 30 * 86400.0  # seconds: a year and the month before it
FOR_EVER = ("drill", "incident-opened", "incident-acknowledged", "incident-updated", "incident-resolved")
_COLUMNS = ("id", "at", "kind", "environment", "unit", "revision", "subject", "recorded_at", "body")
_TABLE = """\
create table if not exists events (
  id text primary key, at double precision not null, kind text not null, environment text not null, unit text not null,
  revision text not null, subject text not null, recorded_at double precision not null, body text not null)"""
_INDEX = "create index if not exists events_by_time on events (environment, kind, at)"


class LogProblem(Exception):
    """The log cannot be read or written; the message says which and why."""


@dataclass(frozen=True)
class Event:
    """One thing that happened. at: UTC epoch second. subject: what it is about, such as a gate; body: JSON data."""

    id: str
    at: float
    kind: str
    environment: str
    unit: str = ""
    revision: str = ""
    subject: str = ""
    body: dict[str, Any] = field(default_factory=dict)


class _Cursor(Protocol):
    def fetchall(self) -> list[Any]: ...


class _Connection(Protocol):
    def execute(self, statement: str, values: Sequence[object] = ...) -> _Cursor: ...
    def commit(self) -> None: ...


class EventLog:
    """Reads and appends events. An event that is there already, by its id, is left as it is."""

    def __init__(self, connection: Any, mark: str) -> None:
        self._connection: _Connection = connection
        self._mark = mark  # of a value in a statement
        self._do(_TABLE)
        self._do(_INDEX)
        self._connection.commit()

    def add(self, *events: Event) -> None:
        """Appends, all or none; raises LogProblem."""
        values = ", ".join([self._mark] * len(_COLUMNS))
        statement = f"insert into events ({', '.join(_COLUMNS)}) values ({values}) on conflict (id) do nothing"
        now = time.time()
        for each in events:
            body = json.dumps(each.body, separators=(",", ":"), allow_nan=False)
            row = (each.id, each.at, each.kind, each.environment, each.unit, each.revision, each.subject, now, body)
            self._do(statement, row)
        self._commit()

    def find(
        self,
        *,
        environment: str = "",
        kind: str = "",
        unit: str | None = None,
        since: float = 0.0,
        until: float | None = None,
        most: int = 1000,
    ) -> list[Event]:
        """The newest events, the newest first; raises LogProblem. unit: "" is the whole environment, None any."""
        texts = [("environment = ", environment or None), ("kind = ", kind or None), ("unit = ", unit)]
        times = [("at >= ", since), ("at <= ", until)]
        named = [(text, value) for text, value in (*texts, *times) if value is not None]
        where = " and ".join(f"{text}{self._mark}" for text, _ in named)
        columns = ", ".join(name for name in _COLUMNS if name != "recorded_at")
        statement = f"select {columns} from events where {where} order by at desc, id desc limit {int(most)}"
        return [_event(row) for row in self._do(statement, [value for _, value in named]).fetchall()]

    def forget(self, before: float) -> None:
        """Removes what is older (UTC epoch second), but drills and incidents."""
        marks = ", ".join([self._mark] * len(FOR_EVER))
        self._do(f"delete from events where at < {self._mark} and kind not in ({marks})", (before, *FOR_EVER))
        self._commit()

    def _do(self, statement: str, values: Sequence[object] = ()) -> _Cursor:
        try:
            return self._connection.execute(statement, values)
        except Exception as error:
            raise LogProblem(f"the event log: {' '.join(str(error).split())}") from None

    def _commit(self) -> None:
        try:
            self._connection.commit()
        except Exception as error:
            raise LogProblem(f"the event log: {' '.join(str(error).split())}") from None


@contextlib.contextmanager
def open_file(state: Path) -> Iterator[EventLog]:
    """The log in a state folder, which is made where it is not there; raises LogProblem."""
    path = state / FILE
    if path.is_symlink() or (path.exists() and not (path.is_file() and path.stat().st_nlink == 1)):
        raise LogProblem(f"{path} is a link, has hard links, or is not a regular file: remove it")
    try:
        connection = sqlite3.connect(path, timeout=10, isolation_level="IMMEDIATE")
    except sqlite3.Error as error:
        raise LogProblem(f"{path}: {error}") from None
    try:
        try:
            path.chmod(0o600)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
        except (sqlite3.Error, OSError) as error:
            raise LogProblem(f"{path}: {error}") from None
        yield EventLog(connection, "?")
    finally:
        connection.close()


@contextlib.contextmanager
def open_server(dsn: str, timeout: float = 10.0) -> Iterator[EventLog]:
    """The log in PostgreSQL; raises LogProblem. timeout: seconds to connect."""
    try:
        import psycopg
    except ImportError:
        raise LogProblem("an event log in PostgreSQL needs psycopg: pip install 'pytest-prodcheck[postgres]'") from None
    try:
        connection = psycopg.connect(dsn, connect_timeout=int(timeout), application_name="prodcheck events")
    except (psycopg.Error, ValueError):
        raise LogProblem("the event log's PostgreSQL server cannot be reached with the declared `events.dsn`") from None
    try:
        yield EventLog(connection, "%s")
    finally:
        connection.close()


def _event(row: Sequence[Any]) -> Event:
    try:
        body = json.loads(row[-1])
    except ValueError:
        body = {}
    id_, at, kind, environment, unit, revision, subject, _ = row
    return Event(id_, at, kind, environment, unit, revision, subject, body if isinstance(body, dict) else {})
