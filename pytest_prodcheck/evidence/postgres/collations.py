"""`postgres-collations`: versions that collations had when indexes were built, against the system's, on every node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, seconds_for, to_every_node
from pytest_prodcheck.evidence.postgres.members import Member
from pytest_prodcheck.evidence.postgres.session import Session, on_every_node
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import Collation, CollationNode, Collations, Problem

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

    def look(member: Member, session: Session) -> CollationNode:
        told = list(session.facts(_USED, what="collations"))
        recorded = session.version >= DATABASE_VERSIONS
        own = session.facts(_DATABASE, what="collations") if recorded else [None, None, None]
        return _node(member, told, own, recorded)

    def failed(node: str, problem: Problem) -> CollationNode:
        return CollationNode(node, problem=problem)

    return Collations(on_every_node(target, context, deadline, look, failed))


def _node(member: Member, told: list[Any], own: list[Any], recorded: bool) -> CollationNode:
    changed = [own] if own[1] is not None and own[1] != own[2] else []
    return CollationNode(
        member.declared, recorded,
        tuple(Collation(plain(name), plain(was), plain(now) if now is not None else "")
              for name, was, now in (*changed, *told)[:MOST]),
    )  # fmt: skip
