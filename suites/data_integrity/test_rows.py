"""The rows: they belong together, they are as the business needs them, and new ones come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.judging.declared_limits import limit_in_force

if TYPE_CHECKING:
    from pytest_prodcheck.records import Freshness, InvariantValue, OrphanRows, RelationRows


def _how_much(rows: RelationRows) -> str:
    if rows.sampled:
        return f", {rows.seen} of about {rows.total} rows checked"
    return f", {rows.seen} rows seen"


@check("data_integrity.rows.orphans", severity="critical", limit=Limit(fail=0), runbook="rows-orphans")
def test_every_reference_leads_somewhere(postgres_orphans: OrphanRows, limit: Limit) -> None:
    """No row refers to a missing row: declared relations, and foreign keys that are not enforced."""
    for each in postgres_orphans.relations:
        about = f"{each.name} ({each.child} to {each.parent}, {each.kind}{_how_much(each)})"
        judge("orphans", each.orphans, at_most=limit, of=about, reason=str(each.problem or ""))
    if not postgres_orphans.relations:
        keys = f"{postgres_orphans.enforced} foreign keys, all enforced"
        judge("relations without an enforced foreign key", 0, equals=0, of=keys)


@check("data_integrity.rows.*", severity="critical", runbook="rows-invariant")
def test_invariant_holds(postgres_invariant: InvariantValue, declared: dict[str, Any], limit: Limit | None) -> None:
    """A declared statement returns a number within its declared limits."""
    value, unit = postgres_invariant.value, declared["unit"]
    statement = " ".join(declared["sql"].split())
    if declared["at_most"] is not None:
        judge("value", value, at_most=limit_in_force(declared["at_most"], limit), unit=unit, of=statement)
    if declared["at_least"] is not None:
        judge("value", value, at_least=limit_in_force(declared["at_least"], limit), unit=unit, of=statement)


@check("data_integrity.rows.freshness", severity="high", runbook="rows-freshness")
def test_new_rows_come(postgres_freshness: Freshness, declared: dict[str, Any], limit: Limit | None) -> None:
    """The newest row of each declared table is recent; rows from the future do not count."""
    for each in postgres_freshness.tables:
        levels = declared["freshness"][each.name]["at_most"]
        why = str(each.problem) if each.problem else "there is no row" if each.age is None else ""
        young = limit_in_force(levels, limit)
        judge("age of the newest row", each.age, at_most=young, unit="s", of=each.table, reason=why)
