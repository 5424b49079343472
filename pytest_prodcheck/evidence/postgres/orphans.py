"""`postgres-orphans`: rows without the counterpart that they refer to, counted piece by piece on long tables."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, for_long_reads, seconds_for
from pytest_prodcheck.evidence.postgres.relations import Part, Relation, partitions_of, relations, resolved
from pytest_prodcheck.evidence.postgres.session import Session, session_for_long_reads
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.database import OrphanRows, RelationRows

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.postgres import Postgres
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

PIECE = 8192  # pages of one statement, 64 MB: short transactions, that hold back nobody's vacuum, and progress
TID_RANGES = 140000  # servers from which on a range of pages is read without the rest of the table
TRIES = 3  # of one piece that a standby's replay ended


def _seconds(target: str, environment: Environment) -> float:
    return seconds_for(target, environment) + environment.postgres[target].orphans.budget


@evidence(
    "postgres-orphans", axis="postgres", seconds=_seconds, host=first_node,
    sends=for_long_reads("rows of relations without a counterpart"),
)  # fmt: skip
def postgres_orphans(target: str, context: Context, deadline: Deadline) -> OrphanRows:
    """Declared relations, foreign keys that are not enforced, and the enforced ones where that is declared.

    Read where long reads go. A relation that cannot be read, or not within the budget, has a problem of its own.
    """
    settings = context.environment.postgres[target]
    with session_for_long_reads(target, context, deadline) as session:
        found = list(relations(settings, session))
        wanted = [each for each in found if each.kind != "enforced" or settings.orphans.enforced]
        reader = _Reader(session, settings, deadline)
        rows = tuple(reader.read(each) for each in wanted)
        return OrphanRows(session.declared, len(found) - len(wanted), rows)


@dataclass
class _OrphanCounts:
    """What the pieces of one relation had so far."""

    rows: int = 0
    orphans: int = 0
    total: int = 0
    sampled: bool = False


class _Reader:
    """Reads relation after relation within one budget."""

    def __init__(self, session: Session, settings: Postgres, deadline: Deadline) -> None:
        self._session, self._sample, self._deadline = session, settings.orphans.sample, deadline
        self._budget = settings.orphans.budget
        self._end = time.monotonic() + self._budget

    def read(self, relation: Relation) -> RelationRows:
        """One relation, whole or as a sample."""
        seen, problem = _OrphanCounts(), None
        child, parent = relation.shown
        try:
            found = resolved(relation, self._session)
            for part in partitions_of(found.child, self._session):
                self._read_part(found, part, seen)
        except EvidenceProblem as error:
            problem = error.problem
        orphans = None if problem is not None else seen.orphans
        return RelationRows(
            plain(relation.name), plain(child), plain(parent), relation.kind, seen.rows, max(seen.total, seen.rows),
            orphans, seen.sampled, problem,
        )  # fmt: skip

    def _read_part(self, relation: Relation, part: Part, seen: _OrphanCounts) -> None:
        seen.total += part.rows
        if self._sample is not None and part.rows > self._sample and part.pages:
            share = 100 * self._sample / part.rows
            seen.sampled = True
            return self._count(relation, part, f"tablesample system ({share:.6f})", "true", seen)
        if part.pages <= PIECE or self._session.version < TID_RANGES:
            return self._count(relation, part, "", "true", seen)
        for first in range(0, part.pages, PIECE):
            self._deadline.tell(f"{part.table}: {100 * first // part.pages} %")
            # the last piece has no end, for the table grows meanwhile
            end = f" and c.ctid < '({first + PIECE},0)'" if first + PIECE < part.pages else ""
            self._count(relation, part, "", f"c.ctid >= '({first},0)'{end}", seen)
        self._deadline.tell("")
        return None

    def _count(self, relation: Relation, part: Part, sample: str, where: str, seen: _OrphanCounts) -> None:
        pairs = list(zip(relation.child_columns, relation.parent_columns, relation.equal, strict=True))
        filled = " and ".join(f"c.{child} is not null" for child, *_ in pairs)
        equal = " and ".join(f"p.{parent} operator({schema}.=) c.{child}" for child, parent, schema in pairs)
        sql = (
            f"select count(*), count(*) filter (where not there) from (select exists (select from {relation.parent} p "
            f"where {equal}) as there from {part.table} c {sample} where {where} and {filled}) as looked_at"
        )
        row = self._row_with_retries(sql, relation)
        seen.rows += int(row[0] or 0)
        seen.orphans += int(row[1] or 0)

    def _row_with_retries(self, sql: str, relation: Relation) -> tuple[str | None, ...]:
        for attempt in range(TRIES):
            left = self._end - time.monotonic()
            if left <= 0:
                what = f"{self._session.where}: {relation.name}: not read within the budget of {self._budget:g} s"
                raise EvidenceProblem(Problem("timeout", what, "raise orphans.budget, or declare orphans.sample"))
            try:
                return self._session.rows(sql, seconds=left, what=relation.name).rows[0]
            except EvidenceProblem as error:
                if "stood conflict with replay" not in error.problem.message or attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable")
