"""`postgres-invariant` and `postgres-freshness`: declared SQL, and the newest rows of declared tables."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import find_invariant
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, for_long_reads, seconds_for
from pytest_prodcheck.evidence.postgres.session import Session, session_for_long_reads
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.database import Freshness, InvariantValue, NewestRow

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.database import Invariant, Newest
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.postgres.wire import Table

NUMBERS = (20, 21, 23, 700, 701, 1700)  # OIDs of int8, int2, int4, float4, float8, numeric
_FUTURE = "interval '1 minute'"  # clocks of applications may be off by this


def _declared(target: str, environment: Environment) -> tuple[str, Invariant]:
    found = find_invariant(environment, target)
    if found is None:
        raise EvidenceProblem(Problem("configuration", f"no invariant {target!r} is declared"))
    return found


def _host(target: str, environment: Environment) -> str:
    return first_node(_declared(target, environment)[0], environment)


def _seconds(target: str, environment: Environment) -> float:
    cluster, invariant = _declared(target, environment)
    return seconds_for(cluster, environment) + invariant.budget


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    return for_long_reads(f"invariant {target}")(_declared(target, environment)[0], environment)


@evidence("postgres-invariant", axis="invariant", seconds=_seconds, host=_host, sends=_sends)
def postgres_invariant(target: str, context: Context, deadline: Deadline) -> InvariantValue:
    """The one number that a declared statement returns, read where long reads go, in a read-only transaction.

    Raises EvidenceProblem for anything but one row with one number: NULL, text and several rows prove nothing.
    """
    cluster, invariant = _declared(target, context.environment)
    with session_for_long_reads(cluster, context, deadline) as session:
        began = time.monotonic()
        table = session.rows(invariant.sql, seconds=invariant.budget, what=f"invariant {target}", most=2)
        return InvariantValue(session.declared, _single_number(table, session, target), time.monotonic() - began)


def _single_number(table: Table, session: Session, target: str) -> float:
    def wrong(what: str, hint: str = "") -> EvidenceProblem:
        return EvidenceProblem(Problem("configuration", f"{session.where}: invariant {target}: {what}", hint))

    if len(table.rows) != 1 or len(table.types) != 1:
        what = f"{len(table.rows)} rows of {len(table.types)} columns came where one number was expected"
        raise wrong(what, "such as: select count(*) from …")
    if table.types[0] not in NUMBERS:
        raise wrong("what came is no number", "count the rows that break it, or cast to numeric")
    text = table.rows[0][0]
    if text is None:
        raise wrong("NULL came, which proves nothing", "an aggregate over no rows? say what that means by coalesce()")
    value = float(text)
    if not math.isfinite(value):
        raise wrong(f"{text} came, which is no number that could be compared")
    return value


@evidence(
    "postgres-freshness", axis="postgres", feature="freshness", seconds=lambda target, environment:
    seconds_for(target, environment) + environment.postgres[target].timeouts.statement
    * len(environment.postgres[target].freshness), host=first_node,
    sends=for_long_reads("the newest rows of declared tables"),
)  # fmt: skip
def postgres_freshness(target: str, context: Context, deadline: Deadline) -> Freshness:
    """The age of the newest row of each declared table; one that cannot be read has a problem of its own."""
    with session_for_long_reads(target, context, deadline) as session:
        tables = context.environment.postgres[target].freshness
        return Freshness(session.declared, tuple(_newest_row(name, each, session) for name, each in tables.items()))


def _newest_row(name: str, settings: Newest, session: Session) -> NewestRow:
    column = f'"{settings.column}"'
    try:
        table = session.named(settings.table, f"newest row of {settings.table}")
        sql = (
            f"select extract(epoch from now() - max({column})::timestamptz)::float8 from {table} "
            f"where {column} <= now() + {_FUTURE}"
        )
        text = session.rows(sql, what=f"newest row of {settings.table}", most=1).rows[0][0]
    except EvidenceProblem as error:
        return NewestRow(name, settings.table, None, error.problem)
    return NewestRow(name, settings.table, None if text is None else max(float(text), 0.0))
