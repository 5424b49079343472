"""Objects that are there and refuse the statements that they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import SchemaObject

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.postgres.session import Session

MOST = 200  # that are told
SCHEMAS_PUBLISHED = 150000  # servers from which on a publication may name a schema

# every UPDATE and DELETE of a published table needs its replica identity: CheckCmdReplicaIdentity. Nobody may ever
# update a table of events, so those count that were updated before. Partitions are told by their table, once
_OF_SCHEMAS = """\
  union
  select t.oid, p.pubname from pg_publication_namespace s join publishing p on p.oid = s.pnpubid
  join pg_class t on t.relnamespace = s.pnnspid and t.relkind = 'r' and t.relpersistence = 'p'"""
_PUBLISHED = """\
with publishing as (select * from pg_publication where pubupdate or pubdelete),
published(id, publication) as (
  select t.oid, p.pubname from publishing p join pg_class t on t.relkind = 'r' and t.relpersistence = 'p'
  where p.puballtables and pg_relation_is_publishable(t.oid)
  union
  select coalesce(leaf.relid, r.prrelid), p.pubname from pg_publication_rel r join publishing p on p.oid = r.prpubid
  left join lateral pg_partition_tree(r.prrelid) leaf on true where coalesce(leaf.isleaf, true){schemas}
), leaves as (
  select coalesce(pg_partition_root(c.oid), c.oid) as root, d.publication,
    coalesce(s.n_tup_upd + s.n_tup_del, 0) > 0 as changed,
    c.relreplident = 'f' or exists (
      select from pg_index i where i.indrelid = c.oid and i.indisvalid and i.indislive
      and (c.relreplident = 'i' and i.indisreplident or c.relreplident = 'd' and i.indisprimary and i.indimmediate)
    ) as identified
  from published d join pg_class c on c.oid = d.id
  left join pg_stat_user_tables s on s.relid = c.oid where c.relkind = 'r'
), tables as (
  select concat_ws('.', n.nspname, c.relname) as name, min(publication) filter (where not identified) as publication,
    bool_or(changed and not identified) as changed, bool_and(identified) as identified
  from leaves join pg_class c on c.oid = root join pg_namespace n on n.oid = c.relnamespace group by 1
)
select json_build_object('total', count(*), 'found', coalesce(json_agg(json_build_array(
  name, 'publication ' || publication || ' publishes its changes, and it has no replica identity', changed)
  order by name) filter (where not identified), '[]')) from tables"""
_VIEWS = """\
select json_build_object('total', count(*), 'found', coalesce(json_agg(json_build_array(
  concat_ws('.', n.nspname, c.relname), 'the materialized view was never filled', true) order by 1)
  filter (where not c.relispopulated), '[]'))
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'm'"""
_EXTENSIONS = """\
select json_build_object('total', count(*), 'found', coalesce(json_agg(json_build_array(
  'extension ' || e.extname, 'its version ' || e.extversion || ' is not on this server'
  || coalesce(', but ' || (select default_version from pg_available_extensions a where a.name = e.extname)
              || ': ALTER EXTENSION … UPDATE', ''), false) order by 1)
  filter (where not exists (select from pg_available_extension_versions a
                            where a.name = e.extname and a.version = e.extversion)), '[]'))
from pg_extension e"""


@dataclass(frozen=True)
class Usable:
    """total: objects that were looked at. refusing: those that refuse statements. doubtful: those that may."""

    total: int
    refusing: tuple[SchemaObject, ...]
    doubtful: tuple[SchemaObject, ...]


def usable(session: Session) -> Usable:
    """Materialized views, published tables and extensions of the database."""
    published = _PUBLISHED.format(schemas=f"\n{_OF_SCHEMAS}" if session.version >= SCHEMAS_PUBLISHED else "")
    total, found = 0, []
    for sql, what in ((published, "publications"), (_VIEWS, "materialized views"), (_EXTENSIONS, "extensions")):
        told = session.facts(sql, what=what)
        total += told["total"]
        found += [(SchemaObject(plain(name), plain(why)), sure) for name, why, sure in told["found"][:MOST]]
    return Usable(
        total, tuple(each for each, sure in found if sure), tuple(each for each, sure in found if not sure)
    )
