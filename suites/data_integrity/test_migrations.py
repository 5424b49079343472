"""Migrations: the database is where the shipped scripts are, or on its way there, and the way is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import MigrationLint, Migrations

# rules of squawk about style or habit; all others are about locks that stop writers, and about lost data
ADVICE = ("prefer-", "require-statement-timeout", "require-lock-timeout", "require-timeout-settings", "ban-char-field",
          "identifier-too-long", "require-table-schema")  # fmt: skip


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)


@check("data_integrity.migrations.state", severity="critical", runbook="migrations-state")
def test_database_is_an_ancestor_of_what_is_shipped(postgres_migrations: Migrations) -> None:
    """Every applied migration is part of the release and unchanged; none failed, none was skipped."""
    found = postgres_migrations
    judge("migrations known", found.shipped, at_least=1, unit="scripts")
    judge("none failed", not found.failed, of=found.table, reason=f"failed: {_list(found.failed)}")
    why = (
        "applied in the database, but missing in the scripts: "
        f"{_list(found.unknown)}; is an older revision being deployed?"
    )
    judge("all applied migrations are in the scripts", not found.unknown, of=found.table, reason=why)
    why = f"not applied although later ones are: {_list(found.skipped)}; they would never run"
    judge("none is skipped", not found.skipped, of=found.table, reason=why)
    why = f"changed since they were applied: {_list(found.changed)}"
    judge("applied scripts are unchanged", not found.changed, of=found.table, reason=why)
    for each in found.unverified:
        judge("applied scripts are unchanged", None, equals=True, of=found.table, reason=each)


@check("data_integrity.migrations.applied", severity="critical", runbook="migrations-applied")
def test_database_is_where_the_revision_needs_it(postgres_migrations: Migrations) -> None:
    """All migrations of the release are applied; a gate before the deployment leaves this check out."""
    found = postgres_migrations
    at, wanted = _list(found.applied_heads) or "nothing", _list(found.shipped_heads)
    why = f"pending: {_list(found.pending)}; the database is at {at}, the scripts end at {wanted}"
    judge("nothing is pending", not found.pending, of=found.table, reason=why)
    for each in found.untold:
        judge("nothing is pending", None, equals=True, of=found.table, reason=each)


@check("data_integrity.migrations.safety", severity="high", runbook="migrations-safety")
def test_new_migrations_are_safe(postgres_migration_lint: MigrationLint) -> None:
    """No pending migration blocks writers or loses data (squawk); advice warns."""
    found = postgres_migration_lint
    for version in found.without_sql:
        judge(
            "SQL to check",
            None,
            of=version,
            reason="write the SQL to the file in migrations.sql, for example with alembic --sql",
        )
    bad = {finding.file for finding in found.findings}
    for each in found.findings:
        advice = each.rule.startswith(ADVICE) and each.level != "Error"
        judge(each.rule, False, of=f"{each.file}:{each.line}", warn_only=advice, reason=each.message)
    for file in found.files:
        if file not in bad:
            judge("safe", True, of=file)
    if not found.files and not found.without_sql:
        judge("pending migrations", 0, equals=0)
