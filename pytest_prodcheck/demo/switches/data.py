"""Faults and benign events of the shop's data: migrations, schema, rows, sessions; by SQL and files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.demo.files import database_content
from pytest_prodcheck.demo.runtime.waiting import until
from pytest_prodcheck.demo.switches import storage_damage
from pytest_prodcheck.demo.switches.background_activity import Background
from pytest_prodcheck.demo.switches.postgres import Statement

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

Act = Callable[["System"], None]
Pair = tuple[Act, Act]
AGE = 0.5  # seconds; the demo warns of sessions that wait or hold on for that long
SAFE = """\
set lock_timeout = '1s';
set statement_timeout = '5s';
alter table orders add column if not exists note text;
"""
UNSAFE = "alter table orders alter column total type numeric;\ncreate index on orders (total);\n"


def execute_all(system: System, *statements: str) -> None:
    """Statements on the primary, one after the other."""
    with system.postgres.primary.connect() as connection:
        for statement in statements:
            connection.execute(statement)


def _sql(on: tuple[str, ...] | str, off: tuple[str, ...] | str) -> Pair:
    def words(given: tuple[str, ...] | str) -> tuple[str, ...]:
        return (given,) if isinstance(given, str) else given

    return lambda system: execute_all(system, *words(on)), lambda system: execute_all(system, *words(off))


def _script(name: str, text: str | None) -> Pair:
    """A script that is shipped with another text, beside the others, or (None) not at all."""

    def on(system: System) -> None:
        file = system.place / database_content.FOLDER / name
        if text is None:
            file.unlink()
        else:
            file.write_text(text)

    def off(system: System) -> None:
        file = system.place / database_content.FOLDER / name
        if name in database_content.SCRIPTS:
            file.write_text(database_content.SCRIPTS[name])
        else:
            file.unlink(missing_ok=True)

    return on, off


def _migration_row(script: str, text: str, success: bool) -> Pair:
    """A row in the migrations' table."""

    def on(system: System) -> None:
        with system.postgres.primary.connect() as connection:
            connection.execute(database_content.NOTE, database_content.row_of(9, script, text, success))

    return on, lambda system: execute_all(system, "delete from flyway_schema_history where installed_rank = 9")


def _both(first: Pair, second: Pair) -> Pair:
    def on(system: System) -> None:
        first[0](system)
        second[0](system)

    def off(system: System) -> None:
        second[1](system)
        first[1](system)

    return on, off


def _move_folder(there: bool) -> Act:
    def act(system: System) -> None:
        folder, away = system.place / database_content.FOLDER, system.place / "migrations-away"
        folder.rename(away) if there else away.rename(folder)

    return act


def _make_dead_rows(system: System) -> None:
    updates = ["update notes set text = text || '.'"] * 12
    execute_all(system, "alter table notes set (autovacuum_enabled = off)", *updates)


def _empty_and_fill(system: System) -> None:
    """Not by vacuum, which leaves rows that a report on the standby may still read.

    In two sessions, for one that inserts afterwards forgets to count what it truncated.
    """
    execute_all(system, "truncate notes")
    execute_all(system, database_content.NOTES, "alter table notes reset (autovacuum_enabled)")


class _OpenSession:
    """A session that does something and then stays as it is."""

    def __init__(self, *statements: str) -> None:
        self._statements = statements
        self._connection: Any = None

    def on(self, system: System) -> None:
        """Opens it."""
        self._connection = system.postgres.primary.connect()
        for statement in self._statements:
            self._connection.execute(statement)
        time.sleep(AGE)

    def off(self, system: System) -> None:
        """Closes it."""
        self._connection.close()


class LockWait:
    """A session that waits for a lock that a session at work holds; nobody who reads or writes rows is kept waiting."""

    def __init__(self) -> None:
        self._holder = Statement("begin; lock table notes in share update exclusive mode; select pg_sleep(86400)")
        self._waiter = Statement("begin; lock table notes in share update exclusive mode")

    def on(self, system: System) -> None:
        """Starts both; returns when the second waits."""
        primary = system.postgres.primary
        self._holder.on(system)
        held = "select count(*) from pg_locks where granted and relation = 'notes'::regclass and mode like 'ShareUpd%'"
        until(lambda: primary.ask(held), "the lock is held")
        self._waiter.on(system)
        until(lambda: primary.ask("select count(*) from pg_locks where not granted"), "somebody waits for it")
        time.sleep(AGE)

    def off(self, system: System) -> None:
        """Ends both."""
        self._waiter.off(system)
        self._holder.off(system)


