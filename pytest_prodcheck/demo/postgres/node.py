"""One PostgreSQL server of the demo."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.network.balancer import LoadBalancer, bound
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.runtime.processes import Spawner, end, tail
from pytest_prodcheck.demo.runtime.waiting import until

SETTINGS = "prodcheck.conf"  # included by postgresql.conf, written by us before each start and reload


class Node:
    """A data folder, the server on it, and the entrance by which the world reaches it."""

    def __init__(self, name: str, folder: Path, programs: Path, spawner: Spawner, entrance: LoadBalancer) -> None:
        self.name = name
        self.data = folder / name
        self.entrance = entrance
        self.settings: dict[str, str] = {}  # the caller's own
        self.port = 0
        self._folder, self._programs, self._spawner = folder, programs, spawner
        self._log = folder.parent / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._child is not None and self._child.poll() is None

    def write(self, name: str, text: str) -> None:
        """Writes a file into the data folder, for the server's user only."""
        path = self.data / name
        path.write_text(text)
        self._spawner.own(path)

    def _write_settings(self) -> None:
        own = {"port": str(self.port), "cluster_name": self.name, "unix_socket_directories": str(self._folder)}
        lines = (f"{name} = '{_quoted(value)}'\n" for name, value in (own | self.settings).items())
        self.write(SETTINGS, "".join(lines))

    def start(self, standby_of: Node | None = None, conninfo: str = "") -> None:
        """Starts the server and waits until it answers; as a standby where a primary is given."""
        signal_file = self.data / "standby.signal"
        if standby_of:
            self.write(signal_file.name, "")
            self.settings["primary_conninfo"] = f"{conninfo} port={standby_of.port} application_name={self.name}"
        else:
            signal_file.unlink(missing_ok=True)
            self.settings.pop("primary_conninfo", None)
        for _ in range(3):  # between our choice and the server's start another program may take the port
            if not self.port:
                with closing(bound("127.0.0.1")) as sock:
                    self.port = sock.getsockname()[1]
            self._write_settings()
            self._child = self._spawner.spawn(
                [self._programs / "postgres", "-D", self.data], self._log, death=signal.SIGQUIT
            )
            if self._answers(10):
                self.entrance.targets = [("127.0.0.1", self.port)]
                return
            if self.running:
                end(self._child, signal.SIGQUIT)
            self.port = 0
        raise DemoError(f"PostgreSQL {self.name} does not start: {tail(self._log)}")

    def _answers(self, seconds: float) -> bool:
        import psycopg

        end_at = time.monotonic() + seconds
        while self.running and time.monotonic() < end_at:
            try:
                self.connect("postgres").close()
            except psycopg.Error:
                time.sleep(0.02)
            else:
                return True
        return False

    def connect(self, database: str = "shop", user: str = "postgres") -> Any:
        """A psycopg connection over the unix socket, in autocommit."""
        import psycopg

        return psycopg.connect(
            host=str(self._folder), port=self.port, dbname=database, user=user, autocommit=True, connect_timeout=5
        )

    def ask(self, sql: str, *values: object, database: str = "shop") -> Any:
        """The first value that a statement returns, None where it returns nothing."""
        with self.connect(database) as connection:
            cursor = connection.execute(sql, values or None)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def configure(self, **settings: str | None) -> None:
        """Changes reloadable settings (None: back to the default) and waits until new sessions have them."""
        for name, value in settings.items():
            if value is None:
                self.settings.pop(name, None)
            else:
                self.settings[name] = value
        before = self.ask("select pg_conf_load_time()")
        self._write_settings()
        self.ask("select pg_reload_conf()")
        until(lambda: self.ask("select pg_conf_load_time()") != before, f"PostgreSQL {self.name} reloads")

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stops the server: SIGINT for a clean end (all is sent to standbys), SIGQUIT at once."""
        end(self._child, number)
        self._child = None

    def rebuild(self, source: Node, conninfo: str) -> None:
        """Makes this node a standby of another one, from a new base backup."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.data, ignore_errors=True)
        source.backup(self.data)
        self.start(source, conninfo)

    def backup(self, target: Path) -> None:
        """Takes a base backup with the WAL it needs."""
        self._spawner.run(
            [self._programs / "pg_basebackup", *self.backup_options(), "-D", target, "-X", "fetch", "-c", "fast"],
            self._log,
        )

    def end_backups(self) -> None:
        """Ends the senders of base backups: a throttled one would notice only with the next bytes it sends."""
        self.ask("select count(pg_terminate_backend(pid)) from pg_stat_progress_basebackup")
        until(lambda: not self.ask("select count(*) from pg_stat_progress_basebackup"), "the base backup ends")

    def backup_options(self) -> list[str | Path]:
        """What pg_basebackup needs to reach this node."""
        return ["-h", self._folder, "-p", str(self.port), "-U", "postgres", "--no-sync", "--no-password"]


def _quoted(value: str) -> str:
    return re.sub(r"(['\\])", r"\1\1", value)
