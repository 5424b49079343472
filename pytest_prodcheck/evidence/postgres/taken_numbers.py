"""Sequences that give numbers which rows have already: the next INSERT is refused as a duplicate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.postgres.sequences import FILLED_COLUMNS
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, TakenNumber

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.postgres.session import Session

AT_ONCE = 50  # sequences of one statement
NEAR = 100  # numbers ahead that are looked at
MOST = 200  # that are told

# Columns that take each number once, of plain integers, by the index of which the lookup is. What a subscription
# copies is written by another server, which draws the numbers; not everybody may read pg_subscription.oid. Row
# security would hide rows.
_FILLED = (
    """\
with filled as (
"""
    + FILLED_COLUMNS
    + """\
)
select coalesce(json_agg(json_build_array(format('%I.%I', sn.nspname, sc.relname), format('%I.%I', tn.nspname,
    t.relname), format('%I', a.attname), concat_ws('.', sn.nspname, sc.relname),
    concat_ws('.', tn.nspname, t.relname, a.attname), s.seqincrement, s.seqmax,
    has_schema_privilege(tn.oid, 'usage') and has_column_privilege(t.oid, a.attnum, 'select')
    and not row_security_active(t.oid), pg_sequence_last_value(s.seqrelid) is not null) order by f.relid), '[]')
from filled f join pg_sequence s using (seqrelid)
join pg_class sc on sc.oid = s.seqrelid join pg_namespace sn on sn.oid = sc.relnamespace
join pg_class t on t.oid = f.relid join pg_namespace tn on tn.oid = t.relnamespace
join pg_attribute a on a.attrelid = t.oid and a.attnum = f.number
where s.seqincrement > 0 and not s.seqcycle and t.relkind in ('r', 'p') and t.relpersistence <> 't'
  and not t.relispartition and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
  and case when has_schema_privilege(sn.oid, 'usage') then has_sequence_privilege(s.seqrelid, 'select') end
  and tn.nspname not in ('pg_catalog', 'information_schema') and tn.nspname !~ '^pg_(toast|temp)'
  and exists (select from pg_index i where i.indrelid = t.oid and i.indisunique and i.indisvalid
    and i.indnkeyatts = 1 and i.indkey[0] = a.attnum and i.indpred is null)
  and not exists (select from pg_subscription_rel r join pg_stat_subscription v on v.subid = r.srsubid
    join pg_subscription u using (subname) where r.srrelid = t.oid and u.subenabled
    and u.subdbid = (select oid from pg_database where datname = current_database()))"""
)
# one statement sees no row whose number was drawn later than it reads the sequence: the snapshot is older
_NEXT = """\
select {at}, (select min(t.{column}) from {table} t where t.{column} >= q.next and t.{column} < q.next + {reach})
from (select case when is_called then last_value + {step} else last_value end as next from {sequence}
      where last_value < {most}) q"""


@dataclass(frozen=True)
class _Filled:
    """A sequence and the column that it fills, as SQL names them and as people do."""

    sequence: str
    table: str
    column: str
    name: str
    column_name: str
    step: int
    most: int
    readable: bool
    drawn: bool


@dataclass(frozen=True)
class TakenNumbers:
    """compared: columns that were read; drawn: of these, those whose sequence has given a number.

    unread: columns that may not be read, or could not be just now.
    """

    compared: int
    drawn: int
    unread: int
    taken: tuple[TakenNumber, ...]


def taken_numbers(session: Session) -> TakenNumbers:
    """Every sequence that fills a unique column, against the rows there."""
    found = [_Filled(*row) for row in session.facts(_FILLED, what="sequences and their columns")]
    readable = [each for each in found if each.readable]
    taken: list[TakenNumber] = []
    compared: list[_Filled] = []
    for start in range(0, len(readable), AT_ONCE):
        part = readable[start : start + AT_ONCE]
        try:
            rows = session.rows(" union all ".join(map(_next, range(len(part)), part)), what="the next numbers").rows
        except EvidenceProblem:
            continue  # a table is locked, or its index is in disorder: unread
        compared += part
        taken += [_taken(part[int(at or 0)], int(number)) for at, number in rows if number is not None]
    drawn = sum(each.drawn for each in compared)
    return TakenNumbers(len(compared), drawn, len(found) - len(compared), tuple(taken[:MOST]))


def _next(at: int, each: _Filled) -> str:
    return _NEXT.format(at=at, column=each.column, table=each.table, sequence=each.sequence, step=each.step,
                        reach=NEAR * each.step, most=each.most - NEAR * each.step - each.step)  # fmt: skip


def _taken(each: _Filled, number: int) -> TakenNumber:
    return TakenNumber(plain(each.name), plain(each.column_name), number, each.drawn)
