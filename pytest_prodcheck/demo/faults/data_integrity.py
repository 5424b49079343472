"""What the checks of migrations, schema, rows and storage must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults.fault import Fault

_STATE, _APPLIED, _SAFETY = (f"data_integrity.migrations.{name}" for name in ("state", "applied", "safety"))
_CONSTRAINTS, _TRIGGERS, _POLICIES, _UNLOGGED, _INDEXES, _SEQUENCES, _COLLATIONS, _PARTITIONS, _USABLE = (
    f"data_integrity.schema.{name}"
    for name in ("constraints", "triggers", "policies", "unlogged", "indexes", "sequences", "collations", "partitions",
                 "usable")
)
_SUBSCRIPTIONS = "data_integrity.replication.subscriptions"
_ORPHANS, _FRESHNESS = "data_integrity.rows.orphans", "data_integrity.rows.freshness"
_UNPAID, _TOTALS, _OUTBOX = (f"data_integrity.rows.{name}" for name in ("unpaid-orders", "order-totals", "outbox"))
_CHECKSUMS, _CHECKSUMS_OFF, _STRUCTURE, _WRAPAROUND, _LOCKS, _IDLE, _PREPARED, _DEAD = (
    f"data_integrity.storage.{name}"
    for name in ("checksums", "checksums-off", "structure", "wraparound", "locks", "idle", "prepared", "dead-rows")
)
_REPLICATION = "data_integrity.redis.replication"
# of what cannot be reached nothing is known
POSTGRES = (
    _STATE, _APPLIED, _SAFETY, _CONSTRAINTS, _TRIGGERS, _POLICIES, _UNLOGGED, _INDEXES, _SEQUENCES, _COLLATIONS,
    _PARTITIONS, _USABLE, _SUBSCRIPTIONS, _ORPHANS, _FRESHNESS, _UNPAID, _TOTALS, _OUTBOX, _CHECKSUMS, _CHECKSUMS_OFF,
    _STRUCTURE, _WRAPAROUND, _LOCKS, _IDLE, _PREPARED, _DEAD,
    *(f"data_integrity.backups.{name}" for name in ("manifest", "wal", "restore")),
    *(f"data_integrity.replication.{name}" for name in ("topology", "delay", "bytes", "content", "slots")),
    *(f"pre_deploy.backups.{name}" for name in ("age", "wal-backlog", "size", "verified")),
)
REDIS = (_REPLICATION,)
_NODES, _CACHES, _SCRIPTS, _NOTES = "PostgreSQL's nodes", "Redis", "the scripts", "the notes"
_OURS = ("data_integrity",)
_TRIGGERED, _NUMBERS = "the payments' triggers", "the invoice numbers"

FAULTS: tuple[Fault, ...] = (
    Fault("migration-pending", "a shipped migration is not applied", (_APPLIED,), part=_SCRIPTS),
    Fault(
        "migration-unsafe", "a pending migration rewrites a table and blocks writers",
        (_SAFETY,), (_APPLIED,), part=_SCRIPTS,
    ),
    Fault("migration-no-sql", "a pending migration is not valid SQL", (_SAFETY,), (_APPLIED,), part=_SCRIPTS),
    Fault("migration-failed", "a migration failed half way through", (_STATE,), (_APPLIED,), part=_SCRIPTS),
    Fault("migration-unknown", "an applied migration is not in the release", (_STATE,), part=_SCRIPTS),
    Fault("migration-changed", "a script was changed after it was applied", (_STATE,), part=_SCRIPTS),
    Fault("migration-skipped", "a script has an old version number and never runs", (_STATE,), part=_SCRIPTS),
    Fault("migration-lost", "the script of an applied migration is not shipped", (_STATE,), part=_SCRIPTS),
    Fault(
        "migration-repeatable-changed", "a repeatable script was changed and did not run again",
        (_APPLIED,), part=_SCRIPTS,
    ),
    Fault("migrations-folder-gone", "no migration scripts are found", (_STATE, _APPLIED, _SAFETY), part=_SCRIPTS),
    Fault("migrations-table-closed", "the table of migrations cannot be read", (_STATE, _APPLIED, _SAFETY)),
    Fault("constraint-not-valid", "a check constraint is NOT VALID: it was added for new rows only", (_CONSTRAINTS,)),
    Fault("foreign-key-not-valid", "a foreign key is NOT VALID: it was added for new rows only", (_CONSTRAINTS,)),
    Fault("trigger-disabled", "a trigger is disabled", (_TRIGGERS,)),
    Fault("foreign-key-disabled", "the triggers of a foreign key are disabled", (_TRIGGERS,), part=_TRIGGERED),
    Fault("foreign-key-for-replication", "the triggers of a foreign key fire only for replication", (_TRIGGERS,),
          part=_TRIGGERED),
    Fault("collation-changed", "a collation in use has another version than when it was created", (_COLLATIONS,)),
    Fault("triggers-off-for-a-role", "no trigger fires for the role of the shop", (_TRIGGERS,)),
    Fault("policies-off", "a table has row policies, but row level security is off", (_POLICIES,)),
    Fault("table-unlogged", "a table is unlogged", (_UNLOGGED,)),
    Fault("index-invalid", "CREATE INDEX CONCURRENTLY failed and left an invalid index", (_INDEXES,)),
    Fault("sequence-80", "80 % of a sequence's numbers are used", (_SEQUENCES,), outcome="warned", part=_NUMBERS),
    Fault("sequence-95", "95 % of a sequence's numbers are used", (_SEQUENCES,), part=_NUMBERS),
    Fault("sequence-set-to-its-end", "a sequence was set to its last number, which is not used yet", (_SEQUENCES,),
          part=_NUMBERS),
    Fault("sequence-column-too-narrow", "a bigint sequence fills an integer column", (_SEQUENCES,)),
    Fault("sequence-behind", "rows of a table were copied without the value of its sequence", (_SEQUENCES,)),
    Fault("sequence-closed", "a sequence cannot be read", (_SEQUENCES,), part=_NUMBERS),
    Fault("partitions-ended", "the last partition of a table ended yesterday", (_PARTITIONS,)),
    Fault("view-not-filled", "a materialized view was never filled", (_USABLE,)),
    Fault("subscription-fails", "the worker of a subscription crashes repeatedly", (_SUBSCRIPTIONS,)),
    Fault("orphans-let-in", "a payment without an order was inserted while triggers were disabled", (_ORPHANS,),
          part=_TRIGGERED),
    Fault(
        "orphans-behind-disabled-triggers", "a payment has no order, and the triggers of its foreign key are disabled",
        (_ORPHANS, _TRIGGERS), part=_TRIGGERED,
    ),
    Fault("events-without-order", "an event refers to an order that does not exist", (_ORPHANS,)),
    Fault("order-unpaid", "an order was placed and never paid", (_UNPAID,)),
    Fault("order-total-wrong", "an order's total is not the sum of its lines", (_TOTALS,)),
    Fault("outbox-late", "an event has waited for 5 minutes", (_OUTBOX,), outcome="warned", part="the outbox"),
    Fault("outbox-stuck", "an event has waited for an hour", (_OUTBOX,), part="the outbox"),
    Fault("events-closed", "the events cannot be read", (_ORPHANS, _OUTBOX)),
    Fault("orders-stale", "no order for 40 days", (_FRESHNESS,), part="the orders' times"),
    Fault("orders-from-the-future", "no order for 40 days, but one is dated in the year 2999", (_FRESHNESS,),
          part="the orders' times"),
    Fault("page-damaged", "a bit flipped in a table of another database", (_CHECKSUMS,)),
    Fault("standby-page-damaged", "a bit flipped in a table on the standby", (_CHECKSUMS, _STRUCTURE), part=_NODES),
    Fault("standby-index-damaged", "a bit flipped in an index on the standby", (_STRUCTURE,), part=_NODES),
    Fault("index-lacks-rows", "an index lacks rows because its function was changed", (_STRUCTURE,),
          part=_NOTES),
    Fault("checksums-off", "the standby has no page checksums", (_CHECKSUMS_OFF,), part=_NODES),
    Fault("transaction-ids-used", "a long report blocks vacuum while transaction ids run out", (_WRAPAROUND,),
          outcome="warned", part=_NODES),
    Fault("lock-wait", "a session waits for a lock", (_LOCKS,)),
    Fault("idle-in-transaction", "a session is idle in a transaction", (_IDLE,)),
    Fault("prepared-forgotten", "a prepared transaction was never committed or rolled back", (_PREPARED,)),
    Fault("dead-rows", "autovacuum is off for a table that gets many writes", (_DEAD,), part=_NOTES),
    Fault("redis-replica-behind", "12 MB have not reached the replica, although its link is up", (_REPLICATION,),
          part=_CACHES),
)  # fmt: skip

BENIGN: tuple[Fault, ...] = (
    Fault("data-being-written", "orders are placed, paid and removed all the time", suites=_OURS),
    Fault("session-idle", "a session is idle, outside a transaction", suites=_OURS),
    Fault("dead-rows-tiny", "a table of 40 rows has 80 dead rows, too few for autovacuum", suites=_OURS),
    Fault("collation-unused", "the version of a collation has changed, but nothing uses it", suites=_OURS),
    Fault("sequence-cycling", "a cyclic sequence is near its end", suites=_OURS),
    Fault("table-unlogged-on-purpose", "a table is unlogged, and declared as such", suites=_OURS),
    Fault("partitions", "a partitioned table with an index on each partition", suites=_OURS),
)
