"""`postgres-schema`: what the primary's catalogue says of constraints, triggers, tables, indexes and sequences.

The SQL is for PostgreSQL 13 to 18; columns that only newer servers have are read through `to_jsonb`, which leaves out
what is not there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, seconds_for, to_primary
from pytest_prodcheck.evidence.postgres.partitions import partitioned_tables
from pytest_prodcheck.evidence.postgres.sequences import sequences
from pytest_prodcheck.evidence.postgres.session import Session, on_primary
from pytest_prodcheck.evidence.postgres.taken_numbers import taken_numbers
from pytest_prodcheck.evidence.postgres.unusable_objects import usable
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records.database import Schema, SchemaObject

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

AGAIN = 0.5  # seconds until an invalid index is looked at once more: its build may just have ended
OURS = """(n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)')"""

_CONSTRAINTS = f"""\
select json_build_object('total', count(*), 'found', coalesce(json_agg(json_build_array(name, what) order by name)
  filter (where not good and place <= 200), '[]'))
from (
  select concat_ws('.', n.nspname, coalesce(c.relname, t.typname), k.conname) as name,
    case k.contype when 'f' then 'foreign key' when 'c' then 'check' when 'n' then 'not null' else 'constraint' end
    || case when (to_jsonb(k)->>'conenforced')::bool is false then ', not enforced' else ', not validated' end as what,
    k.convalidated as good, row_number() over (partition by k.convalidated order by k.oid) as place
  from pg_constraint k join pg_namespace n on n.oid = k.connamespace
  left join pg_class c on c.oid = k.conrelid left join pg_type t on t.oid = k.contypid
  where {OURS}
) as all_of_them"""


def _mode(column: str) -> str:
    """SQL: in words, in which sessions something fires that does not fire in all."""
    return (f"case {column} when 'D' then 'disabled' when 'R' then 'fires for replication alone' "
            f"else 'mode ' || {column}::text end")  # fmt: skip


_TRIGGERS = f"""\
select json_build_object('total', count(*), 'found', coalesce(json_agg(distinct jsonb_build_array(name, what))
  filter (where disabled and place <= 2000), '[]'),
  'roles', (select coalesce(json_agg(coalesce(r.rolname, 'every role')), '[]') from pg_db_role_setting s
            left join pg_roles r on r.oid = s.setrole
            where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
            and 'session_replication_role=replica' = any(s.setconfig)),
  'server', (select reset_val = 'replica' from pg_settings where name = 'session_replication_role'))
from (
  select concat_ws('.', n.nspname, c.relname, case when t.tgisinternal then k.conname else t.tgname end) as name,
    case when t.tgisinternal then 'triggers of a foreign key, ' else 'trigger, ' end
      || {_mode('t.tgenabled')}
         as what,
    t.tgenabled not in ('O', 'A') as disabled, row_number() over (partition by t.tgenabled order by t.oid) as place
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
  left join pg_constraint k on k.oid = t.tgconstraint
  where {OURS}
  union all
  select concat_ws('.', n.nspname, c.relname, r.rulename), 'rule, ' || {_mode('r.ev_enabled')},
    r.ev_enabled not in ('O', 'A'), row_number() over (partition by r.ev_enabled order by r.oid)
  from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
  where {OURS} and r.rulename <> '_RETURN'
  union all
  select e.evtname::text, 'event trigger, ' || {_mode('e.evtenabled')},
    e.evtenabled not in ('O', 'A'), row_number() over (partition by e.evtenabled order by e.oid)
  from pg_event_trigger e
) as all_of_them"""

# A partitioned parent holds no rows: its mark is its partitions' default alone. A sequence of an unlogged table goes
# with it.
_TABLES = f"""\
select json_build_object('total', count(*) filter (where c.relkind <> 'S'), 'found', coalesce(json_agg(
  json_build_array(concat_ws('.', n.nspname, c.relname),
                   case c.relkind when 'S' then 'unlogged sequence' else 'unlogged' end) order by 1)
  filter (where c.relpersistence = 'u'), '[]'))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm', 'S') and c.relpersistence <> 't' and {OURS}
  and not (c.relkind = 'S' and exists (
    select from pg_depend d join pg_class t on t.oid = d.refobjid
    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
    and d.deptype in ('a', 'i') and t.relpersistence = 'u'))"""