_WRITES = (  # each one transaction and one round trip: it is never idle within one
    """do $$ declare number bigint; begin
    insert into orders (customer, total) values ('customer', 450) returning id into number;
    insert into order_lines values (number, 'sku-2', 1, 450);
    insert into payments values (number, 450, 'busy', now());
    insert into order_events (order_id, what) values (number, 'busy'); end $$""",
    "update order_events set sent_at = now() where sent_at is null and what = 'busy'",
    """do $$ begin
    delete from order_events where what = 'busy';
    create temp table done on commit drop as select order_id from payments where method = 'busy';
    delete from payments where method = 'busy';
    delete from order_lines where order_id in (select order_id from done);
    delete from orders where id in (select order_id from done); end $$""",
)


def _write(system: System, end: threading.Event) -> None:
    """Rows come and go, each transaction whole."""
    import psycopg

    with suppress(psycopg.Error), system.postgres.primary.connect() as connection:
        while not end.wait(0.1):  # dead rows come no faster than autovacuum clears them away on a busy machine
            for statement in _WRITES:
                connection.execute(statement)


def _on_and_off(thing: _OpenSession | LockWait | Background) -> Pair:
    return thing.on, thing.off


_OFF, _ON = "alter table payments disable trigger all", "alter table payments enable trigger all"
_NEXT = "V4__order_notes.sql"
_LATE = "insert into order_events (order_id, what, at) values (1, 'late', now() - interval '{}')"
_OLD = "update orders set placed_at = placed_at - interval '40 days'"
_YOUNG = "update orders set placed_at = now()"

def _payments_key(mode: str) -> str:
    """Sets when the triggers of the payments' foreign keys fire."""
    return (
        "do $$ declare t record; begin for t in select tgname from pg_trigger where tgrelid = 'payments'::regclass "
        f"and tgisinternal loop execute format('alter table payments enable {mode} trigger %I', t.tgname); "
        "end loop; end $$"
    )


