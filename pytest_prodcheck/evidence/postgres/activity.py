"""`postgres-activity`: transaction ages, lock waits, idle and prepared transactions, dead rows of the primary.

And `postgres-checksums` of every node. The SQL is for PostgreSQL 13 to 18; columns and settings that only newer servers
have are read in ways that older ones answer with nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, seconds_for, to_every_node, to_primary
from pytest_prodcheck.evidence.postgres.members import Member
from pytest_prodcheck.evidence.postgres.session import Session, on_every_node, on_primary
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.database import (
    Activity,
    Checksums,
    ChecksumState,
    DeadRows,
    SessionActivity,
    TransactionAge,
)

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_AGES = """\
select json_build_object(
  'freeze', current_setting('autovacuum_freeze_max_age')::bigint,
  'counted', (select reset_val::bool from pg_settings where name = 'track_counts'),
  'autovacuum', current_setting('autovacuum')::bool,
  'multixact', current_setting('autovacuum_multixact_freeze_max_age')::bigint,
  'databases', (select json_agg(json_build_array(datname, age, mxid)) from (
    select datname, age(datfrozenxid) as age, mxid_age(datminmxid) as mxid from pg_database
    order by greatest(age(datfrozenxid), mxid_age(datminmxid)) desc limit 50) as oldest))"""

# A wait for a virtual transaction is CREATE INDEX CONCURRENTLY and its like: it blocks nobody who writes.
# Servers before 14 do not tell when a wait began: there it is the statement's beginning.
_WAITS = """\
select json_build_object('hidden', not pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
'waits', (select coalesce(json_agg(json_build_array(pid, usename, application_name, seconds, what, blockers)), '[]')
          from (
  select a.pid, a.usename, a.application_name, l.locktype || coalesce(' of ' || c.relname, '') as what,
    extract(epoch from clock_timestamp()
      - coalesce((to_jsonb(l)->>'waitstart')::timestamptz, a.query_start)) as seconds,
    array_to_string(pg_blocking_pids(a.pid), ', ') as blockers
  from pg_locks l join pg_stat_activity a using (pid)
  left join pg_class c on c.oid = l.relation and l.database in (0, (select oid from pg_database
                                                                     where datname = current_database()))
  where not l.granted and l.locktype <> 'virtualxid' and a.pid <> pg_backend_pid()
  order by seconds desc nulls first limit 50) as longest),
'idle', (select coalesce(json_agg(json_build_array(pid, usename, application_name, seconds, state, open)), '[]')
         from (
  select pid, usename, application_name, state, extract(epoch from clock_timestamp() - state_change) as seconds,
    extract(epoch from clock_timestamp() - xact_start) as open
  from pg_stat_activity where state like 'idle in transaction%' and pid <> pg_backend_pid()
  order by xact_start limit 200) as longest),
'prepared', (select coalesce(json_agg(json_build_array(gid, owner, database, seconds)), '[]') from (
  select gid, owner, database, extract(epoch from clock_timestamp() - prepared) as seconds from pg_prepared_xacts
  order by prepared limit 50) as oldest))"""

# a TOAST table has options of its own (toast.autovacuum_enabled), or those of its table
_DEAD = """\
with tables as (
  select s.relid, case when c.relkind = 't' then 'TOAST of ' else '' end
      || concat_ws('.', n.nspname, coalesce(m.relname, c.relname)) as name,
    s.n_dead_tup as dead, greatest(c.reltuples, 0) as rows, coalesce(c.reloptions, m.reloptions) as options
  from pg_stat_all_tables s join pg_class c on c.oid = s.relid
  left join pg_class m on c.relkind = 't' and m.reltoastrelid = c.oid
  join pg_namespace n on n.oid = coalesce(m.relnamespace, c.relnamespace)
  where c.relpersistence <> 't' and c.relkind in ('r', 'm', 't')
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'
), options as (
  select relid, name, dead, rows,
    (select option_value from pg_options_to_table(options) where option_name = 'autovacuum_enabled') as enabled,
    (select option_value::float8 from pg_options_to_table(options)
      where option_name = 'autovacuum_vacuum_threshold') as threshold,
    (select option_value::float8 from pg_options_to_table(options)
      where option_name = 'autovacuum_vacuum_scale_factor') as factor,
    (select option_value::float8 from pg_options_to_table(options)
      where option_name = 'autovacuum_vacuum_max_threshold') as most
  from tables
), triggers as (
  select relid, name, dead, coalesce(enabled::bool, true) and current_setting('autovacuum')::bool as enabled,
    coalesce(nullif(threshold, -1), current_setting('autovacuum_vacuum_threshold')::float8)
      + coalesce(nullif(factor, -1), current_setting('autovacuum_vacuum_scale_factor')::float8) * rows as trigger,
    coalesce(nullif(most, -2), current_setting('autovacuum_vacuum_max_threshold', true)::float8, -1) as most
  from options
), effective as (
  select *, greatest(case when most >= 0 then least(trigger, most) else trigger end, 1) as comes from triggers
)
select json_build_object('total', count(*) filter (where name not like 'TOAST of %'), 'found', (
  select coalesce(json_agg(json_build_array(name, dead, comes, enabled,
    exists (select from pg_stat_progress_vacuum v where v.relid = worst.relid))), '[]')
  from (select * from effective where dead > 0 order by dead / comes desc, name limit 50) as worst))
