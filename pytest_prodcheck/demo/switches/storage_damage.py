"""Damage below the SQL: flipped bytes, indexes that lack rows, checksums off, transaction ids used up, a slow link."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_prodcheck.demo.postgres import heap_page
from pytest_prodcheck.demo.postgres.node import Node
from pytest_prodcheck.demo.runtime.waiting import until
from pytest_prodcheck.demo.switches.postgres import Statement

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

Act = Callable[["System"], None]
BURN = 160_000  # transactions; 1.6 times the lowest autovacuum_freeze_max_age that there is
STREAM = 12 * 1024 * 1024  # bytes written to Redis that do not reach the replica


def flip(node: Node, path: str, page: int = 0) -> None:
    """Flips one bit of a page; the same again repairs it. path: below the data folder."""
    heap_page.flip(node.data / path, page * heap_page.PAGE + heap_page.PAGE - 60)


def failed_index(system: System) -> None:
    """CREATE INDEX CONCURRENTLY that fails on equal rows, and leaves an invalid index behind."""
    import psycopg

    with suppress(psycopg.errors.UniqueViolation):
        system.postgres.primary.ask("create unique index concurrently notes_twice on notes ((1))")


def _damaged_on_standby(name: str, page: int, read: str) -> tuple[Act, Act]:
    """A bit flipped in a file of the standby. read: what then meets it, "" for nobody."""

    def path_of(system: System) -> str:
        return str(system.postgres.standby.ask(f"select pg_relation_filepath('{name}')"))

    def on(system: System) -> None:
        path = path_of(system)
        system.postgres.change_standby(lambda node: flip(node, path, page))
        if read:
            _read_damage(system.postgres.standby, read)

    def off(system: System) -> None:
        path = path_of(system)
        system.postgres.change_standby(lambda node: flip(node, path, page))
        system.postgres.standby.ask("select pg_stat_reset()")

    return on, off


def _read_damage(node: Node, sql: str, database: str = "shop") -> None:
    """Reads the damage, as a user's query would."""
    import psycopg

    with suppress(psycopg.Error):
        node.ask(sql, database=database)
    counted = "select sum(checksum_failures) from pg_stat_database"
    until(lambda: node.ask(counted), f"PostgreSQL {node.name} counts the failed page")


def _damage_scratch(system: System) -> None:
    """A page of another database is damaged on the primary; its files were copied, so no buffer has them."""
    primary = system.postgres.primary
    strategy = " strategy file_copy" if primary.ask("show server_version_num") >= "150000" else ""
    primary.ask(f"create database scratch{strategy}")
    path = primary.ask("select pg_relation_filepath('pg_description')", database="scratch")
    flip(primary, path, 3)
    _read_damage(primary, "select count(description) from pg_description", "scratch")


def _drop_scratch(system: System) -> None:
    system.postgres.primary.ask("drop database scratch")


def _rows_missing_in_index(system: System) -> None:
    """An index on a function that is changed later: rows are not where the index looks for them."""
    system.postgres.primary.ask(
        "create function plainly(text) returns text immutable language sql as 'select $1'; "
        "create index notes_plainly on notes (plainly(text)); "
        "create or replace function plainly(text) returns text immutable language sql as 'select reverse($1)'"
    )


def _not_lacking(system: System) -> None:
    system.postgres.primary.ask("drop index notes_plainly; drop function plainly(text)")


def _checksums(mode: str) -> Act:
    def work(system: System) -> Callable[[Node], None]:
        cluster = system.postgres

        def change(node: Node) -> None:
            cluster.spawner.run(
                [cluster.programs / "pg_checksums", f"--{mode}", "--no-sync", "-D", node.data],
                system.place / "checksums.log",
            )

        return change

    return lambda system: system.postgres.change_standby(work(system))


class TransactionIdAge:
    """Transaction ids are used up while a report on the standby holds vacuum back."""

    def __init__(self) -> None:
        self._report = Statement("select pg_sleep(86400), count(*) from notes", standby=True)

    def _restart(self, system: System, age: str | None) -> None:
        """A restart of the primary with another autovacuum_freeze_max_age."""
        cluster = system.postgres
        if age is None:
            cluster.primary.settings.pop("autovacuum_freeze_max_age", None)
        else:
            cluster.primary.settings["autovacuum_freeze_max_age"] = age
        cluster.primary.stop()
        cluster.primary.start()
        cluster.lead_writer_to(cluster.primary)
        cluster.follow()

    def on(self, system: System) -> None:
        """Burns as many ids as make the age noticeable with the lowest limit that the server takes."""
        primary = system.postgres.primary
        self._restart(system, "100000")
        self._report.on(system)
        held = "select count(backend_xmin) from pg_stat_replication"
        until(lambda: primary.ask(held), "the report holds vacuum back")
        primary.ask(f"do $$ begin for i in 1..{BURN} loop perform pg_current_xact_id(); commit; end loop; end $$")

    def off(self, system: System) -> None:
        """Ends the report; with the usual limit the age is no trouble."""
        self._report.off(system)
        self._restart(system, None)


class StalledReplication:
    """A link between Redis' primary and replica that stays up and passes nothing on."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._open = threading.Event()

    def on(self, system: System) -> None:
        """Leads the replica through us, stops passing on, and writes to the primary."""
        group = system.redis
        listening = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(listening)
        self._open.set()
        port = group.primary.port
        threading.Thread(target=self._serve, args=(listening, port), daemon=True).start()
        group.replica.do("REPLICAOF", "127.0.0.1", listening.getsockname()[1])
        group.wait_for_link()
        self._open.clear()
        group.primary.do("SET", "stream", "x" * STREAM)

    def off(self, system: System) -> None:
        """Leads it back."""
        group = system.redis
        self._open.set()
        group.primary.do("DEL", "stream")
        group.replica.do("REPLICAOF", "NO", "ONE")
        group.replica.do("REPLICAOF", "127.0.0.1", group.primary.port)
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._sockets.clear()
        group.wait_for_link()

    def _serve(self, listening: socket.socket, port: int) -> None:
        with suppress(OSError):
            while True:
                replica, _ = listening.accept()
                primary = socket.create_connection(("127.0.0.1", port))
                self._sockets += [replica, primary]
                threading.Thread(target=self._pass, args=(replica, primary), daemon=True).start()
                threading.Thread(target=self._pass, args=(primary, replica, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, stalls: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if stalls:
                    self._open.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


_USED_UP, _STALLED = TransactionIdAge(), StalledReplication()
ACTS: dict[str, tuple[Act, Act]] = {
    "page-damaged": (_damage_scratch, _drop_scratch),
    "standby-page-damaged": _damaged_on_standby("notes", 0, "select count(text) from notes"),
    "standby-index-damaged": _damaged_on_standby("notes_text", 1, ""),
    "index-lacks-rows": (_rows_missing_in_index, _not_lacking),
    "checksums-off": (_checksums("disable"), _checksums("enable")),
    "transaction-ids-used": (_USED_UP.on, _USED_UP.off),
    "redis-replica-behind": (_STALLED.on, _STALLED.off),
}
