"""`postgres-structure`: amcheck of tables and B-trees with `heapallindexed`, on every node: files rot one by one.

amcheck takes the locks of a SELECT, so that nobody who writes has to wait (postgresql.org/docs/current/amcheck.html).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, seconds_for, to_every_node
from pytest_prodcheck.evidence.postgres.members import Member, members
from pytest_prodcheck.evidence.postgres.session import DataCorrupted, Session, open_session
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.database import NodeStructure, Structure, StructureFinding

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

HEAP = 140000  # servers from which on amcheck has verify_heapam
MOST_FINDINGS = 50  # of one node
MOST_OF_ONE = 5  # lines of one table
MOST_LEFT = 50

_EXTENSION = """\
select format('%I', n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'amcheck'"""
# unlogged tables are empty on a standby
_OBJECTS = """\
select coalesce(json_agg(json_build_array(c.oid::text, format('%I.%I', n.nspname, c.relname), c.relkind)
  order by pg_relation_size(c.oid), c.oid), '[]')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_index i on i.indexrelid = c.oid
left join pg_am a on a.oid = c.relam
where (c.relkind in ('r', 'm', 't') and (a.amname = 'heap') or (c.relkind = 'i' and a.amname = 'btree'
       and i.indisvalid and i.indisready and i.indislive))
  and c.relpersistence = 'p' and (n.nspname <> 'pg_toast' or c.relkind = 't')
  and ($1::text is null or coalesce(i.indrelid, c.oid) = any (string_to_array($1, ',')::regclass[]))"""


def _seconds(target: str, environment: Environment) -> float:
    structure = environment.postgres[target].structure
    return seconds_for(target, environment) + (structure.budget if structure else 0.0)


@evidence(
    "postgres-structure", axis="postgres", feature="structure", seconds=_seconds, host=first_node,
    sends=to_every_node("amcheck of tables and indexes (reads all of them)"), exclusive=True,
)  # fmt: skip
def postgres_structure(target: str, context: Context, deadline: Deadline) -> Structure:
    """Every table and valid B-tree of the database, node by node side by side, within the declared budget."""
    settings = context.environment.postgres[target].structure
    if settings is None:
        raise EvidenceProblem(Problem("configuration", f"postgres {target}: structure is not declared"))

    def one(member: Member) -> NodeStructure:
        try:
            with open_session(target, context, deadline, member) as session:
                tables = ",".join(session.named(each, "tables to check") for each in settings.tables) or None
                return _StructureCheck(session, settings.budget, deadline).all(tables)
        except EvidenceProblem as error:
            return NodeStructure(member.declared, problem=error.problem)

    found = members(target, context, deadline)
    answers = side_by_side([lambda each=each: one(each) for each in found], deadline.time_left())  # type: ignore[misc]
    late = Problem("timeout", f"not done within {settings.budget:g} s", "raise structure.budget")
    pairs = zip(found, answers, strict=True)
    return Structure(tuple(answer or NodeStructure(member.declared, problem=late) for member, answer in pairs))


@dataclass
class _StructureCheck:
    """One node."""

    session: Session
    budget: float
    deadline: Deadline
    left: list[str] = field(default_factory=list)
    findings: list[StructureFinding] = field(default_factory=list)

    def all(self, tables: str | None) -> NodeStructure:
        """Smallest first, so that a budget that is too short still sees most of them."""
        schema = self._schema()
        objects: list[Any] = self.session.facts(_OBJECTS, tables, what="tables and indexes")
        heap = self.session.version >= HEAP
        wanted = [each for each in objects if heap or each[2] == "i"]
        end = time.monotonic() + self.budget
        checked = 0
        for number, (oid, name, kind) in enumerate(wanted):
            self.deadline.tell(f"amcheck: {number} of {len(wanted)}")
            remaining = end - time.monotonic()
            if remaining <= 0:
                self.left += [f"{each[1]}: the budget of {self.budget:g} s was over" for each in wanted[number:]]
                break
            checked += self._check(schema, oid, plain(name), kind, remaining)
        return NodeStructure(
            self.session.declared, len(wanted), checked, tuple(self.left[:MOST_LEFT]),
            tuple(self.findings[:MOST_FINDINGS]), heap,
        )  # fmt: skip

    def _schema(self) -> str:
        rows = self.session.rows(_EXTENSION, what="amcheck").rows
        if not rows:
            what = f"{self.session.where}: the extension amcheck is not there"
            raise EvidenceProblem(Problem("configuration", what, "CREATE EXTENSION amcheck (prodcheck grants)"))
        return str(rows[0][0])

    def _check(self, schema: str, oid: str, name: str, kind: str, seconds: float) -> bool:
        """Whether it was checked; what was found is kept."""
        if kind == "i":
            sql = f"select {schema}.bt_index_check($1::oid::regclass, true)::text"
        else:
            # all arguments with their types: a namesake that takes fewer would make it ambiguous
            given = "$1::oid::regclass, false, false, 'none'::text, null::bigint, null::bigint"
            sql = f"select msg from {schema}.verify_heapam({given}) limit {MOST_OF_ONE}"
        try:
            table = self.session.rows(sql, oid, seconds=seconds, what=f"amcheck of {name}")
        except DataCorrupted as error:
            self.findings.append(StructureFinding(name, error.message))
            return True
        except EvidenceProblem as error:
            if error.problem.kind == "denied":
                raise
            self.left.append(f"{name}: {error.problem}")
            return False
        if kind != "i":
            self.findings += [StructureFinding(name, plain(row[0] or "")) for row in table.rows]
        return True
