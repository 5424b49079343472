"""Faults and benign events of replication, by real means."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.demo.postgres import heap_page
from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.runtime.waiting import until
from pytest_prodcheck.demo.switches.background_activity import Background
from pytest_prodcheck.demo.switches.backups import finish_segments

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

Act = Callable[["System"], None]
_MESSAGE = "select pg_logical_emit_message(false, 'demo', repeat('x', %s))"
_AGE = "select extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())"


def _pause(system: System) -> None:
    system.postgres.standby.ask("select pg_wal_replay_pause()")
    until(
        lambda: system.postgres.standby.ask("select pg_get_wal_replay_pause_state()") == "paused", "replay is paused"
    )


def _resume(system: System) -> None:
    system.postgres.standby.ask("select pg_wal_replay_resume()")
    system.postgres.wait_for_replay()


def _slot(name: str) -> Callable[[Cluster], None]:
    return lambda cluster: cluster.primary.ask("select pg_create_physical_replication_slot(%s, true)", name) and None


def _slot_lost(system: System) -> None:
    """A slot whose WAL was removed, for it kept more than max_slot_wal_keep_size."""
    cluster = system.postgres
    cluster.primary.configure(max_slot_wal_keep_size="1MB", wal_keep_size="0")
    _slot("lost")(cluster)
    finish_segments(cluster, 3)
    cluster.primary.ask("checkpoint")
    lost = "select wal_status = 'lost' from pg_replication_slots where slot_name = 'lost'"
    until(lambda: cluster.primary.ask(lost), "the slot is lost")


def _slot_found(system: System) -> None:
    _drop_slot(system, "lost")
    system.postgres.primary.configure(max_slot_wal_keep_size=None, wal_keep_size="128MB")


def _drop_slot(system: System, name: str) -> None:
    sql = "select count(pg_drop_replication_slot(slot_name)) from pg_replication_slots where slot_name = %s"
    system.postgres.primary.ask(sql, name)


def _unused_slot(segments: int) -> tuple[Act, Act]:
    """A slot that nobody uses, and so many WAL files since."""

    def on(system: System) -> None:
        _slot("forgotten")(system.postgres)
        finish_segments(system.postgres, segments)

    return on, lambda system: _drop_slot(system, "forgotten")


def _unknown_primary(system: System) -> None:
    """The standby looks for its primary where nobody listens."""
    standby = system.postgres.standby
    standby.configure(primary_conninfo="host=127.0.0.1 port=9 user=replicator")
    until(lambda: not standby.ask("select count(*) from pg_stat_wal_receiver"), "the standby loses its primary")


def _follow(system: System) -> None:
    system.postgres.follow()
    system.postgres.wait_for_replay()


def _delayed(system: System) -> None:
    """The standby holds transactions back, and one waits for two seconds by now."""
    cluster = system.postgres
    touch = "update customers set since = since where name = 'customer'"
    cluster.primary.ask(touch)
    cluster.wait_for_replay()
    cluster.standby.configure(recovery_min_apply_delay="1h")
    cluster.primary.ask(touch)
    received = "select pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
    until(lambda: cluster.standby.ask(received), "the standby holds a transaction back")
    until(lambda: cluster.standby.ask(_AGE) > 2.1, "the last replayed transaction is two seconds old")


def _without_delay(system: System) -> None:
    system.postgres.standby.configure(recovery_min_apply_delay=None)
    system.postgres.wait_for_replay()


class HaltedReplay:
    """Replay stands still, its process stopped, while much is written."""

    def __init__(self) -> None:
        self._pid = 0

    def on(self, system: System) -> None:
        """Stops the process that replays, then writes 24 MB."""
        cluster = system.postgres
        sql = "select pid from pg_stat_activity where backend_type = 'startup'"
        self._pid = int(cluster.standby.ask(sql))
        os.kill(self._pid, signal.SIGSTOP)
        for _ in range(24):
            cluster.primary.ask(_MESSAGE, 1_000_000)

    def off(self, system: System) -> None:
        """Lets it go on."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)
        system.postgres.wait_for_replay()


def _synchronous(names: str | None) -> Act:
    return lambda system: system.postgres.primary.configure(synchronous_standby_names=names)


