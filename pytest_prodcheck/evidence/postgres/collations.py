"""`postgres-collations`: versions that collations had when indexes were built, against the system's, on every node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, seconds_for, to_every_node
from pytest_prodcheck.evidence.postgres.members import Member, members
from pytest_prodcheck.evidence.postgres.session import open_session
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import Collation, CollationNode, Collations, EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

DATABASE_VERSIONS = 150000  # servers from which on a database has a version of its own
MOST = 200

# collations that some column, index or partition key has; nobody's order depends on the others
_USED = """\
with used as materialized (
  select c.oid, n.nspname, c.collname, c.collversion from pg_collation c join pg_namespace n on n.oid = c.collnamespace
  where c.collversion is not null
  and c.collencoding in (-1, (select encoding from pg_database where datname = current_database()))
  and (exists (select from pg_attribute a join pg_class r on r.oid = a.attrelid
               join pg_namespace s on s.oid = r.relnamespace
               where a.attcollation = c.oid and a.attnum > 0 and not a.attisdropped
               and s.nspname not in ('pg_catalog', 'information_schema'))
       or exists (select from pg_partitioned_table p where c.oid = any(p.partcollation::oid[])))
), versions as (
  select 'collation ' || nspname || '.' || collname as name, collversion, pg_collation_actual_version(oid) as actual
  from used
)
select coalesce(json_agg(json_build_array(name, collversion, actual) order by name), '[]')
from versions where collversion is distinct from actual"""
_DATABASE = """\
select json_build_array('database ' || datname, datcollversion, pg_database_collation_actual_version(oid))
from pg_database where datname = current_database()"""


@evidence(
    "postgres-collations", axis="postgres", seconds=seconds_for, host=first_node,
    sends=to_every_node("versions of collations"),
)  # fmt: skip
def postgres_collations(target: str, context: Context, deadline: Deadline) -> Collations:
    """What is not as it was when indexes were built; a node that does not answer has its problem."""

    def one(member: Member) -> CollationNode:
        try:
            with open_session(target, context, deadline, member) as session:
                told = list(session.facts(_USED, what="collations"))
                recorded = session.version >= DATABASE_VERSIONS
                own = session.facts(_DATABASE, what="collations") if recorded else [None, None, None]
                return _node(member, told, own, recorded)
        except EvidenceProblem as error:
            return CollationNode(member.declared, problem=error.problem)

    found = members(target, context, deadline)
    answers = side_by_side([lambda each=each: one(each) for each in found], deadline.time_left())  # type: ignore[misc]
    late = Problem("timeout", "no answer in time")
    return Collations(
        tuple(answer or CollationNode(member.declared, problem=late)
              for member, answer in zip(found, answers, strict=True))
    )  # fmt: skip


def _node(member: Member, told: list[Any], own: list[Any], recorded: bool) -> CollationNode:
    changed = [own] if own[1] is not None and own[1] != own[2] else []
    return CollationNode(
        member.declared, recorded,
        tuple(Collation(plain(name), plain(was), plain(now) if now is not None else "")
              for name, was, now in (*changed, *told)[:MOST]),
    )  # fmt: skip
