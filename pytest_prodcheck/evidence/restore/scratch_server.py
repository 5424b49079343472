"""A scratch server: reachable by its own socket alone, archiving nothing, connected to nobody."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.subprocesses import Done, end, run, start
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_prodcheck.evidence.deadlines import Deadline

PORT = 5499  # of the socket's file name; nothing listens on TCP
WORKERS = max(2, min(os.cpu_count() or 2, 8))  # that read a restored database at the same time
# what roles and databases are set to comes with a backup, and would end our statements
OPTIONS = "-c statement_timeout=0 -c lock_timeout=0 -c default_transaction_read_only=off"
LONGEST_SOCKET = 100  # bytes of a socket's path (sockaddr_un has 108 on Linux)
_TROUBLE = re.compile(r"(?:FATAL|PANIC|ERROR):  (.*)")
_STARTING = re.compile(r"the database system is (not (yet )?accepting connections|starting up|shutting down)")
_REDONE = re.compile(r"redo done at ([0-9A-F]+/[0-9A-F]+)")
_STOPPED = re.compile(r"recovery stopping (?:before|after) WAL location \(LSN\) \"([0-9A-F]+/[0-9A-F]+)\"")


class ScratchServer:
    """A server on `scratch`/data. Use it in a `with` statement: it is ended at its end, by the kernel where we die."""

    def __init__(self, scratch: Path, programs: Path, user: pwd.struct_passwd | None, superuser: str) -> None:
        self.scratch, self.data, self.programs = scratch, scratch / "data", programs
        self.user, self.superuser = user, superuser
        self.log = scratch / "server.log"
        self.sockets = scratch / "s"
        self._child: subprocess.Popen[bytes] | None = None
        if len(os.fsencode(self.sockets)) > LONGEST_SOCKET - len("/.s.PGSQL.5499"):
            what = f"{scratch}: too long for a socket's path"
            raise EvidenceProblem(Problem("configuration", what, "name a shorter one: backups.restore.folder"))

    def configure(self, settings: Mapping[str, str]) -> None:
        """Writes the files that the server is configured by; those of the backup are not read."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        own = {
            "data_directory": str(self.data), "hba_file": str(self.scratch / "hba.conf"),
            "ident_file": str(self.scratch / "ident.conf"), "listen_addresses": "",
            "unix_socket_directories": str(self.sockets), "unix_socket_permissions": "0700", "port": str(PORT),
            "archive_mode": "off", "max_wal_senders": "0", "max_logical_replication_workers": "0",
            "max_replication_slots": "0", "autovacuum": "off", "fsync": "off", "full_page_writes": "off",
            "synchronous_commit": "off", "max_wal_size": "4GB", "checkpoint_timeout": "1h", "hot_standby": "off",
            "logging_collector": "off", "log_destination": "stderr", "shared_preload_libraries": "",
            "session_preload_libraries": "", "ssl": "off", "huge_pages": "off", "shared_buffers": "64MB",
            "max_connections": "20", "lc_messages": "C", "log_min_messages": "info", "jit": "off",
            "recovery_target_action": "promote", "max_parallel_workers_per_gather": str(WORKERS),
        } | dict(settings)  # fmt: skip
        lines = "".join(f"{name} = '{_quoted(value)}'\n" for name, value in own.items())
        (self.scratch / "scratch.conf").write_text(lines)
        (self.scratch / "hba.conf").write_text("local all all trust\n")  # its socket's folder is closed to others
        (self.scratch / "ident.conf").write_text("")

    def prepared_transactions(self, deadline: Deadline) -> str:
        """max_prepared_transactions of the source: replaying more of them than that would end the server."""
        words = (str(self.programs / "pg_controldata"), "-D", str(self.data))
        found = re.search(r"max_prepared_xacts setting:\s+(\d+)", run(words, deadline, folder=self.scratch).output)
        return found[1] if found else "0"

    def __enter__(self) -> ScratchServer:
        """Starts the server."""
        settings = f"config_file={self.scratch / 'scratch.conf'}"
        words = (str(self.programs / "postgres"), "-D", str(self.data), "-c", settings)
        with self.log.open("wb") as log:
            self._child = start(
                words, folder=self.scratch, user=self.user, death=signal.SIGQUIT, output=log, errors=log
            )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it at once: nothing of it is needed any more."""
        if self._child is not None:
            end(self._child, signal.SIGQUIT)

    def wait(self, deadline: Deadline) -> str:
        """Waits until it takes writes, which it does only at its target; "" then, else why it ended instead."""
        import psycopg

        pause = 0.02
        while self._child is not None and self._child.poll() is None:
            try:
                with self.connect("template1") as connection:
                    self._refuse_another(connection)
                    if connection.execute("select pg_is_in_recovery()").fetchone()[0] is False:
                        return ""
            except psycopg.OperationalError as error:
                said = str(error)
                if not (_STARTING.search(said) or "No such file" in said or "refused" in said):
                    hint = "name a superuser of the cluster: backups.restore.user"
                    raise EvidenceProblem(Problem("denied", f"the scratch server: {plain(said)}", hint)) from None
            deadline.seconds_left()
            time.sleep(pause)
            pause = min(pause * 1.3, 0.25)
        return self.trouble()

    def fill(self, deadline: Deadline) -> str:
        """What is still to be loaded into the running server; "" where it went well, else why it did not."""
        return ""

    def _refuse_another(self, connection: Any) -> None:
        """That it is ours whom we talk to: its data folder, and its process."""
        where = connection.execute("select setting from pg_settings where name = 'data_directory'").fetchone()[0]
        first = (self.data / "postmaster.pid").read_text().split("\n", 1)[0]
        if Path(where).resolve() != self.data.resolve() or self._child is None or int(first) != self._child.pid:
            what = f"what answers on {self.sockets} is not the scratch server but one on {where}"
            raise EvidenceProblem(Problem("configuration", what, "nothing was restored"))

    def trouble(self) -> str:
        """What the log says of why it ended: its last fatal line."""
        found = [line for line in _TROUBLE.findall(self._said()) if not _STARTING.search(line)]
        return plain(found[-1]) if found else plain(self._said()[-300:]) or "it ended without a word"

    def replayed_to(self) -> str:
        """The position that replay ended at, "" where nothing was replayed."""
        said = self._said()
        found = _STOPPED.findall(said) or _REDONE.findall(said)
        return str(found[-1]) if found else ""

    def _said(self) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(self.log.stat().st_size - 256 * 1024, 0))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def connect(self, database: str) -> Any:
        """A psycopg connection in autocommit."""
        import psycopg

        return psycopg.connect(
            host=str(self.sockets), port=PORT, dbname=database, user=self.superuser, autocommit=True,
            connect_timeout=10, application_name="prodcheck", client_encoding="UTF8", options=OPTIONS,
        )  # fmt: skip

    def tool(self, deadline: Deadline, name: str, *arguments: str, discard: bool = False) -> Done:
        """Runs one of PostgreSQL's programs against this server."""
        words = (str(self.programs / name), "-h", str(self.sockets), "-p", str(PORT), "-U", self.superuser, *arguments)
        return run(words, deadline, folder=self.scratch, environ={"PGOPTIONS": OPTIONS}, discard=discard)


def _quoted(value: str) -> str:
    return re.sub(r"(['\\])", r"\1\1", value)
