"""The relations of a database that rows could break: foreign keys of the catalogue, and declared ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.postgres.safe_sql import EQUALITY, quoted

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.postgres import Postgres
    from pytest_prodcheck.evidence.postgres.session import Session

# Identifiers come quoted from the server. A partition's own copy of its parent's key is left out, but the key is
# enforced only where each copy is: validated, and with triggers that fire in every session.
_FOREIGN_KEYS = """\
select coalesce(json_agg(json_build_array(
  concat_ws('.', n.nspname, c.relname, k.conname), k.conrelid::text,
  format('%I.%I', n.nspname, c.relname), format('%I.%I', rn.nspname, r.relname),
  (select json_agg(quote_ident(a.attname) order by i) from unnest(k.conkey) with ordinality as u(num, i)
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num),
  (select json_agg(quote_ident(a.attname) order by i) from unnest(k.confkey) with ordinality as u(num, i)
    join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.num),
  not exists (
      with recursive tree(id) as (
        select k.oid union all select below.oid from pg_constraint below join tree on below.conparentid = tree.id)
      select from tree join pg_constraint each on each.oid = tree.id
      where not each.convalidated or (to_jsonb(each)->>'conenforced')::bool is false
        or exists (select from pg_trigger t where t.tgconstraint = each.oid and t.tgenabled not in ('O', 'A')))
    and not exists (select from pg_db_role_setting s where 'session_replication_role=replica' = any(s.setconfig)
      and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))),
  (select json_agg(quote_ident(o.nspname) order by i) from unnest(k.conpfeqop) with ordinality as u(num, i)
    join (select oo.oid, nn.nspname from pg_operator oo join pg_namespace nn on nn.oid = oo.oprnamespace) as o
    on o.oid = u.num)
) order by n.nspname, c.relname, k.conname), '[]')
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class r on r.oid = k.confrelid join pg_namespace rn on rn.oid = r.relnamespace
where k.contype = 'f' and k.conparentid = 0
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'"""

# leaves of a partitioned table, or the table itself; pages tell how far one can read in pieces
_PARTS = """\
select coalesce(json_agg(json_build_array(format('%I.%I', n.nspname, c.relname),
  greatest(c.reltuples, 0)::bigint, case when c.relkind in ('r', 'm')
    then pg_relation_size(c.oid) / current_setting('block_size')::bigint else 0 end,
  has_table_privilege(c.oid, 'select'))), '[]')
from (select relid from pg_partition_tree($1::regclass) where isleaf
      union select $1::regclass where not exists (select from pg_partition_tree($1::regclass))) as parts(relid)
join pg_class c on c.oid = parts.relid join pg_namespace n on n.oid = c.relnamespace"""


@dataclass(frozen=True)
class Relation:
    """Names as SQL has them, quoted where needed. kind: "declared", "not enforced" or "enforced".

    equal: schemas of the operators by which parent and child columns are compared; () where they are not known yet.
    """

    name: str
    child: str
    child_columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    kind: str
    equal: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, str]:
        """Child and parent for people: "schema.table(column)"."""
        return f"{self.child}({', '.join(self.child_columns)})", f"{self.parent}({', '.join(self.parent_columns)})"


@dataclass(frozen=True)
class Part:
    """One table that holds rows. rows: about. pages: 0 where it cannot be read in pieces."""

    table: str
    rows: int
    pages: int


def relations(settings: Postgres, session: Session) -> Iterator[Relation]:
    """Declared relations, then foreign keys that the server does not enforce, then those that it does."""
    from pytest_prodcheck.environments.sections.database import columns_of

    for name, declared in settings.relations.items():
        child, child_columns = columns_of(declared.child)
        parent, parent_columns = columns_of(declared.parent)
        yield Relation(name, child, child_columns, parent, parent_columns, "declared")
    found: list[Any] = session.facts(_FOREIGN_KEYS, what="foreign keys")
    for wanted in (False, True):
        for name, _, child, parent, child_columns, parent_columns, enforced, equal in found:
            if enforced is wanted:
                kind = "enforced" if enforced else "not enforced"
                yield Relation(name, child, tuple(child_columns), parent, tuple(parent_columns), kind, tuple(equal))


def resolved(relation: Relation, session: Session) -> Relation:
    """The relation with the schemas of its tables and of the operators; raises EvidenceProblem where one is missing."""
    if relation.equal:
        return relation
    child, parent = (session.named(each, relation.name) for each in (relation.child, relation.parent))
    equal = []
    for column in relation.parent_columns:
        found = session.rows(EQUALITY, parent, column, what=relation.name).rows
        equal.append(quoted(str(found[0][0])) if found else "pg_catalog")
    return replace(relation, child=child, parent=parent, equal=tuple(equal))


def partitions_of(table: str, session: Session) -> list[Part]:
    """The tables that hold the rows of one: itself, or its partitions; where those may not be read, all in one."""
    found = session.facts(_PARTS, table, what=table)
    if len(found) > 1 and not all(readable for *_, readable in found):
        return [Part(table, sum(rows for _, rows, _, _ in found), 0)]
    return [Part(name, rows, pages) for name, rows, pages, _ in found]
