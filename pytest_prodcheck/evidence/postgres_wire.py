"""One question to a PostgreSQL server over libpq, bounded in time and size whatever the server does.

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
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.postgres_problems import ServerError
from pytest_prodcheck.evidence.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

MOST_BYTES = 1024 * 1024  # read of one server; the facts are under 1 kB
MOST_RESULTS = 16


class Wire:
    """A connection. where: the server's name for messages. Close it with `close`."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._read = 0
        self._connection: Any = None

    def open(self, parameters: Mapping[str, str], deadline: Deadline) -> None:
        """Connects and logs in; raises ServerError with what libpq says, EvidenceProblem at the deadline."""
        from psycopg import pq
        from psycopg.conninfo import make_conninfo

        self._connection = connection = pq.PGconn.connect_start(make_conninfo("", **parameters).encode())
        while connection.status != pq.ConnStatus.BAD:
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
        import psycopg
        from psycopg import pq

        connection = self._connection
        found: Any = None
        refused: ServerError | None = None
        try:
            with socket.socket(fileno=os.dup(connection.socket)) as double, deadline.guard(double):
                connection.send_query(sql.encode())
                connection.set_single_row_mode()
                for _ in range(MOST_RESULTS):
                    self._until_result(deadline)
                    result = connection.get_result()
                    if result is None:
                        break
                    if result.status == pq.ExecStatus.FATAL_ERROR:
                        refused = refused or _server_error(result)
                    elif result.ntuples and found is None:
                        found = result.get_value(0, 0)
        except psycopg.Error as error:  # libpq gives up: the connection broke, or what came is no PostgreSQL
            raise refused or ServerError(str(error)) from None
        if refused is not None:
            raise refused
        if found is None:
            raise EvidenceProblem(Problem("protocol", f"{self.where}: the server answered without an answer"))
        return bytes(found)

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
        if self._read > MOST_BYTES:
            what = f"{self.where}: more than {MOST_BYTES // 1024} kB came where less than 1 kB was asked for"
            raise EvidenceProblem(Problem("too-large", what, "is this PostgreSQL's port?"))


def _server_error(result: Any) -> ServerError:
    from psycopg.pq import DiagnosticField

    state = result.error_field(DiagnosticField.SQLSTATE) or b""
    said = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or result.error_message
    return ServerError(said.decode(errors="replace"), state.decode(errors="replace"))
