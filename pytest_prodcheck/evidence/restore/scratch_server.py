"""A scratch server: shut in, reachable by its own socket alone, archiving nothing, connected to nobody."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.postgres.libpq_environment import hidden
from pytest_prodcheck.evidence.postgres.programs import library_path, needed_by
from pytest_prodcheck.evidence.postgres.safe_sql import PATH
from pytest_prodcheck.evidence.postgres.server_text import shown
from pytest_prodcheck.evidence.restore.disk_space import refuse_exhaustion
from pytest_prodcheck.evidence.restore.source_files import give_to, private_file, share_with
from pytest_prodcheck.evidence.tools import program_errors
from pytest_prodcheck.evidence.tools.confinement import Sandbox
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.subprocesses import CompletedProgram, end
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_prodcheck.evidence.deadlines import Deadline

PORT = 5499  # of the socket's file name; nothing listens on TCP
WORKERS = max(2, min(os.cpu_count() or 2, 8))  # that read a restored database at the same time
# what roles and databases are set to comes with a backup: it would end our statements, or have them call what it holds
_OPTIONS = ("statement_timeout=0", "lock_timeout=0", "default_transaction_read_only=off", "role=none",
            "zero_damaged_pages=off", "ignore_checksum_failure=off", "session_preload_libraries=",
            "local_preload_libraries=", "log_statement=none", "log_min_duration_statement=-1",
            "log_min_error_statement=panic", "session_replication_role=replica", PATH.replace(" ", ""))  # fmt: skip
LONGEST_SOCKET = 100  # bytes of a socket's path (sockaddr_un has 108 on Linux)
_OWN, _PREFIX = re.compile(r"\w{5}\|[A-Z]"), re.compile(r"^\w{5}\|[A-Z0-9]+: +")  # by our log_line_prefix
_LINE = re.compile(r"^(\w{5})\|(FATAL|PANIC|ERROR):  (.*)$", re.MULTILINE)
_KILLED = "was terminated by signal 9"
_READY = "database system is ready to accept connections"
_REDONE = re.compile(r"redo done at ([0-9A-F]+/[0-9A-F]+)")
_STOPPED = re.compile(r"recovery stopping (?:before|after) WAL location \(LSN\) \"([0-9A-F]+/[0-9A-F]+)\"")
_SHELL = ("sh", "cp")  # all that `restore_command` needs; both go before anybody is let in


class ScratchServer:
    """A server on `scratch`/data. Use it in a `with` statement: it is ended at its end, by the kernel where we die."""

    def __init__(self, scratch: Path, programs: Path, major: int, superuser: str, unconfined: bool) -> None:
        self.scratch, self.data, self.programs = scratch, scratch / "data", programs
        self.superuser, self.password, self.major = superuser, "", major
        self.log, self.sockets = scratch / "server.log", scratch / "s"
        self.files, self.shell = scratch / "conf", scratch / "bin"
        self._name = f"prodcheck-{secrets.token_hex(8)}"
        self._child: subprocess.Popen[bytes] | None = None
        if len(os.fsencode(self.sockets)) > LONGEST_SOCKET - len("/.s.PGSQL.5499"):
            what = f"{scratch}: too long for a socket's path"
            raise EvidenceProblem(Problem("configuration", what, "name a shorter one: backups.restore.folder"))
        for each in (self.files, self.shell, scratch / "wal"):
            each.mkdir(mode=0o700)
        for each in (self.sockets, scratch / "tablespaces", self.data):
            each.mkdir(mode=0o700, exist_ok=True)
        self.place = self._place(unconfined)
        for each in (self.files, self.shell, scratch / "wal"):
            share_with(each, self.place.user)

    def _place(self, unconfined: bool) -> Sandbox:
        from dataclasses import replace

        from pytest_prodcheck.evidence.tools.confinement import sandbox

        names = ("postgres", "initdb", "pg_restore", "pg_amcheck", "pg_controldata")
        readable = (self.files, self.scratch / "wal", *needed_by(self.programs, names))
        writable = (self.data, self.sockets, self.scratch / "tablespaces")
        return replace(
            sandbox(self.files, unconfined), readable=readable, writable=writable,
            seen={self.shell: Path("/bin")}, variables=library_path(self.programs),
        )  # fmt: skip

    def bring_shell(self) -> None:
        """A shell and `cp`, for `restore_command`: nobody else runs them, for they go before anybody is let in."""
        for name in _SHELL:
            program = shutil.which(name, path="/bin:/usr/bin")
            if program is None:
                raise EvidenceProblem(Problem("configuration", f"there is no {name} in /bin"))
            shutil.copyfile(os.path.realpath(program), self.shell / name)
            (self.shell / name).chmod(0o700)

    def configure(self, settings: Mapping[str, str]) -> None:
        """Writes the files that the server is configured by; those of the backup are not read."""
        first = {
            "max_wal_senders": "0", "max_logical_replication_workers": "0", "max_replication_slots": "0",
            "autovacuum": "off", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
            "max_wal_size": "4GB", "checkpoint_timeout": "1h", "hot_standby": "off", "shared_preload_libraries": "",
            "huge_pages": "off", "shared_buffers": "64MB", "max_connections": "20", "jit": "off",
            "recovery_target_action": "promote", "max_parallel_workers_per_gather": str(WORKERS),
        }  # fmt: skip
        last = {
            "data_directory": str(self.data), "hba_file": str(self.files / "hba.conf"),
            "ident_file": str(self.files / "ident.conf"), "listen_addresses": "", "cluster_name": self._name,
            "unix_socket_directories": str(self.sockets), "unix_socket_permissions": "0700", "port": str(PORT),
            "archive_mode": "off", "ssl": "off", "session_preload_libraries": "", "local_preload_libraries": "",
            "logging_collector": "off", "log_destination": "stderr", "lc_messages": "C", "log_min_messages": "info",
            "log_error_verbosity": "terse", "log_min_error_statement": "panic", "log_line_prefix": "%e|",
        } | ({"event_triggers": "off"} if self.major >= 17 else {})  # fmt: skip
        lines = "".join(f"{name} = '{_quoted(value)}'\n" for name, value in (first | dict(settings) | last).items())
        (self.files / "scratch.conf").write_text(lines)
        (self.files / "hba.conf").write_text(self.access())
        (self.files / "ident.conf").write_text("")
        self.share_files()
        for each in (self.data, self.sockets, self.scratch / "tablespaces"):
            give_to(each, self.place.user)

    def share_files(self) -> None:
        """Lets the server's user read its configuration and start what it is given."""
        for each in (self.files, self.shell, *self.files.iterdir()):
            share_with(each, self.place.user)
        for each in self.shell.iterdir():
            share_with(each, self.place.user)
            each.chmod(0o750 if self.place.user is not None else 0o700)

    def access(self) -> str:
        """Who may log in: its socket's folder is closed to everybody but the server's user and us."""
        return "local all all trust\n"

    def prepared_transactions(self, deadline: Deadline) -> str:
        """max_prepared_transactions of the source: replaying more of them than that would end the server."""
        give_to(self.data, self.place.user)
        done = self.place.run((str(self.programs / "pg_controldata"), "-D", str(self.data)), deadline)
        found = re.search(r"max_prepared_xacts setting:\s+(\d+)", done.output)
        if found is None:
            what = f"pg_controldata: {done.error_text}"
            raise EvidenceProblem(Problem("configuration", what, "is the backup whole?"))
        return found[1]

    def __enter__(self) -> ScratchServer:
        """Starts the server."""
        settings = f"config_file={self.files / 'scratch.conf'}"
        with private_file(self.log) as log:
            words = (str(self.programs / "postgres"), "-D", str(self.data), "-c", settings)
            self._child = self.place.start(words, log)
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it at once: nothing of it is needed any more."""
        self.stop()

    def stop(self) -> None:
        """Ends it where it runs."""
        if self._child is not None:
            end(self._child)

    def wait(self, deadline: Deadline) -> str:
        """Waits until it takes writes, which it does only at its target; "" then, else why it ended instead."""
        import psycopg

        pause = 0.02
        while self._child is not None and _READY not in self._log_tail():
            if self._child.poll() is not None:
                return self.trouble()
            deadline.seconds_left()
            time.sleep(pause)
            pause = min(pause * 1.3, 0.25)
        for each in self.shell.iterdir():
            each.unlink()  # from here on nothing in the place can start a program: COPY … PROGRAM finds no shell
        try:
            with self.connect("template1") as connection:
                self._refuse_another(connection)
        except psycopg.OperationalError as error:
            hint = "name a superuser of the cluster: backups.restore.user"
            raise EvidenceProblem(Problem("denied", f"the scratch server: {plain(str(error))}", hint)) from None
        return ""

    def fill(self, deadline: Deadline) -> str:
        """What is still to be loaded into the running server; "" where it went well, else why it did not."""
        return ""

    def _refuse_another(self, connection: Any) -> None:
        """That it is ours whom we talk to: its name is known to nobody else, and it takes writes."""
        asked = "select current_setting('data_directory'), current_setting('cluster_name'), pg_is_in_recovery()"
        where, name, recovering = connection.execute(asked).fetchone()
        if name != self._name or Path(where) != self.data or recovering:
            what = f"what answers on {self.sockets} is not the scratch server but one on {plain(str(where))}"
            raise EvidenceProblem(Problem("configuration", what, "nothing was restored"))

    def trouble(self) -> str:
        """What the log says of why it ended: its last fatal line, which is the server's own: nobody raises those.

        Raises EvidenceProblem for want of room or memory.
        """
        self.refuse_own_want()
        fatal = [f"{plain(text)} ({state})" for state, kind, text in _LINE.findall(self._log_tail()) if kind != "ERROR"]
        if fatal:
            return fatal[-1]
        found = [(state, text) for state, _, text in _LINE.findall(self._log_tail())]
        if found:
            return shown(*found[-1])
        lines = self._log_tail().splitlines()
        own = [line for line in lines if _OWN.match(line)] or lines  # what begins otherwise goes on with a row, maybe
        lines = program_errors.without_rows("\n".join(own))
        kept = [line for line in lines if not line.endswith(program_errors.REFUSED)]
        return plain("; ".join(_PREFIX.sub("", line) for line in kept[-3:]), 300) or "it ended without a word"

    def refuse_own_want(self) -> None:
        """Raises EvidenceProblem where it ended, or one of its processes, for want of room or memory here."""
        said = self._log_tail()
        for state, kind, text in _LINE.findall(said):
            if kind != "ERROR":
                refuse_exhaustion(state, plain(text))
        if _KILLED in said:
            refuse_exhaustion("53200", "one of its processes was killed, as where memory runs out")

    def replayed_to(self) -> str:
        """The position that replay ended at, "" where nothing was replayed."""
        said = self._log_tail()
        found = _STOPPED.findall(said) or _REDONE.findall(said)
        return str(found[-1]) if found else ""

    def _log_tail(self) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(self.log.stat().st_size - 256 * 1024, 0))
                if file.tell():
                    file.readline()  # a part of one, a row's maybe
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    @property
    def options(self) -> str:
        """What overrides the settings that a backup brings for its roles and databases."""
        more = ("event_triggers=off",) if self.major >= 17 else ()
        return " ".join(f"-c {each}" for each in (*_OPTIONS, *more))

    def connect(self, database: str, user: str = "") -> Any:
        """A psycopg connection in autocommit. user: another than the superuser, with nothing overridden."""
        import psycopg

        with hidden():
            return psycopg.connect(
                host=str(self.sockets), hostaddr="", port=PORT, dbname=database, user=user or self.superuser,
                autocommit=True, connect_timeout=10, application_name="prodcheck", client_encoding="UTF8",
                passfile=str(self.files / "none"), password=self.password or None,
                options=self.options if user in ("", self.superuser) else " ",
            )  # fmt: skip

    def tool(self, deadline: Deadline, name: str, *arguments: str) -> CompletedProgram:
        """Runs one of PostgreSQL's programs against this server, in its place."""
        words = (str(self.programs / name), "-h", str(self.sockets), "-p", str(PORT), "-U", self.superuser, *arguments)
        environ = {"PGOPTIONS": self.options, "PGPASSWORD": self.password, "PGPASSFILE": str(self.files / "none")}
        return self.place.run(words, deadline, environ)


def _quoted(value: str) -> str:
    return re.sub(r"(['\\])", r"\1\1", value)

