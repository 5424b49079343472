"""Questions to a PostgreSQL server over libpq, bounded in time and size whatever the server does.

psycopg's low-level API is used because its connections wait as long as rows come, and those of a server that lies never
end.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import termios
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.postgres.libpq_environment import hidden
from pytest_prodcheck.evidence.postgres.problems import ServerError
from pytest_prodcheck.evidence.postgres.server_text import words
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

MOST_BYTES = 1024 * 1024  # read of one server; the facts are under 1 kB
MOST_RESULTS = 24


@dataclass(frozen=True)
class Table:
    """What one statement returned. types: the columns' type OIDs. rows: values in PostgreSQL's text form."""

    types: tuple[int, ...]
    rows: tuple[tuple[str | None, ...], ...]


class Wire:
    """A connection. where: the server's name for messages. most: bytes read at most. Close it with `close`."""

    def __init__(self, where: str, most: int = MOST_BYTES) -> None:
        self.where = where
        self._most = most
        self._read = 0
        self._connection: Any = None

    def open(self, parameters: Mapping[str, str], deadline: Deadline) -> None:
        """Connects and logs in; raises ServerError with what libpq says, EvidenceProblem at the deadline."""
        from psycopg import pq
        from psycopg.conninfo import make_conninfo

        with hidden():
            self._connection = connection = pq.PGconn.connect_start(make_conninfo("", **parameters).encode())
        while connection.status != pq.ConnStatus.BAD:
            with hidden():  # some are read when the first message is made
                status = connection.connect_poll()
            if status == pq.PollingStatus.OK:
                connection.nonblocking = 1
                return
            if status == pq.PollingStatus.FAILED:
                break
            self._wait(select.POLLIN if status == pq.PollingStatus.READING else select.POLLOUT, deadline)
        raise ServerError(connection.error_message.decode(errors="replace"))

    def ask(self, sql: str, deadline: Deadline) -> bytes:
        """The first value of the one row that the statements return, in one round trip; raises as `open` does."""
        found: list[bytes] = []

        def take(result: Any) -> None:
            if result.ntuples and not found:
                found.append(bytes(result.get_value(0, 0) or b""))

        self._results(lambda: self._connection.send_query(sql.encode()), take, MOST_RESULTS, deadline)
        if not found:
            raise EvidenceProblem(Problem("protocol", f"{self.where}: the server answered without an answer"))
        return found[0]

    def run(self, sql: str, deadline: Deadline) -> None:
        """Runs statements whose results nobody needs, in one round trip; raises as `open` does."""
        self._results(lambda: self._connection.send_query(sql.encode()), lambda result: None, MOST_RESULTS, deadline)

    def rows(self, sql: str, values: Sequence[str | None], deadline: Deadline, most_rows: int) -> Table:
        """All rows of one statement; the server refuses several in one. Raises as `open` does.

        values: for $1, $2, … in PostgreSQL's text form.
        """
        self._read = 0
        rows: list[tuple[str | None, ...]] = []
        types: list[int] = []

        def take(result: Any) -> None:
            columns = range(result.nfields)
            types[:] = types or [result.ftype(column) for column in columns]
            for row in range(result.ntuples):
                if len(rows) == most_rows:
                    what = f"{self.where}: more than {most_rows} rows came"
                    raise EvidenceProblem(Problem("too-large", what))
                rows.append(tuple(_text(result.get_value(row, column)) for column in columns))

        encoded = [None if value is None else value.encode() for value in values]
        self._results(
            lambda: self._connection.send_query_params(sql.encode(), encoded), take, most_rows + MOST_RESULTS, deadline
        )
        return Table(tuple(types), tuple(rows))

    def _results(
        self, send: Callable[[], None], take: Callable[[Any], None], most_results: int, deadline: Deadline
    ) -> None:
        """Sends, and hands over each result that is no error; raises the first error at the end."""
        import psycopg
        from psycopg import pq

        connection = self._connection
        refused: ServerError | None = None
        try:
            with socket.socket(fileno=os.dup(connection.socket)) as double, deadline.guard(double):
                send()
                connection.set_single_row_mode()
                for _ in range(most_results):
                    self._until_result(deadline)
                    result = connection.get_result()
                    if result is None:
                        break
                    if result.status == pq.ExecStatus.FATAL_ERROR:
                        refused = refused or _server_error(result)
                    else:
                        take(result)
                else:
                    raise ServerError(f"more than {most_results} results came")
        except psycopg.Error as error:  # libpq gives up: the connection broke, or what came is no PostgreSQL
            raise refused or ServerError(str(error)) from None
        if refused is not None:
            raise refused

    def close(self) -> None:
        """Ends the connection; may be called twice."""
        if self._connection is not None:
            self._connection.finish()

    def _until_result(self, deadline: Deadline) -> None:
        connection = self._connection
        while connection.flush():
            self._wait(select.POLLIN | select.POLLOUT, deadline)
            connection.consume_input()
        while connection.is_busy():
            self._wait(select.POLLIN, deadline)
            connection.consume_input()

    def _wait(self, events: int, deadline: Deadline) -> None:
        """Waits for the socket, and counts what is about to be read from it."""
        handle = self._connection.socket
        poll = select.poll()
        poll.register(handle, events)
        if not poll.poll(deadline.seconds_left() * 1000):
            deadline.seconds_left()
        waiting = fcntl.ioctl(handle, termios.FIONREAD, b"\0" * 4)
        self._read += struct.unpack("i", waiting)[0]
        if self._read > self._most:
            what = f"{self.where}: more than {self._most // 1024} kB received, a small answer was expected"
            raise EvidenceProblem(Problem("too-large", what, "is this PostgreSQL's port?"))


def _server_error(result: Any) -> ServerError:
    from psycopg.pq import DiagnosticField

    def field_text(field: Any) -> str:
        return (result.error_field(field) or b"").decode(errors="replace")

    state, said = field_text(DiagnosticField.SQLSTATE), field_text(DiagnosticField.MESSAGE_PRIMARY)
    if not state:
        return ServerError(said or result.error_message.decode(errors="replace"))
    return ServerError(words(state, said, field_text(DiagnosticField.SOURCE_FUNCTION)), state)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