from effective"""

_CHECKSUMS = """\
select json_build_object('on', current_setting('data_checksums') = 'on',
  'failures', (select coalesce(sum(checksum_failures), 0) from pg_stat_database),
  'databases', (select coalesce(json_agg(coalesce(datname, 'shared tables')), '[]') from pg_stat_database
                where checksum_failures > 0))"""


@evidence(
    "postgres-activity", axis="postgres", seconds=seconds_for, host=first_node,
    sends=to_primary("statistics views"),
)  # fmt: skip
def postgres_activity(target: str, context: Context, deadline: Deadline) -> Activity:
    """What the primary's statistics say; needs pg_monitor, for others' sessions are hidden without it."""
    with on_primary(target, context, deadline) as session:
        ages = session.facts(_AGES, what="transaction ages")
        waits = session.facts(_WAITS, what="sessions and locks")
        dead = session.facts(_DEAD, what="dead rows")
        if waits["hidden"]:
            what = f"{session.where}: {session.user} does not see what others' sessions do"
            raise EvidenceProblem(Problem("denied", what, f'GRANT pg_monitor TO "{session.user}"'))
        return Activity(
            node=session.declared,
            freeze_max_age=ages["freeze"],
            multixact_freeze_max_age=ages["multixact"],
            databases=tuple(TransactionAge(plain(name), age, mxid) for name, age, mxid in ages["databases"] or ()),
            waits=tuple(_waiting_session(*each) for each in waits["waits"]),
            idle=tuple(_idle(*each) for each in waits["idle"]),
            prepared=tuple(_prepared(*each) for each in waits["prepared"]),
            tables_total=dead["total"],
            dead=tuple(_dead_rows(*each) for each in dead["found"]),
            counted=ages["counted"],
            autovacuum=ages["autovacuum"],
        )


def _session_text(pid: int, user: str | None, application: str | None) -> str:
    words = [f"user {user}"] if user else []
    words += [f"application {application}"] if application else []
    return plain(f"pid {pid}" + (f" ({', '.join(words)})" if words else ""))


def _waiting_session(
    pid: int, user: str, application: str, seconds: float | None, what: str, blockers: str
) -> SessionActivity:
    by = f", held by pid {blockers}" if blockers else ""
    return SessionActivity(
        _session_text(pid, user, application), max(float(seconds or 0.0), 0.0), plain(f"waits for a lock, {what}{by}")
    )


def _idle(
    pid: int, user: str, application: str, seconds: float | None, state: str, since: float | None
) -> SessionActivity:
    return SessionActivity(
        _session_text(pid, user, application), max(float(seconds or 0.0), 0.0), state, max(float(since or 0.0), 0.0)
    )


def _prepared(gid: str, owner: str, database: str, seconds: float) -> SessionActivity:
    return SessionActivity(plain(gid, 100), max(float(seconds), 0.0), plain(f"prepared by {owner} in {database}"))


def _dead_rows(name: str, rows: int, trigger: float, autovacuum: bool, vacuuming: bool) -> DeadRows:
    return DeadRows(plain(name), rows, max(int(trigger), 1), autovacuum, vacuuming)


@evidence(
    "postgres-checksums", axis="postgres", seconds=seconds_for, host=first_node,
    sends=to_every_node("checksum statistics"),
)  # fmt: skip
def postgres_checksums(target: str, context: Context, deadline: Deadline) -> Checksums:
    """Whether each node has page checksums, and how many failed; a node that does not answer has its problem."""

    def look(member: Member, session: Session) -> ChecksumState:
        return _state(member, session.facts(_CHECKSUMS, what="checksum failures"))

    def failed(node: str, problem: Problem) -> ChecksumState:
        return ChecksumState(node, problem=problem)

    return Checksums(on_every_node(target, context, deadline, look, failed))


def _state(member: Member, facts: Any) -> ChecksumState:
    names = tuple(plain(name) for name in facts["databases"][:50])
    return ChecksumState(member.declared, facts["on"], int(facts["failures"]), names)