# ALTER TABLE … DISABLE ROW LEVEL SECURITY leaves the policies as they are
_POLICIES = f"""\
select json_build_object('total', count(*), 'found', coalesce(json_agg(json_build_array(
  concat_ws('.', n.nspname, c.relname), 'its row policies filter nothing, because row security is off') order by 1)
  filter (where not c.relrowsecurity), '[]'))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where exists (select from pg_policy p where p.polrelid = c.oid) and {OURS}"""

# all indexes of a table that one is being built on count as being built: REINDEX CONCURRENTLY makes several in turn
_INDEXES = f"""\
select json_build_object('total', count(*), 'building', count(*) filter (where bad and built),
  'found', coalesce(json_agg(json_build_array(name, what) order by name) filter (where bad and not built), '[]'))
from (
  select concat_ws('.', n.nspname, c.relname) as name, 'invalid index of ' || t.relname as what,
    not (i.indisvalid and i.indisready and i.indislive) as bad,
    exists (select from pg_stat_progress_create_index p where p.relid = i.indrelid) as built
  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
  join pg_namespace n on n.oid = c.relnamespace
  where c.relpersistence <> 't' and {OURS}
) as all_of_them"""

# DETACH PARTITION … CONCURRENTLY that was ended half way, not one that waits for older transactions. PostgreSQL 13 has
# no such thing
_DETACHED = f"""\
select json_build_object('found', coalesce(json_agg(json_build_array(
  concat_ws('.', n.nspname, c.relname), 'half detached from ' || i.inhparent::regclass) order by 1), '[]'))
from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_namespace n on n.oid = c.relnamespace
where (to_jsonb(i)->>'inhdetachpending')::bool and {OURS} and not exists (
  select from pg_stat_activity a where a.datname = current_database() and a.state = 'active'
  and a.pid <> pg_backend_pid() and a.query ~* 'detach\\s+partition')"""


@evidence(
    "postgres-schema", axis="postgres", seconds=seconds_for, host=first_node, sends=to_primary("the catalogue"),
)  # fmt: skip
def postgres_schema(target: str, context: Context, deadline: Deadline) -> Schema:
    """The catalogue of the database on the primary; where tables may be read, whether their next numbers are free."""
    with on_primary(target, context, deadline) as session:
        constraints, triggers, tables, detached, policies = (
            session.facts(sql, what=what)
            for sql, what in (
                (_CONSTRAINTS, "constraints"), (_TRIGGERS, "triggers"), (_TABLES, "tables"), (_DETACHED, "partitions"),
                (_POLICIES, "row policies"),
            )
        )  # fmt: skip
        indexes, numbers = _indexes(session), sequences(session)
        by_time, working, taken = partitioned_tables(session), usable(session), taken_numbers(session)
    return Schema(
        constraints_total=constraints["total"],
        unvalidated=_objects(constraints),
        half_detached=_objects(detached),
        triggers_total=triggers["total"],
        disabled=_disabled(triggers),
        tables_total=tables["total"],
        unlogged=_objects(tables),
        indexes_total=indexes["total"],
        invalid=_objects(indexes),
        building=indexes["building"],
        sequences_total=numbers.total,
        sequences=numbers.used,
        cycling=numbers.cycling,
        unreadable=numbers.unreadable[:200],
        by_time=by_time,
        refusing=working.refusing,
        doubtful=working.doubtful,
        usable_total=working.total,
        taken=taken.taken,
        numbers_compared=taken.compared,
        numbers_drawn=taken.drawn,
        numbers_unread=taken.unread,
        policies_total=policies["total"],
        unfiltered=_objects(policies),
    )


def _objects(facts: Any) -> tuple[SchemaObject, ...]:
    return tuple(SchemaObject(plain(name), plain(what)) for name, what in facts["found"][:200])


def _disabled(facts: Any) -> tuple[SchemaObject, ...]:
    nobody = "session_replication_role = replica: triggers and foreign keys do not fire"
    roles = tuple(SchemaObject(f"role {plain(role)}", nobody) for role in sorted(set(facts["roles"])))
    server = (SchemaObject("server", nobody),) if facts["server"] and not roles else ()
    return (*_objects(facts), *roles, *server)


def _indexes(session: Session) -> Any:
    """Those that are invalid twice: one whose build ended between two looks is not."""
    first = session.facts(_INDEXES, what="indexes")
    if not first["found"]:
        return first
    time.sleep(AGAIN)
    second = session.facts(_INDEXES, what="indexes")
    before = {name for name, _ in first["found"]}
    return {**second, "found": [each for each in second["found"] if each[0] in before]}
