"""Tables that are partitioned by time or number: whether a row of now has a partition that takes it, and how long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import PartitionedTable

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.postgres.session import Session

MOST = 50_000  # partitions that are read
_BOUND = r"^FOR VALUES FROM \((''([^'']+)''|MINVALUE)[,)].* TO \((''([^'']+)''|MAXVALUE)[,)]"


def _seconds(which: int) -> str:
    """SQL: how far in the future a bound is; null for one without an end. Zoneless times are the server's."""
    text = f"found[{which}]"
    return (f"case when {text} in ('infinity', '-infinity') then null "
            f"when type = 'timestamptz'::regtype then extract(epoch from {text}::timestamptz - now()) "
            f"else extract(epoch from {text}::timestamp - (now() at time zone zone)) end")  # fmt: skip


# The key may be an expression, such as at::date: its operator class tells the type. What is being detached takes
# nothing any more.
_RANGES = f"""\
with zones as (select reset_val as zone from pg_settings where name = 'TimeZone'),
timed as materialized (
  select p.partrelid, k.opcintype as type, c.relispartition, p.partdefid <> 0 as rest,
    concat_ws('.', n.nspname, c.relname) as name
  from pg_partitioned_table p join pg_class c on c.oid = p.partrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_opclass k on k.oid = p.partclass[0]
  where p.partstrat = 'r' and k.opcintype in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
    and n.nspname not in ('pg_catalog', 'information_schema')
), bounds as materialized (
  select t.partrelid, i.inhrelid, t.type, zone, regexp_match(pg_get_expr(k.relpartbound, k.oid), '{_BOUND}') as found
  from timed t join pg_inherits i on i.inhparent = t.partrelid join pg_class k on k.oid = i.inhrelid cross join zones
  where not coalesce((to_jsonb(i)->>'inhdetachpending')::bool, false)
  order by i.inhrelid desc limit {MOST}
), spans as materialized (
  select partrelid, inhrelid, json_build_array({_seconds(2)}, {_seconds(4)}) as span
  from bounds where found is not null
)
select coalesce(json_agg(json_build_array(t.name, o.span,
  (select coalesce(json_agg(s.span), '[]') from spans s where s.partrelid = t.partrelid), t.rest)), '[]')
from timed t left join spans o on t.relispartition and o.inhrelid = t.partrelid"""

# of a column that a sequence of its own fills: the number that comes next, and whether a partition takes it. One that
# may not be read, or gave none yet, is left to the check of sequences
_NUMBERS = f"""\
with keys as (
  select p.partrelid, p.partdefid <> 0 as rest, concat_ws('.', n.nspname, c.relname) as name,
    d.objid as sequence
  from pg_partitioned_table p join pg_class c on c.oid = p.partrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
  join pg_depend d on d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
    and d.refobjid = p.partrelid and d.refobjsubid = a.attnum and d.deptype in ('a', 'i')
  where p.partstrat = 'r' and not c.relispartition
    and a.atttypid in ('int8'::regtype, 'int4'::regtype, 'int2'::regtype)
), coming as (
  select partrelid, rest, name, case when has_sequence_privilege(sequence, 'select')
                               then pg_sequence_last_value(sequence) end + s.seqincrement as next
  from keys join pg_sequence s on s.seqrelid = sequence
), found as (
  select partrelid, inhrelid, regexp_match(pg_get_expr(k.relpartbound, k.oid), '{_BOUND}') as found
  from coming join pg_inherits i on i.inhparent = partrelid join pg_class k on k.oid = i.inhrelid
  where not coalesce((to_jsonb(i)->>'inhdetachpending')::bool, false)
)
select coalesce(json_agg(json_build_array(name, next, rest,
  (select count(*) from found f where f.partrelid = c.partrelid and f.found is not null),
  exists (select from found f where f.partrelid = c.partrelid and f.found is not null
          and coalesce(f.found[2]::numeric <= next, true) and coalesce(f.found[4]::numeric > next, true)))), '[]')
from coming c where next is not null"""
Span = tuple[float, float]


def partitioned_tables(session: Session) -> tuple[PartitionedTable, ...]:
    """Tables whose partitions are ranges of time, or of a sequence's numbers; by name."""
    told = session.facts(_RANGES, what="partitions")
    found = [_with_default(_table(plain(name), own, spans)) if rest else _table(plain(name), own, spans)
             for name, own, spans, rest in told]  # fmt: skip
    found += [PartitionedTable(plain(name), int(count), None, now=bool(taken), number=int(number), default=bool(rest))
              for name, number, rest, count, taken in session.facts(_NUMBERS, what="partitions by number")
              if count or not rest]  # fmt: skip
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.name))


def _table(name: str, own: Sequence[Any] | None, told: Iterable[Sequence[Any]]) -> PartitionedTable | None:
    """None for a partition that is itself partitioned and over, to come, or whole."""
    spans = sorted(_span(each) for each in told)
    begin, end = _span(own) if own is not None else (float("-inf"), float("inf"))
    if end <= 0 or begin > 0:
        return None
    here = [until for since, until in spans if since <= 0 < until]
    covered = max(here, default=0.0)
    for since, until in spans:
        covered = max(covered, until) if here and since <= covered else covered
    if here and covered >= end:
        return PartitionedTable(name, len(spans), None)
    if here:
        return PartitionedTable(name, len(spans), covered)
    before = [until for _, until in spans if until <= 0]
    return PartitionedTable(name, len(spans), max(before, default=None), later=any(since > 0 for since, _ in spans),
                            now=False)  # fmt: skip


def _with_default(table: PartitionedTable | None) -> PartitionedTable | None:
    """A table whose default partition takes what has no other; None where that is all it has had so far."""
    if table is None or table.now:
        return table and replace(table, left=None, default=True)
    return replace(table, default=True) if table.left is not None else None


def _span(told: Sequence[Any]) -> Span:
    since, until = told
    return (float("-inf") if since is None else float(since), float("inf") if until is None else float(until))
