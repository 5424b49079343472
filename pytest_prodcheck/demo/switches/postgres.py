"""Faults and benign events of PostgreSQL, by real means."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.runtime.processes import end
from pytest_prodcheck.demo.runtime.waiting import until

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

Act = Callable[["System"], None]
USABLE = 100  # connections: max_connections less those for superusers
CLIENTS = "select count(*) from pg_stat_activity where backend_type = 'client backend'"


def _primary_down(system: System) -> None:
    cluster = system.postgres
    cluster.primary.entrance.set_mode("down")
    cluster.writer.set_mode("down")
    cluster.primary.stop()


def _primary_up(system: System) -> None:
    cluster = system.postgres
    cluster.primary.start()
    cluster.primary.entrance.set_mode("serve")
    cluster.lead_writer_to(cluster.primary)
    cluster.writer.set_mode("serve")
    cluster.follow()


def _read_only(value: str | None) -> Act:
    return lambda system: system.postgres.primary.configure(default_transaction_read_only=value)


def _promote(system: System) -> None:
    standby = system.postgres.standby
    standby.configure(archive_command="true")  # its own history must not get into the archive
    standby.ask("select pg_promote(true, 10)")


def _rebuild(system: System) -> None:
    cluster = system.postgres
    cluster.standby.settings["archive_command"] = cluster.primary.settings["archive_command"]
    cluster.standby.rebuild(cluster.primary, cluster.conninfo)
    cluster.wait_for_streaming()


def _standby_down(system: System) -> None:
    system.postgres.standby.entrance.set_mode("down")
    system.postgres.standby.stop()


def _standby_up(system: System) -> None:
    cluster = system.postgres
    cluster.standby.start(cluster.primary, cluster.conninfo)
    cluster.standby.entrance.set_mode("serve")
    cluster.wait_for_streaming()


def _set_password(cluster: Cluster, password: str) -> None:
    from psycopg import sql

    with cluster.primary.connect() as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute(sql.SQL("alter role prodcheck password {}").format(sql.Literal(password)))
    if cluster.standby.running and cluster.standby.ask("select pg_is_in_recovery()"):
        cluster.wait_for_replay()


class ManySessions:
    """Idle sessions on the primary, up to a share of the usable connections."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._held: list[Any] = []

    def on(self, system: System) -> None:
        """Opens sessions until the share is reached."""
        import psycopg

        primary = system.postgres.primary
        wanted = int(USABLE * self._share) - primary.ask(CLIENTS) + 1  # the asking one is gone by then
        with suppress(psycopg.OperationalError):  # "sorry, too many clients already": then it is full
            for _ in range(wanted + (50 if self._share >= 1 else 0)):
                self._held.append(primary.connect(user="batch"))

    def off(self, system: System) -> None:
        """Closes them; returns when the server has noticed."""
        primary = system.postgres.primary
        before = len(self._held)
        for connection in self._held:
            connection.close()
        self._held.clear()
        mine = CLIENTS + " and usename = 'batch'"
        if before and primary.running:
            until(lambda: primary.ask(mine) == 0, "PostgreSQL's idle sessions end")


class Backup:
    """A base backup that takes for ever."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def on(self, system: System) -> None:
        """Starts it; returns when it copies."""
        cluster, target = system.postgres, system.postgres.folder / "running"
        options = cluster.primary.backup_options()
        self._child = cluster.spawner.spawn(
            [cluster.programs / "pg_basebackup", *options, "-D", target, "-c", "fast", "--max-rate=32"],
            system.place / "backup.log",
        )
        sql = "select count(*) from pg_stat_progress_basebackup where phase like 'streaming%'"
        until(lambda: cluster.primary.ask(sql), "the base backup starts")

    def off(self, system: System) -> None:
        """Ends it and removes what it copied."""
        end(self._child, signal.SIGTERM)
        system.postgres.primary.end_backups()
        shutil.rmtree(system.postgres.folder / "running", ignore_errors=True)


class Statement:
    """A statement that runs until its session is ended, on the node that `where` names."""

    def __init__(self, sql: str, standby: bool = False) -> None:
        self._sql, self._standby = sql, standby
        self._pid = 0
        self._thread: threading.Thread | None = None

    def on(self, system: System) -> None:
        """Starts it; returns when it is at work."""
        import psycopg

        node = system.postgres.standby if self._standby else system.postgres.primary
        connection = node.connect()
        self._pid = connection.info.backend_pid

        def run() -> None:
            with suppress(psycopg.Error), connection:
                connection.execute(self._sql)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        sql = "select count(*) from pg_stat_activity where pid = %s and state = 'active'"
        until(lambda: node.ask(sql, self._pid), "the statement starts")

    def off(self, system: System) -> None:
        """Ends its session."""
        node = system.postgres.standby if self._standby else system.postgres.primary
        node.ask("select pg_terminate_backend(%s)", self._pid)
        if self._thread:
            self._thread.join(5)


class IndexBuild(Statement):
    """CREATE INDEX CONCURRENTLY that waits for a transaction which has written to the table."""

    def __init__(self) -> None:
        super().__init__("create index concurrently orders_placed_at on orders (placed_at)")
        self._writer = Statement(
            "begin; update customers set since = since where name = 'customer'; "
            "lock table orders in row exclusive mode; select pg_sleep(86400)"
        )

    def on(self, system: System) -> None:
        """Starts a long transaction that writes, and the build that waits for it."""
        self._writer.on(system)
        held = "select count(*) from pg_locks where granted and relation = 'orders'::regclass and mode like 'RowExcl%'"
        until(lambda: system.postgres.primary.ask(held), "the writer has begun")
        super().on(system)
        sql = "select count(*) from pg_stat_progress_create_index"
        until(lambda: system.postgres.primary.ask(sql), "the index build starts")

    def off(self, system: System) -> None:
        """Ends both and drops what the build left."""
        super().off(system)
        self._writer.off(system)
        system.postgres.primary.ask("drop index if exists orders_placed_at")


def _on_and_off(thing: ManySessions | Backup | Statement) -> tuple[Act, Act]:
    return thing.on, thing.off


ACTS: dict[str, tuple[Act, Act]] = {
    "postgres-primary-down": (_primary_down, _primary_up),
    "postgres-read-only": (_read_only("on"), _read_only(None)),
    "postgres-two-primaries": (_promote, _rebuild),
    "postgres-writer-astray": (
        lambda system: system.postgres.lead_writer_to(system.postgres.standby),
        lambda system: system.postgres.lead_writer_to(system.postgres.primary),
    ),
    "postgres-standby-down": (_standby_down, _standby_up),
    "postgres-standby-hangs": (
        lambda system: system.postgres.standby.entrance.set_mode("hang"),
        lambda system: system.postgres.standby.entrance.set_mode("serve"),
    ),
    "postgres-connections-80": _on_and_off(ManySessions(0.80)),
    "postgres-connections-95": _on_and_off(ManySessions(0.95)),
    "postgres-connections-exhausted": _on_and_off(ManySessions(1.0)),
    "postgres-connections-50": _on_and_off(ManySessions(0.50)),
    "postgres-password-changed": (
        lambda system: _set_password(system.postgres, secrets.token_urlsafe(18)),
        lambda system: _set_password(system.postgres, system.known.postgres),
    ),
    "postgres-failed-over": (
        lambda system: system.postgres.switch_over(),
        lambda system: system.postgres.switch_over(),
    ),
    "postgres-backup-running": _on_and_off(Backup()),
    "postgres-index-building": _on_and_off(IndexBuild()),
    "postgres-long-query": _on_and_off(Statement("select pg_sleep(86400)", standby=True)),
}
