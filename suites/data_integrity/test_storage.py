"""The storage: pages and indexes are sound, and nothing is about to stop the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import Activity, Checksums, RedisReplication, SessionActivity, Structure

TRANSACTION_IDS = 2**31  # that can be told apart; PostgreSQL stops a little before (docs, "Routine Vacuuming")
FEW = 1000  # dead rows that a busy small table gathers while autovacuum, which looks once a minute, is not there
OPEN = Limit(warn="1h")  # long dumps and batches are hardly ever idle
FREEZE_AGE = Limit(warn=1.5)  # more: the vacuum that cannot be switched off does not get done


@check("data_integrity.storage.checksums", severity="critical", limit=Limit(fail=0), runbook="storage-checksums")
def test_no_page_failed_its_checksum(postgres_checksums: Checksums, limit: Limit) -> None:
    """No node has read a page with a wrong checksum since its counters were reset."""
    for node in postgres_checksums.nodes:
        if node.problem is not None:
            judge("checksum failures", None, at_most=limit, of=node.node, reason=str(node.problem))
        elif node.on:
            why = f"in {', '.join(node.databases)}; restore it, then pg_stat_reset()"
            judge("checksum failures", node.failures, at_most=limit, of=node.node, reason=why)
        else:
            judge("damaged pages are detected", "no", equals="no", of=f"{node.node} (data_checksums is off)")


@check("data_integrity.storage.checksums-off", severity="medium", runbook="storage-checksums-off")
def test_pages_have_checksums(postgres_checksums: Checksums) -> None:
    """Every node has page checksums; without them, a damaged page is not detected."""
    for node in postgres_checksums.nodes:
        on = None if node.problem is not None else node.on
        why = str(node.problem or "data_checksums is off: stop the server and run pg_checksums --enable")
        judge("page checksums are on", on, equals=True, of=node.node, reason=why)


@check("data_integrity.storage.structure", severity="critical", runbook="storage-structure",
       opt_in="reads every table and index of the database on every node (amcheck)")  # fmt: skip
def test_tables_and_indexes_fit_together(postgres_structure: Structure) -> None:
    """Tables are consistent, B-trees are in order, and every row is in its indexes (amcheck)."""
    for node in postgres_structure.nodes:
        if node.problem is not None:
            judge("tables and indexes checked", None, of=node.node, reason=str(node.problem))
            continue
        for finding in node.findings:
            judge("sound", False, of=f"{finding.object} on {node.node}", reason=finding.message)
        for left in node.left:
            judge("checked", None, of=node.node, reason=f"not checked: {left}")
        what = "tables and indexes checked" if node.heap else "indexes checked"
        judge(what, node.checked if node.total else None, at_least=1, of=node.node, reason="there is none to check")


@check("data_integrity.storage.wraparound", severity="high", limit=Limit(fail="50%"), runbook="storage-wraparound",
       fixed={"age, in times autovacuum_freeze_max_age": FREEZE_AGE})  # fmt: skip
def test_transaction_ids_are_left(postgres_activity: Activity, limit: Limit) -> None:
    """No database has too old transactions: vacuum keeps up, so transaction ids do not run out."""
    found = postgres_activity
    judge("databases", len(found.databases) or None, at_least=1, reason="the server reported none")
    for each in found.databases:
        for kind, age, most in (
            ("transaction", each.age, found.freeze_max_age),
            ("multixact", each.multixact_age, found.multixact_freeze_max_age),
        ):
            judge(f"{kind} age", age / most if most > 0 else None, at_most=FREEZE_AGE, of=each.database,
                  unit="x", reason=f"the age is {age}, autovacuum starts at {most}: what prevents vacuum?")  # fmt: skip
            share = 100 * age / TRANSACTION_IDS
            judge(f"{kind} ids used", share, at_most=limit, unit="%", of=each.database)


def _held(what: str, found: tuple[SessionActivity, ...], limit: Limit) -> None:
    for each in found:
        judge(what, each.seconds, at_most=limit, unit="s", of=each.who, reason=each.what)
    if not found:
        judge(what, 0.0, at_most=limit, unit="s")


@check("data_integrity.storage.locks", severity="high", limit=Limit(warn="60s", fail="300s"), runbook="storage-locks")
def test_nobody_waits_long_for_a_lock(postgres_activity: Activity, limit: Limit) -> None:
    """The longest time that a session waits for a lock of another session."""
    _held("waits for a lock", postgres_activity.waits, limit)


@check("data_integrity.storage.idle", severity="high", limit=Limit(warn="5m", fail="30m"), runbook="storage-idle",
       fixed={"time that a transaction is open, statement after statement": OPEN})  # fmt: skip
def test_no_transaction_is_left_open(postgres_activity: Activity, limit: Limit) -> None:
    """The longest time that a session is idle in a transaction, with its locks, and prevents vacuum."""
    _held("idle in a transaction", postgres_activity.idle, limit)
    for each in postgres_activity.idle:
        if each.seconds < each.open:
            why = "it idles between statements, and never commits: does it lack autocommit?"
            judge("transaction is open", each.open, at_most=OPEN, unit="s", of=each.who, reason=why)


@check("data_integrity.storage.prepared", severity="high", limit=Limit(warn="5m", fail="60m"),
       runbook="storage-prepared")  # fmt: skip
def test_no_prepared_transaction_is_forgotten(postgres_activity: Activity, limit: Limit) -> None:
    """The age of the oldest prepared transaction, which keeps its locks until it is committed or rolled back."""
    _held("prepared transaction", postgres_activity.prepared, limit)


@check("data_integrity.storage.dead-rows", severity="medium", limit=Limit(warn=2, fail=5), runbook="storage-dead-rows")
def test_autovacuum_keeps_up(postgres_activity: Activity, limit: Limit) -> None:
    """Dead rows of each table, in multiples of the number that starts autovacuum, or of 1,000.

    A table that is being vacuumed is not checked.
    """
    if not postgres_activity.counted:
        why = "track_counts is off: nobody counts dead rows, and autovacuum does not run"
        judge("dead rows", None, at_most=limit, unit="x", of=postgres_activity.node, reason=why)
        return
    judge("autovacuum is on", postgres_activity.autovacuum, of=postgres_activity.node, warn_only=True,
          reason="it is off for the whole server")  # fmt: skip
    judged = [each for each in postgres_activity.dead if not each.vacuuming]
    for each in judged:
        why = f"{each.dead} dead rows" + ("" if each.autovacuum else ", and autovacuum is off for this table")
        judge("dead rows", each.dead / max(each.trigger, FEW), at_most=limit, unit="x", of=each.table, reason=why)
    if not judged:
        judge("tables with dead rows", 0, equals=0, of=f"{postgres_activity.tables_total} tables")


@check("data_integrity.redis.replication", severity="high", limit=Limit(warn="1MB", fail="10MB"),
       runbook="redis-replication")  # fmt: skip
def test_replicas_keep_up(redis_replication: RedisReplication, limit: Limit) -> None:
    """Every Redis replica is linked to a primary of the group, has its history, and is not far behind."""
    found, silent = len(redis_replication.primaries), redis_replication.silent
    wanted = redis_replication.expected_primaries
    judge("primaries", None if silent and found < wanted else found, equals=wanted,
          reason=f"{', '.join(silent)} did not answer" if silent else f"found {found}, expected {wanted}")  # fmt: skip
    if found:
        judge("replicas", len(redis_replication.replicas), equals=redis_replication.expected)
    for each in redis_replication.replicas:
        if each.problem is not None:
            judge("behind", None, at_most=limit, unit="B", of=each.address, reason=str(each.problem))
            continue
        judge("linked to its primary", each.link_up, of=each.address, reason=f"silent for {each.silent:.0f} s")
        why = "its replication id belongs to no declared primary: it replicates from an undeclared one"
        if judge("has the history of a primary", bool(each.primary), of=each.address, reason=why):
            judge("behind", each.behind, at_most=limit, unit="B", of=each.address)
