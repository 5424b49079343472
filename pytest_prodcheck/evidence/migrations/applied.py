"""`postgres-migrations`: what is applied in the database against what this revision ships."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.migrations.model import Script, State
from pytest_prodcheck.evidence.migrations.scripts import scripts_of
from pytest_prodcheck.evidence.migrations.states import KINDS, ORDER
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, seconds_for, to_primary
from pytest_prodcheck.evidence.postgres.safe_sql import as_text, quoted
from pytest_prodcheck.evidence.postgres.session import Session, on_primary
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.database import Migrations

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.database import Migrations as Settings
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

MOST_ROWS = 50_000
_DIRTY = """\
select attname from pg_attribute
where attrelid = to_regclass($1) and attname = 'dirty' and atttypid = 'bool'::regtype and not attisdropped"""
MOST_NAMED = 50  # of one list


@evidence(
    "postgres-migrations", axis="postgres", feature="migrations", seconds=seconds_for, host=first_node,
    sends=to_primary("the table of migrations"),
)  # fmt: skip
def postgres_migrations(target: str, context: Context, deadline: Deadline) -> Migrations:
    """The rows of the migrations' table on the primary, compared with the scripts folder, which is read as text."""
    settings = _settings(target, context)
    scripts, state = compared(target, context, deadline)
    return Migrations(
        kind=settings.kind,
        table=table_of(settings),
        shipped=len(scripts),
        applied=len(state.applied),
        applied_heads=tuple(state.applied_heads[:MOST_NAMED]),
        shipped_heads=tuple(state.shipped_heads[:MOST_NAMED]),
        failed=_first_versions(state.failed),
        unknown=_first_versions(state.unknown),
        pending=_first_versions(state.pending),
        skipped=_first_versions(state.skipped),
        changed=_first_versions(state.changed),
        untold=_first_versions(state.untold),
        unverified=_first_versions(state.unverified),
    )


def _first_versions(versions: list[str]) -> tuple[str, ...]:
    more = [f"and {len(versions) - MOST_NAMED} more"] if len(versions) > MOST_NAMED else []
    return (*versions[:MOST_NAMED], *more)


def _settings(target: str, context: Context) -> Settings:
    settings = context.environment.postgres[target].migrations
    if settings is None:
        raise EvidenceProblem(Problem("configuration", f"postgres {target}: no migrations are declared"))
    return settings


def compared(target: str, context: Context, deadline: Deadline) -> tuple[dict[str, Script], State]:
    """The shipped scripts, and how the database compares with them; read once in a run."""
    return context.once(("postgres-migrations", target), lambda: _compare(target, context, deadline), deadline)


def _compare(target: str, context: Context, deadline: Deadline) -> tuple[dict[str, Script], State]:
    settings = _settings(target, context)
    scripts = scripts_of(settings, context.root)
    context.relies_on(*(script.file for script in scripts.values()))
    kind, table = KINDS[settings.kind], table_of(settings)
    with on_primary(target, context, deadline) as session:
        named = settings.failed or (_dirty(session, table) if settings.kind == "table" else None)
        failed = f"left({as_text(quoted(named))}, 1)" if named else "'f'"
        columns = kind.columns.format(column=as_text(quoted(settings.column)), failed=failed)
        sql = f"select {columns} from {session.named(table)}{ORDER.get(settings.kind, '')}"
        rows = session.rows(sql, what=f"the migrations in {table}", most=MOST_ROWS).rows
        locked = _locked(session, table) if settings.kind == "liquibase" else []
    state = kind.compare(rows, scripts, settings)
    state.failed += locked
    return scripts, state


def _dirty(session: Session, table: str) -> str | None:
    """The column in which golang-migrate notes a migration that broke off, whether it was declared or not."""
    about = session.rows(_DIRTY, session.named(table), what=f"the columns of {table}").rows
    return "dirty" if about else None


def _locked(session: Session, table: str) -> list[str]:
    """That a run of Liquibase has taken its lock, which one that was ended leaves behind: the next one waits for it."""
    what = f"the lock in {table}lock"
    sql = f"select to_char(lockgranted, 'YYYY-MM-DD HH24:MI:SS') from {session.named(table + 'lock')} where locked"
    held = session.rows(sql, what=what, most=10).rows
    hint = "if no migration is running, run `liquibase release-locks`"
    return [f"the lock in {table}lock has been held since {since or 'an unknown time'} ({hint})" for (since,) in held]


def table_of(settings: Settings) -> str:
    """The table of migrations, as declared or as its kind names it."""
    return settings.table or KINDS[settings.kind].table
