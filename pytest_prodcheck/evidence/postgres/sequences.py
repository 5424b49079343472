"""Sequences: how many of the numbers that one, or the column that it fills, can hold are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import SequenceUse

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.postgres.session import Session

AT_ONCE = 500  # sequences of one statement
WORST = 100  # that are told

# The columns that sequences fill: those that own them, and those whose default draws from them.
FILLED_COLUMNS = """\
  select d.objid as seqrelid, d.refobjid as relid, d.refobjsubid as number from pg_depend d
  where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
    and d.refobjsubid > 0
  union
  select d.refobjid, a.adrelid, a.adnum from pg_depend d join pg_attrdef a on a.oid = d.objid
  where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass
"""
# What a column can hold is its real type's: domains are followed to what they stand on, numeric(p, s) has a largest.
# A default may name its sequence as text, which leaves no dependency; columns that refer to a filled one hold its
# numbers too.
SEQUENCES_SQL = (
    """\
with direct as (
"""
    + FILLED_COLUMNS
    + """\
  union
  select coalesce(to_regclass(name), to_regclass(quote_ident(nspname) || '.' || name))::oid, adrelid, adnum from (
    select adrelid, adnum, n.nspname,
      (regexp_match(pg_get_expr(adbin, adrelid), 'nextval\\(\\(*''([^'']+)''::text'))[1] as name
    from pg_attrdef a join pg_class c on c.oid = a.adrelid join pg_namespace n on n.oid = c.relnamespace) as late
  where name ~ '^("[^"]+"|[a-z0-9_]+)(\\.("[^"]+"|[a-z0-9_]+))?$'
), fills as (
  select seqrelid, relid, number from direct where seqrelid is not null
  union
  select f.seqrelid, k.conrelid, k.conkey[place.at] from direct f
  join pg_constraint k on k.contype = 'f' and k.confrelid = f.relid
  cross join lateral generate_subscripts(k.confkey, 1) as place(at)
  where k.confkey[place.at] = f.number
), narrow as (
  select distinct on (f.seqrelid) f.seqrelid, concat_ws('.', n.nspname, c.relname, a.attname) as column_name,
    real.widest
  from fills f join pg_attribute a on a.attrelid = f.relid and a.attnum = f.number
  join pg_class c on c.oid = f.relid join pg_namespace n on n.oid = c.relnamespace
  cross join lateral (
    with recursive base(id, mod) as (
      select a.atttypid, a.atttypmod
      union all
      select t.typbasetype, t.typtypmod from base join pg_type t on t.oid = base.id where t.typtype = 'd')
    select case base.id when 'int2'::regtype then 32767 when 'int4'::regtype then 2147483647
      when 'int8'::regtype then 9223372036854775807
      when 'numeric'::regtype then case when mod >= 4 then trunc(10::numeric
        ^ greatest(((mod - 4) >> 16 & 65535) - (((mod - 4 & 2047) # 1024) - 1024), 0)) - 1 end end::numeric as widest
    from base join pg_type t on t.oid = base.id where t.typtype <> 'd') as real
  where real.widest is not null
  order by f.seqrelid, real.widest
)
select coalesce(json_agg(json_build_array(format('%I.%I', n.nspname, c.relname), concat_ws('.', n.nspname, c.relname),
    w.column_name, w.widest, s.seqincrement > 0, s.seqcycle, s.seqmin, s.seqmax,
    has_sequence_privilege(s.seqrelid, 'select'),
    case when has_sequence_privilege(s.seqrelid, 'select') then pg_sequence_last_value(s.seqrelid) end)), '[]')
from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
left join narrow w using (seqrelid)
where c.relpersistence <> 't'
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'"""
)


@dataclass(frozen=True)
class Sequence:
    """One sequence. quoted: as SQL names it. widest: the largest number that its column holds. last: drawn last."""

    quoted: str
    name: str
    column: str | None
    widest: int | None
    up: bool
    cycle: bool
    least: int
    most: int
    readable: bool
    last: int | None

    @property
    def lower(self) -> int:
        """The smallest number that fits both."""
        return self.least if self.up or self.widest is None else max(self.least, -self.widest - 1)

    @property
    def upper(self) -> int:
        """The largest number that fits both."""
        return self.most if not self.up or self.widest is None else min(self.most, self.widest)

    @property
    def endless(self) -> bool:
        """It begins anew, within what its column can hold."""
        return self.cycle and (self.lower, self.upper) == (self.least, self.most)


@dataclass(frozen=True)
class Sequences:
    """All of a database. used: those of which most is used."""

    total: int
    cycling: int
    unreadable: tuple[str, ...]
    used: tuple[SequenceUse, ...]


def sequences(session: Session) -> Sequences:
    """Every sequence of the database; one that was never drawn from, or was set back, is read by itself."""
    found = [_sequence(row) for row in session.facts(SEQUENCES_SQL, what="sequences")]
    finite = [each for each in found if each.readable and not each.endless]
    first = _first_numbers([each.quoted for each in finite if each.last is None], session)
    uses = [_sequence_use(each, first.get(each.quoted)) for each in finite]
    return Sequences(
        total=len(found),
        cycling=sum(each.endless for each in found),
        unreadable=tuple(plain(each.name) for each in found if not each.readable and not each.endless),
        used=tuple(sorted(uses, key=lambda use: (-use.used, use.name))[:WORST]),
    )


def _sequence(row: list[Any]) -> Sequence:
    quoted, name, column, widest, *rest = row
    return Sequence(quoted, name, column, None if widest is None else int(widest), *rest)


def _first_numbers(quoted: list[str], session: Session) -> dict[str, int]:
    """The number that each of these sequences, of which none is drawn, will give first."""
    found: dict[str, int] = {}
    for start in range(0, len(quoted), AT_ONCE):
        part = quoted[start : start + AT_ONCE]
        numbers = " union all ".join(f"select {index}, last_value from {name}" for index, name in enumerate(part))
        rows = session.rows(numbers, what="sequences").rows
        found.update({part[int(index or 0)]: int(value or 0) for index, value in rows})
    return found


def _sequence_use(sequence: Sequence, first: int | None) -> SequenceUse:
    """Numbers that lie behind, of those there are; `first`: the next one, where none is drawn."""
    lower, upper = sequence.lower, sequence.upper
    room = max(upper - sequence.least + 1 if sequence.up else sequence.most - lower + 1, 1)
    if sequence.last is not None:
        taken = sequence.last - sequence.least + 1 if sequence.up else sequence.most - sequence.last + 1
    elif first is not None:
        taken = first - sequence.least if sequence.up else sequence.most - first
    else:
        taken = 0
    narrowed = sequence.widest is not None and sequence.widest < sequence.most
    column = (sequence.column or "") if narrowed else ""
    return SequenceUse(plain(sequence.name), plain(column), min(taken / room, 1.0), max(room - taken, 0))