ACTS: dict[str, Pair] = {
    # migrations
    "migration-pending": _script(_NEXT, SAFE),
    "migration-unsafe": _script(_NEXT, UNSAFE),
    "migration-no-sql": _script(_NEXT, "alter tabel orders;\n"),
    "migration-failed": _both(_script(_NEXT, SAFE), _migration_row(_NEXT, SAFE, False)),
    "migration-unknown": _migration_row("V9__from_elsewhere.sql", SAFE, True),
    "migration-changed": _script("V2__orders.sql", "create table orders (id bigint primary key);\n"),
    "migration-skipped": _script("V2.5__came_late.sql", SAFE),
    "migration-lost": _script("V2__orders.sql", None),
    "migration-repeatable-changed": _script("R__order_totals.sql", f"{SAFE}-- and more\n"),
    "migrations-folder-gone": (_move_folder(True), _move_folder(False)),
    "migrations-table-closed": _sql(
        "revoke select on flyway_schema_history from prodcheck", "grant select on flyway_schema_history to prodcheck"
    ),
    # schema
    "constraint-not-valid": _sql(
        "alter table orders add constraint orders_sane check (total < 100000000) not valid",
        "alter table orders drop constraint orders_sane",
    ),
    "foreign-key-not-valid": _sql(
        "alter table order_events add constraint events_order foreign key (order_id) references orders not valid",
        "alter table order_events drop constraint events_order",
    ),
    "trigger-disabled": _sql(
        "alter table customers disable trigger customers_touch", "alter table customers enable trigger customers_touch"
    ),
    "foreign-key-disabled": _sql(_OFF, _ON),
    "foreign-key-for-replication": _sql(_payments_key("replica"), _payments_key("")),
    "collation-changed": _sql(
        ('create collation shop_order from "C"', "create table sorted (name text collate shop_order)",
         "update pg_collation set collversion = '0.0' where collname = 'shop_order'"),
        ("drop table sorted", "drop collation shop_order"),
    ),
    "collation-unused": _sql(
        ('create collation unused from "C"',
         "update pg_collation set collversion = '0.0' where collname = 'unused'"),
        "drop collation unused",
    ),
    "triggers-off-for-a-role": _sql(
        "alter role shop set session_replication_role = 'replica'", "alter role shop reset session_replication_role"
    ),
    "policies-off": _sql(
        ("create table tenants (id bigint)", "create policy own on tenants using (id = 1)"), "drop table tenants"
    ),
    "table-unlogged": _sql("create unlogged table reservations (id bigint)", "drop table reservations"),
    "index-invalid": (storage_damage.failed_index, lambda system: execute_all(system, "drop index notes_twice")),
    "sequence-80": _sql(
        "select setval('invoice_numbers', 1717986918)", "alter sequence invoice_numbers restart"
    ),
    "sequence-95": _sql(
        "select setval('invoice_numbers', 2040109465)", "alter sequence invoice_numbers restart"
    ),
    "sequence-set-to-its-end": _sql(
        "alter sequence invoice_numbers restart with 2147483647", "alter sequence invoice_numbers restart with 1"
    ),
    "sequence-column-too-narrow": _sql(
        ("create sequence ticket_numbers", "create table tickets (id integer default nextval('ticket_numbers'))",
         "grant select on ticket_numbers to prodcheck", "select setval('ticket_numbers', 2040109465)"),
        ("drop table tickets", "drop sequence ticket_numbers"),
    ),
    "sequence-behind": _sql(
        ("create table copied (id serial primary key)", "grant select on copied, copied_id_seq to prodcheck",
         "select nextval('copied_id_seq')", "insert into copied select generate_series(1, 20)"),
        "drop table copied",
    ),
    "sequence-closed": _sql(
        "revoke select on invoice_numbers from prodcheck", "grant select on invoice_numbers to prodcheck"
    ),
    "partitions-ended": _sql(
        ("create table clicks (at date not null) partition by range (at)",
         "do $$ begin execute format('create table clicks_old partition of clicks for values from (%L) to (%L)', "
         "current_date - 30, current_date - 1); end $$"),
        "drop table clicks",
    ),
    "view-not-filled": _sql(
        "create materialized view sales as select 1 as day with no data", "drop materialized view sales"
    ),
    "subscription-fails": _sql(
        ("create subscription elsewhere connection 'host=127.0.0.1 port=1 dbname=shop' publication orders "
         "with (connect = false, slot_name = 'orders')",
         "alter subscription elsewhere enable"),
        ("alter subscription elsewhere disable", "alter subscription elsewhere set (slot_name = none)",
         "drop subscription elsewhere"),
    ),
    # rows
    "orphans-let-in": _sql(
        (_OFF, "insert into payments values (987654, 1, 'test-visa')", _ON),
        "delete from payments where order_id = 987654",
    ),
    "orphans-behind-disabled-triggers": _sql(
        (_OFF, "insert into payments values (987654, 1, 'test-visa')"),
        ("delete from payments where order_id = 987654", _ON),
    ),
    "events-without-order": _sql(
        "insert into order_events (order_id, what, sent_at) values (987654, 'placed', now())",
        "delete from order_events where order_id = 987654",
    ),
    "order-unpaid": _sql(
        "insert into orders (customer, total) values ('customer', 7654321)", "delete from orders where total = 7654321"
    ),
    "order-total-wrong": _sql(
        "update orders set total = total + 1 where id = 1", "update orders set total = total - 1 where id = 1"
    ),
    "outbox-late": _sql(_LATE.format("5 minutes"), "delete from order_events where what = 'late'"),
    "outbox-stuck": _sql(_LATE.format("1 hour"), "delete from order_events where what = 'late'"),
    "events-closed": _sql(
        "revoke select on order_events from prodcheck", "grant select on order_events to prodcheck"
    ),
    "orders-stale": _sql(_OLD, _YOUNG),
    "orders-from-the-future": _sql(
        (_OLD, "update orders set placed_at = '2999-01-01' where id = 2"), _YOUNG
    ),
    # storage
    "lock-wait": _on_and_off(LockWait()),
    "idle-in-transaction": _on_and_off(_OpenSession("begin", "select count(*) from notes")),
    "prepared-forgotten": _sql(
        ("begin", "insert into notes (text) values ('prepared')", "prepare transaction 'forgotten'",
         f"select pg_sleep({AGE})"),
        "rollback prepared 'forgotten'",
    ),
    "dead-rows": (_make_dead_rows, _empty_and_fill),
    **storage_damage.ACTS,
    # benign
    "data-being-written": _on_and_off(Background(_write)),
    "session-idle": _on_and_off(_OpenSession("select count(*) from notes")),
    "dead-rows-tiny": _sql(
        ("create table tiny (id integer primary key, text text)",
         "insert into tiny select i from generate_series(1, 40) i", "analyze tiny",
         "update tiny set text = 'a'", "update tiny set text = 'b'"),
        "drop table tiny",
    ),
    "sequence-cycling": _sql(
        ("create sequence round_robin as smallint cycle", "select setval('round_robin', 32760)"),
        "drop sequence round_robin",
    ),
    "table-unlogged-on-purpose": _sql("create unlogged table scratch_import (id bigint)", "drop table scratch_import"),
    "partitions": _sql(
        ("create table visits (at date not null, what text) partition by range (at)",
         "create table visits_old partition of visits for values from ('2020-01-01') to ('2021-01-01')",
         "create index on visits (what)", "insert into visits values ('2020-02-02', 'x')"),
        "drop table visits",
    ),
}  # fmt: skip
