"""The schema: what protects the data is switched on, and lasts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pytest_prodcheck import Limit, check, judge

from ..tolerated import is_tolerated

if TYPE_CHECKING:
    from pytest_prodcheck.records import Collations, PartitionedTable, Schema, SchemaObject

RETIRED = 7776000  # seconds, 90 days: nobody writes into a table whose ranges ended so long ago, or it would be known


def _judge(what: str, found: Iterable[SchemaObject], total: int, declared: dict[str, Any], kind: str) -> None:
    """Each object that is not as it should be, unless it is declared to be; then how many were looked at."""
    tolerated = declared.get("tolerate", {}).get(kind, [])
    meant = 0
    for each in found:
        if each.is_among(tolerated):
            meant += 1
            continue
        judge(what, False, of=each.name, reason=each.what)
    judge(f"{kind} looked at", total, at_least=0, of=f"{meant} tolerated" if meant else "")


@check("data_integrity.schema.constraints", severity="high", runbook="schema-constraints")
def test_constraints_hold_for_old_rows(postgres_schema: Schema, declared: dict[str, Any]) -> None:
    """Every constraint is validated, so that old rows meet it, too; no partition is partly detached."""
    for each in postgres_schema.half_detached:
        why = (
            f"{each.what}, so queries do not see its rows and inserts into it fail: "
            "ALTER TABLE … DETACH PARTITION … FINALIZE"
        )
        judge("partition of its table", False, of=each.name, reason=why)
    _judge("validated", postgres_schema.unvalidated, postgres_schema.constraints_total, declared, "constraints")


@check("data_integrity.schema.triggers", severity="high", runbook="schema-triggers")
def test_triggers_fire(postgres_schema: Schema, declared: dict[str, Any]) -> None:
    """Every trigger fires in all sessions, also those of foreign keys; none is disabled or for replication only."""
    _judge("fires", postgres_schema.disabled, postgres_schema.triggers_total, declared, "triggers")


@check("data_integrity.schema.policies", severity="high", runbook="schema-policies")
def test_row_policies_filter(postgres_schema: Schema, declared: dict[str, Any]) -> None:
    """Every table with row policies has row level security on: otherwise each role sees all of its rows."""
    _judge("row security is on", postgres_schema.unfiltered, postgres_schema.policies_total, declared, "policies")


@check("data_integrity.schema.unlogged", severity="high", runbook="schema-unlogged")
def test_tables_survive_a_crash(postgres_schema: Schema, declared: dict[str, Any]) -> None:
    """No table is unlogged: an unlogged table is empty after a crash, and on every standby."""
    _judge("survives a crash", postgres_schema.unlogged, postgres_schema.tables_total, declared, "unlogged")


@check("data_integrity.schema.indexes", severity="high", runbook="schema-indexes")
def test_indexes_are_valid(postgres_schema: Schema, declared: dict[str, Any]) -> None:
    """Every index is valid, or is being built."""
    _judge("valid", postgres_schema.invalid, postgres_schema.indexes_total, declared, "indexes")


@check(
    "data_integrity.schema.sequences", severity="high", limit=Limit(warn="75%", fail="90%"), runbook="schema-sequences"
)
def test_numbers_are_left(postgres_schema: Schema, declared: dict[str, Any], limit: Limit) -> None:
    """The used share of the numbers of each sequence, or of the column that it fills; the next ones are free."""
    for each in postgres_schema.sequences:
        about = f"{each.name} for {each.column}" if each.column else each.name
        judge("numbers used", 100 * each.used, at_most=limit, unit="%", of=about, reason=f"{each.left} are left")
    for name in postgres_schema.unreadable:
        judge("numbers used", None, at_most=limit, unit="%", of=name, reason="it may not be read: GRANT SELECT ON it")
    if not postgres_schema.sequences and not postgres_schema.unreadable:
        judge("sequences that end", 0, equals=0)
    _next_numbers(postgres_schema, declared)


def _next_numbers(schema: Schema, declared: dict[str, Any]) -> None:
    """A sequence that gave no number yet is behind for sure only where none did: rows may come with their numbers."""
    behind = [each for each in schema.taken if not is_tolerated(each.column, "numbers", declared)]
    copied = len(behind) > 1 and not schema.numbers_drawn
    for each in behind:
        why = (f"a row has {each.number} already, which is one of the next: INSERT is refused as a duplicate; "
               "setval() to the largest number")  # fmt: skip
        judge("next numbers are free", False, of=f"{each.sequence} for {each.column}",
              warn_only=not each.drawn and not copied, reason=why)  # fmt: skip
    unread = f"{schema.numbers_unread} more could not be read" if schema.numbers_unread else ""
    judge("columns compared with their sequence", schema.numbers_compared, at_least=0, of=unread)


@check("data_integrity.schema.partitions", severity="critical", limit=Limit(warn="1d", fail="0s"),
       runbook="schema-partitions",
       fixed={"time since the end after which a table is out of use": Limit(fail=f"{RETIRED}s")})  # fmt: skip
def test_rows_of_now_have_a_partition(postgres_schema: Schema, declared: dict[str, Any], limit: Limit) -> None:
    """Each table that is partitioned by time or number has a partition for the current row, and for how long."""
    retired = 0
    for each in postgres_schema.by_time:
        if is_tolerated(each.name, "partitions", declared):
            continue
        if not each.now and not each.later and each.left is not None and -each.left > RETIRED:
            retired += 1
        else:
            _partitions(each, limit)
    judge("tables partitioned by time", len(postgres_schema.by_time), at_least=0,
          of=f"{retired} ended more than 90 days ago" if retired else "")  # fmt: skip


def _partitions(table: PartitionedTable, limit: Limit) -> None:
    if table.now:
        left, why = table.left, "rows that are newer are refused then"
        if left is not None:
            judge("time until its partitions end", left, at_least=limit, unit="s", of=table.name, reason=why)
        return
    if table.default:
        why = ("rows of now go to the default partition: creating their partition will be refused, "
               "and dropping old partitions drops none of them")  # fmt: skip
        judge("takes rows of now", False, of=table.name, warn_only=True, reason=why)
        return
    if table.number is not None:
        why = f"no partition takes {table.number}, the next number of its sequence: every row of now is refused"
        judge("takes rows of now", False, of=table.name, reason=why)
        return
    if table.left is None:
        why = "its first partition begins later" if table.later else "it has no partition"
        judge("takes rows of now", False, of=table.name, warn_only=True, reason=f"{why}: every row of now is refused")
        return
    gap = "; there are later ones, and a gap before them" if table.later else ""
    judge("takes rows of now", False, of=table.name,
          reason=f"its partitions ended {-table.left:.0f} s ago, and every row of now is refused{gap}")  # fmt: skip


@check("data_integrity.schema.usable", severity="critical", runbook="schema-usable")
def test_objects_take_their_statements(postgres_schema: Schema, declared: dict[str, Any]) -> None:
    """Materialized views are filled, published tables have a replica identity, extensions are installed."""
    found = postgres_schema
    for each in found.doubtful:
        if not is_tolerated(each.name, "unusable", declared):
            judge("takes all statements", False, of=each.name, warn_only=True, reason=each.what)
    _judge("takes all statements", found.refusing, found.usable_total, declared, "unusable")


@check("data_integrity.schema.collations", severity="high", runbook="schema-collations")
def test_text_is_ordered_as_when_indexes_were_built(postgres_collations: Collations) -> None:
    """Collations in use have the recorded version on every node; otherwise indexes on text miss rows."""
    for node in postgres_collations.nodes:
        if node.problem is not None:
            judge("collations as they were", None, equals=True, of=node.node, reason=str(node.problem))
            continue
        for each in node.changed:
            refresh = f"REINDEX the indexes that use it, then ALTER {each.name.split()[0].upper()} … REFRESH"
            judge("version as it was", False, of=f"{each.name} on {node.node}",
                  reason=f"indexes were built with {each.recorded}, the system has {each.actual or 'none'}: {refresh} "
                  f"{'COLLATION ' if each.name.startswith('database') else ''}VERSION")  # fmt: skip
        seen = "" if node.database_recorded else " (PostgreSQL 13 and 14 do not record the database's)"
        judge("collations that changed", len(node.changed), equals=len(node.changed), of=f"{node.node}{seen}")
