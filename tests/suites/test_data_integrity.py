"""The data integrity checks at their own limits, on records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.records import Problem, Slot, SlotNode, Slots
from pytest_prodcheck.records.backups import RestoreRun, TableCompared
from pytest_prodcheck.records.database import (
    Activity,
    Checksums,
    ChecksumState,
    DeadRows,
    Freshness,
    InvariantValue,
    LintFinding,
    MigrationLint,
    Migrations,
    NewestRow,
    NodeStructure,
    OrphanRows,
    RedisReplication,
    RelationRows,
    ReplicaLag,
    Schema,
    SchemaObject,
    SequenceUse,
    SessionActivity,
    Structure,
    StructureFinding,
    TransactionAge,
)
from suites.data_integrity import (
    test_backups,
    test_migrations,
    test_replication,
    test_rows,
    test_schema,
    test_storage,
)
from tests.judged import judged


def outcome(check: Callable[..., None], record: object, **more: Any) -> str:
    return str(judged(check, record, **more).outcome)


ACTIVITY = Activity("db-1", 200_000_000, 400_000_000, (TransactionAge("shop", 1000, 0),), (), (), (), 3, ())
HELD = test_storage.test_nobody_waits_long_for_a_lock
OPEN = test_storage.test_no_transaction_is_left_open
PREPARED = test_storage.test_no_prepared_transaction_is_forgotten


@pytest.mark.parametrize(
    ("check", "field", "seconds", "expected"),
    [
        (HELD, "waits", 59, "passed"), (HELD, "waits", 61, "warned"), (HELD, "waits", 301, "failed"),
        (OPEN, "idle", 299, "passed"), (OPEN, "idle", 301, "warned"), (OPEN, "idle", 1801, "failed"),
        (PREPARED, "prepared", 299, "passed"), (PREPARED, "prepared", 301, "warned"),
        (PREPARED, "prepared", 3601, "failed"),
    ],
)  # fmt: skip
def test_held(check: Callable[..., None], field: str, seconds: float, expected: str) -> None:
    held: dict[str, Any] = {field: (SessionActivity("pid 1", seconds, "x"), SessionActivity("pid 2", 0.1, "y"))}
    record = replace(ACTIVITY, **held)
    assert outcome(check, record) == expected
    assert outcome(check, ACTIVITY) == "passed"


@pytest.mark.parametrize(
    ("age", "multixact", "expected"),
    [
        (199_000_000, 0, "passed"),
        (299_000_000, 0, "passed"),  # autovacuum has begun at 200 million, and needs its time
        (301_000_000, 0, "warned"),
        (1_073_000_000, 0, "warned"),
        (1_074_000_000, 0, "failed"),
        (1000, 601_000_000, "warned"),
        (1000, 1_100_000_000, "failed"),
    ],
)
def test_wraparound(age: int, multixact: int, expected: str) -> None:
    databases = (TransactionAge("postgres", 10, 0), TransactionAge("shop", age, multixact))
    assert outcome(test_storage.test_transaction_ids_are_left, replace(ACTIVITY, databases=databases)) == expected


def test_wraparound_of_nothing() -> None:
    assert outcome(test_storage.test_transaction_ids_are_left, replace(ACTIVITY, databases=())) == "errored"


@pytest.mark.parametrize(
    ("dead", "trigger", "vacuuming", "expected"),
    [
        (1900, 58, False, "passed"), (2100, 58, False, "warned"), (5100, 58, False, "failed"),
        (19_000, 10_000, False, "passed"), (21_000, 10_000, False, "warned"), (51_000, 10_000, False, "failed"),
        (10_000_000, 58, True, "passed"),
    ],
)  # fmt: skip
def test_dead_rows(dead: int, trigger: int, vacuuming: bool, expected: str) -> None:
    record = replace(ACTIVITY, dead=(DeadRows("public.t", dead, trigger, True, vacuuming),))
    assert outcome(test_storage.test_autovacuum_keeps_up, record) == expected


@pytest.mark.parametrize(
    ("active", "synced", "megabytes", "expected"),
    [
        (False, False, 300, "failed"), (False, False, 200, "passed"), (True, False, 300, "warned"),
        # cloudnative-pg#9969, pg_failover_slots#56: a standby's copy of a slot is never in use before a failover
        (False, True, 200, "passed"), (False, True, 300, "warned"), (False, True, 5000, "failed"),
    ],
)  # fmt: skip
def test_slots(active: bool, synced: bool, megabytes: int, expected: str) -> None:
    slot = Slot("cdc", "logical", active, "reserved", megabytes * 1_000_000, synced=synced)
    assert outcome(test_replication.test_no_slot_fills_the_disk, Slots((SlotNode("db-2", slots=(slot,)),))) == expected


GONE = Problem("timeout", "db-2: no answer")


@pytest.mark.parametrize(
    ("nodes", "failures", "off"),
    [
        ((ChecksumState("a", True), ChecksumState("b", True)), "passed", "passed"),
        ((ChecksumState("a", True), ChecksumState("b", True, 1, ("shop",))), "failed", "passed"),
        ((ChecksumState("a", True), ChecksumState("b", False)), "passed", "failed"),
        ((ChecksumState("a", True), ChecksumState("b", problem=GONE)), "errored", "errored"),
    ],
)
def test_checksums(nodes: tuple[ChecksumState, ...], failures: str, off: str) -> None:
    assert outcome(test_storage.test_no_page_failed_its_checksum, Checksums(nodes)) == failures
    assert outcome(test_storage.test_pages_have_checksums, Checksums(nodes)) == off


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (NodeStructure("a", 10, 10, heap=True), "passed"),
        (NodeStructure("a", 10, 9, ("t: the budget was over",), heap=True), "errored"),
        (NodeStructure("a", 10, 10, (), (StructureFinding("t", "broken"),)), "failed"),
        (NodeStructure("a", 10, 9, ("t: late",), (StructureFinding("t", "broken"),)), "failed"),
        (NodeStructure("a", 0, 0), "errored"),
        (NodeStructure("a", problem=GONE), "errored"),
    ],
)
def test_structure(node: NodeStructure, expected: str) -> None:
    whole = NodeStructure("b", 10, 10, heap=True)
    assert outcome(test_storage.test_tables_and_indexes_fit_together, Structure((whole, node))) == expected


@pytest.mark.parametrize(
    ("lag", "expected"),
    [
        (ReplicaLag("b", True, "a", 0), "passed"),
        (ReplicaLag("b", True, "a", 900_000), "passed"),
        (ReplicaLag("b", True, "a", 1_500_000), "warned"),
        (ReplicaLag("b", True, "a", 11_000_000), "failed"),
        (ReplicaLag("b", False, "a", 0), "failed"),
        (ReplicaLag("b", True, "", None), "failed"),
        (ReplicaLag("b", True, "a", None), "errored"),
        (ReplicaLag("b", problem=GONE), "errored"),
    ],
)
def test_redis(lag: ReplicaLag, expected: str) -> None:
    assert outcome(test_storage.test_replicas_keep_up, RedisReplication(("a",), 1, 1, (lag,))) == expected


def test_redis_without_replica_or_primary() -> None:
    assert outcome(test_storage.test_replicas_keep_up, RedisReplication(("a",), 1, 1, ())) == "failed"
    whole = (ReplicaLag("b", True, "a", 0),)
    assert outcome(test_storage.test_replicas_keep_up, RedisReplication((), 1, 1, whole)) == "failed"
    assert outcome(test_storage.test_replicas_keep_up, RedisReplication((), 1, 1, whole, ("a",))) == "errored"


MIGRATIONS = Migrations("alembic", "alembic_version", 3, 3, ("c",), ("c",), (), (), (), (), ())


@pytest.mark.parametrize(
    ("change", "state", "applied"),
    [
        ({}, "passed", "passed"),
        ({"pending": ("d",)}, "passed", "failed"),  # before a deployment, and after one
        ({"failed": ("c",)}, "failed", "passed"),
        ({"unknown": ("x",)}, "failed", "passed"),
        ({"skipped": ("b",)}, "failed", "passed"),
        ({"changed": ("b",)}, "failed", "passed"),
        ({"shipped": 0}, "failed", "passed"),
    ],
)
def test_migrations_before_and_after(change: dict[str, Any], state: str, applied: str) -> None:
    record = replace(MIGRATIONS, **change)
    assert outcome(test_migrations.test_database_is_an_ancestor_of_what_is_shipped, record) == state
    assert outcome(test_migrations.test_database_is_where_the_revision_needs_it, record) == applied


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (MigrationLint((), (), ()), "passed"),
        (MigrationLint(("d.sql",), (), ()), "passed"),
        (MigrationLint((), ("d",), ()), "errored"),
        (MigrationLint(("d.sql",), (), (LintFinding("d.sql", 1, "prefer-text-field", "Warning", "x"),)), "warned"),
        (MigrationLint(("d.sql",), (), (LintFinding("d.sql", 1, "ban-drop-column", "Warning", "x"),)), "failed"),
        (MigrationLint(("d.sql",), (), (LintFinding("d.sql", 1, "syntax-error", "Error", "x"),)), "failed"),
        (MigrationLint(("d.sql",), (), (LintFinding("d.sql", 1, "a-rule-of-tomorrow", "Warning", "x"),)), "failed"),
    ],
)
def test_safety(record: MigrationLint, expected: str) -> None:
    assert outcome(test_migrations.test_new_migrations_are_safe, record) == expected


SCHEMA = Schema(3, (), 3, (), 3, (), 3, (), 0, 0, (), 0, ())
TABLE = (SchemaObject("public.cache_a", "unlogged"),)


def test_what_is_tolerated_is_tolerated_by_its_kind_alone() -> None:
    unlogged, triggers = test_schema.test_tables_survive_a_crash, test_schema.test_triggers_fire
    nothing: dict[str, Any] = {"tolerate": {}}
    declared = {"tolerate": {"unlogged": ["public.cache_*"]}}
    assert outcome(unlogged, SCHEMA, declared=nothing) == "passed"
    assert outcome(unlogged, replace(SCHEMA, unlogged=TABLE), declared=nothing) == "failed"
    assert outcome(unlogged, replace(SCHEMA, unlogged=TABLE), declared=declared) == "passed"
    other = (*TABLE, SchemaObject("public.orders", "unlogged"))
    assert outcome(unlogged, replace(SCHEMA, unlogged=other), declared=declared) == "failed"
    assert outcome(triggers, replace(SCHEMA, disabled=TABLE), declared=declared) == "failed"


@pytest.mark.parametrize(("used", "expected"), [(0.5, "passed"), (0.76, "warned"), (0.91, "failed"), (1.0, "failed")])
def test_sequences(used: float, expected: str) -> None:
    record = replace(SCHEMA, sequences=(SequenceUse("s", "", 0.1, 9), SequenceUse("t", "u.v", used, 1)))
    assert outcome(test_schema.test_numbers_are_left, record, declared={}) == expected
    assert outcome(test_schema.test_numbers_are_left, replace(SCHEMA, unreadable=("s",)), declared={}) == "errored"
    assert outcome(test_schema.test_numbers_are_left, SCHEMA, declared={}) == "passed"


def rows(orphans: int | None, **more: Any) -> OrphanRows:
    return OrphanRows("db-2", 0, (RelationRows("r", "a(b)", "c(d)", "declared", 10, 100, orphans, **more),))


def test_orphans() -> None:
    check = test_rows.test_every_reference_leads_somewhere
    assert outcome(check, rows(0)) == "passed"
    assert outcome(check, rows(1)) == "failed"
    assert outcome(check, rows(None, problem=GONE)) == "errored"
    assert outcome(check, OrphanRows("db-2", 5, ())) == "passed"
    (judgement,) = judged(check, rows(0, sampled=True)).judgements
    assert "10 of about 100 rows checked" in judgement.of


@pytest.mark.parametrize(
    ("value", "declared", "expected"),
    [
        (0.0, {"at_most": {"warn": None, "fail": 0}}, "passed"),
        (1.0, {"at_most": {"warn": None, "fail": 0}}, "failed"),
        (61.0, {"at_most": {"warn": "60s", "fail": "10m"}, "unit": "s"}, "warned"),
        (601.0, {"at_most": {"warn": "60s", "fail": "10m"}, "unit": "s"}, "failed"),
        (4.0, {"at_least": {"warn": None, "fail": 5}}, "failed"),
        (5.0, {"at_least": {"warn": None, "fail": 5}, "at_most": {"warn": None, "fail": 9}}, "passed"),
        (10.0, {"at_least": {"warn": None, "fail": 5}, "at_most": {"warn": None, "fail": 9}}, "failed"),
        (float("nan"), {"at_most": {"warn": None, "fail": 0}}, "errored"),
    ],
)
def test_invariants(value: float, declared: dict[str, Any], expected: str) -> None:
    whole = {"sql": "select 1", "at_most": None, "at_least": None, "unit": "", **declared}
    record = InvariantValue("a", value, 0.1)
    assert outcome(test_rows.test_invariant_holds, record, declared=whole, limit=None) == expected


def test_a_threshold_tunes_an_invariant_and_cannot_disarm_it_by_half() -> None:
    declared = {"sql": "select 1", "at_most": {"warn": None, "fail": 10}, "at_least": None, "unit": ""}
    value = InvariantValue("a", 11.0, 0.1)
    assert outcome(test_rows.test_invariant_holds, value, declared=declared, limit=Limit(warn=5)) == "failed"
    assert outcome(test_rows.test_invariant_holds, value, declared=declared, limit=Limit(warn=5, fail=20)) == "warned"
    assert outcome(test_rows.test_invariant_holds, value, declared=declared, limit=Limit(off=True)) == "passed"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (NewestRow("o", "orders", 10.0), "passed"),
        (NewestRow("o", "orders", 3601.0), "warned"),
        (NewestRow("o", "orders", 30_000.0), "failed"),
        (NewestRow("o", "orders", None), "errored"),
        (NewestRow("o", "orders", None, GONE), "errored"),
    ],
)
def test_freshness(row: NewestRow, expected: str) -> None:
    declared = {"freshness": {"o": {"at_most": {"warn": "1h", "fail": "6h"}}}}
    assert outcome(test_rows.test_new_rows_come, Freshness("a", (row,)), declared=declared, limit=None) == expected


RESTORED = RestoreRun(
    "monday", "the record's position 0/1", True, "", 1.0, 2.0, "7", "7", "0/1", 2,
    (TableCompared("public.a", 10, 10, True, hashed=10), TableCompared("public.b", 90, 90, True, hashed=15)),
    "r.json", "", (), True, 4.0, True,
)  # fmt: skip
LOST = replace(RESTORED.compared[0], rows_restored=9, same_content=False)


@pytest.mark.parametrize(
    ("run", "expected", "said"),
    [
        (RESTORED, "passed", "monday: 25.00% of 100 rows in 2 of 2 tables, all counted"),
        (replace(RESTORED, compared=RESTORED.compared[:1], complete=False), "passed", "monday: 1 of 2 tables, 10 rows"),
        (replace(RESTORED, compared=()), "failed", "2 tables more than were recorded"),
        (replace(RESTORED, compared=(), complete=False), "passed", "monday: compared with nothing"),
        (replace(RESTORED, compared=(), record_problem="r.json: no such file"), "errored", "r.json: no such"),
        (replace(RESTORED, compared=(LOST,), complete=False), "failed", "public.a: 9 rows, 10 were recorded"),
        (replace(RESTORED, damaged=("x",), record_problem="it is of another cluster"), "failed", "amcheck: x"),
        (replace(RESTORED, recovered=False, reason="PANIC", system_identifier="8"), "failed",
         "it is a backup of another cluster; not recovered: PANIC"),
        (replace(RESTORED, recovery_seconds=3700.0), "warned", "monday: 25.00% of 100 rows"),
    ],
)  # fmt: skip
def test_a_restored_backup(run: RestoreRun, expected: str, said: str) -> None:
    ledger = judged(test_backups.test_a_backup_comes_up, run)
    assert str(ledger.outcome) == expected
    assert any(said in f"{each.of} {each.reason}" for each in ledger.judgements), ledger.judgements