def _row_changed(system: System) -> None:
    """A row of the standby is another, its page's checksum right: what a lost write or a bug of replay leaves."""
    cluster = system.postgres
    path = str(cluster.primary.ask("select pg_relation_filepath('payments')"))
    cluster.change_standby(lambda node: heap_page.change(node.data / path, b"test-visa", b"test-vasa"))


def _row_missing(system: System) -> None:
    """The standby does not have a row: its line pointer says that it is dead."""
    cluster = system.postgres
    path = str(cluster.primary.ask("select pg_relation_filepath('payments')"))
    cluster.change_standby(lambda node: heap_page.kill_row(node.data / path, 0))


def _rebuild(system: System) -> None:
    cluster = system.postgres
    cluster.standby.settings["archive_command"] = cluster.primary.settings["archive_command"]
    cluster.standby.rebuild(cluster.primary, cluster.conninfo)
    cluster.wait_for_streaming()


def _promoted_copy(system: System) -> None:
    """The standby was promoted, and somebody has changed an order on it."""
    standby = system.postgres.standby
    standby.configure(archive_command="true")  # its own history must not get into the archive
    standby.ask("select pg_promote(true, 10)")
    standby.ask("update orders set total = total + 1 where id = 2")


def _restart(system: System) -> None:
    cluster = system.postgres
    cluster.standby.stop()
    cluster.standby.start(cluster.primary, cluster.conninfo)


def _nothing(system: System) -> None:
    system.postgres.wait_for_streaming()


def _write(system: System, end: threading.Event) -> None:
    """Rows are written, one of them again and again."""
    import psycopg

    with suppress(psycopg.Error), system.postgres.primary.connect() as connection:
        connection.execute("set synchronous_commit = off")
        count = 0
        while not end.wait(0.02):
            count += 1
            connection.execute("insert into customers values ('burst-' || clock_timestamp())")
            if count % 50 == 0:  # more would be dead rows, which nobody clears away as quickly
                connection.execute("update customers set since = since where name = 'customer'")


def _end_of_burst(system: System) -> None:
    _BURST.off(system)
    system.postgres.wait_for_replay()


class RecoveryConflict:
    """Replay cancels what stands in its way: a table is vacuumed while it is read on the standby."""

    def on(self, system: System) -> None:
        """Has one query cancelled, so that the statistics know of it."""
        import psycopg

        cluster = system.postgres
        cluster.standby.configure(max_standby_streaming_delay="0", hot_standby_feedback="off")
        reader: Any = cluster.standby.connect()
        reader.execute("begin isolation level repeatable read")
        reader.execute("select count(*) from customers")
        cluster.primary.ask("update customers set since = since")
        cluster.primary.ask("vacuum (freeze) customers")
        with suppress(psycopg.Error):
            for _ in range(100):
                reader.execute("select 1")
                time.sleep(0.02)
        reader.close()

    def off(self, system: System) -> None:
        """Replay waits again."""
        system.postgres.standby.configure(max_standby_streaming_delay=None, hot_standby_feedback="on")
        system.postgres.wait_for_replay()


_HALTED, _BURST, _CONFLICT = HaltedReplay(), Background(_write), RecoveryConflict()

ACTS: dict[str, tuple[Act, Act]] = {
    "replay-paused": (_pause, _resume),
    "replay-delayed": (_delayed, _without_delay),
    "replay-halted": (_HALTED.on, _HALTED.off),
    "slot-lost": (_slot_lost, _slot_found),
    "slot-forgotten": _unused_slot(18),
    "standby-astray": (_unknown_primary, _follow),
    "synchronous-missing": (_synchronous("ghost"), _synchronous(None)),
    "standby-row-changed": (_row_changed, _rebuild),
    "standby-row-missing": (_row_missing, _rebuild),
    "copy-promoted": (_promoted_copy, _rebuild),
    "slot-resting": _unused_slot(2),
    "standby-restarted": (_restart, _nothing),
    "writes-all-the-time": (_BURST.on, _end_of_burst),
    "query-cancelled": (_CONFLICT.on, _CONFLICT.off),
}
