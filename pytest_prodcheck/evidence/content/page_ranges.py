"""Parts of a table as numbers: by ranges of its pages, which are the same on every physical copy.

Pages are read in their order by a TID range scan (PostgreSQL 14 and newer), so all chunks together cost about what one
scan of the table does; before 14 a table is one chunk. Nothing grows with the table: sums come back, no rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.content.hash_sql import (
    HAS_BINARY,
    RANGES_SINCE,
    Form,
    digest_of,
    digest_sql,
    hash_of,
    page_condition,
    pages_text,
    ranges,
)
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.postgres.session import Session

_PAGE = "(t.ctid::text::point)[0]::bigint"

_PARTS = f"""\
select format('%I.%I', n.nspname, c.relname), c.relpersistence, c.relkind,
  pg_relation_size(c.oid) / current_setting('block_size')::bigint, c.relfilenode,
  (select string_agg(format('%I', a.attname), ',' order by k.place)
   from pg_index i, unnest(i.indkey::int2[]) with ordinality as k(number, place), pg_attribute a
   where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.number),
  {HAS_BINARY}
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid in (select relid from pg_partition_tree(to_regclass($1)) union all select to_regclass($1)::oid)
and c.relkind <> 'p' order by 1"""


@dataclass(frozen=True)
class TablePart:
    """One table with rows of its own. name: quoted. keys: quoted columns of its primary key, () for none.

    form: in which its rows are hashed.
    """

    name: str
    pages: int
    file: str  # relfilenode: another one after a rewrite
    keys: tuple[str, ...]
    form: Form = "text"


@dataclass(frozen=True)
class Chunk:
    """Pages of a table from `first` to before `end`; None: to its end, however far it grows."""

    part: TablePart
    first: int
    end: int | None

    def __str__(self) -> str:
        """For people."""
        return pages_text(self.first, self.end)

    @property
    def where(self) -> str:
        """The condition that selects its rows."""
        return page_condition(self.first, self.end)


Digest = tuple[int, str]  # rows, sum


def parts_of(session: Session, table: str) -> list[TablePart]:
    """A declared table, or the leaves of a partitioned one; raises EvidenceProblem where there are no rows to read."""
    name = table if "." in table else f"public.{table}"
    rows = session.rows(_PARTS, name, what=table).rows
    if not rows:
        what = f"{session.where}: there is no table {name}"
        raise EvidenceProblem(Problem("configuration", what, "is `database` right? Write the name with its schema"))
    found = []
    for quoted, persistence, kind, pages, file, keys, binary in rows:
        if kind != "r" or persistence != "p":
            what = f"{session.where}: {quoted} is {'unlogged' if persistence == 'u' else 'no ordinary table'}"
            raise EvidenceProblem(
                Problem("configuration", what, "standbys do not have its rows: remove it from `content`")
            )
        form: Form = "binary" if binary == "t" else "text"
        found.append(TablePart(str(quoted), int(pages or 0), str(file), tuple(keys.split(",")) if keys else (), form))
    return found


def chunks_of(part: TablePart, size: int, version: int) -> list[Chunk]:
    """The chunks of a table, in order; the last one is open."""
    if version < RANGES_SINCE:
        return [Chunk(part, 0, None)]
    return [Chunk(part, first, end) for first, end in ranges(part.pages, size)]


def digest(session: Session, chunk: Chunk, seconds: float) -> Digest:
    """The rows of a chunk as one number."""
    sql = digest_of(chunk.part.name, chunk.part.form, chunk.where)
    rows, content = session.rows(sql, seconds=seconds, what=f"{chunk.part.name}, {chunk}").rows[0]
    return int(rows or 0), str(content)


def digest_and_position(session: Session, chunk: Chunk, seconds: float) -> tuple[Digest, str]:
    """The same on a primary, with a position in WAL that all these rows lie before."""
    sql = f"select {digest_sql(chunk.part.form)}, pg_current_wal_lsn() from only {chunk.part.name} as t{chunk.where}"
    rows, content, lsn = session.rows(sql, seconds=seconds, what=f"{chunk.part.name}, {chunk}").rows[0]
    return (int(rows or 0), str(content)), str(lsn)


def by_page(session: Session, chunk: Chunk, seconds: float) -> dict[int, Digest]:
    """Every page of a chunk that has rows."""
    sql = f"select {_PAGE}, {digest_sql(chunk.part.form)} from only {chunk.part.name} as t{chunk.where} group by 1"
    table = session.rows(sql, seconds=seconds, what=f"{chunk.part.name}, {chunk}", most=2_000_000)
    return {int(page or 0): (int(rows or 0), str(content)) for page, rows, content in table.rows}


def by_row(session: Session, part: TablePart, page: int, seconds: float) -> dict[str, tuple[str, str]]:
    """Every row of one page: where it lies -> (its hash, its key in words)."""
    names = [key.strip(chr(34)).replace(chr(39), chr(39) * 2) for key in part.keys]
    named = ", ".join(f"format('%s=%s', '{name}', t.{key})" for name, key in zip(names, part.keys, strict=True))
    key = f"concat_ws(' ', {named})" if named else "'row ' || t.ctid::text"
    sql = (
        f"select t.ctid::text, {hash_of(part.form)}::text, {key} from only {part.name} as t"
        f" where t.ctid = any (array(select format('(%s,%s)', $1::text, o)::tid from generate_series(1, 2047) as o))"
    )
    table = session.rows(sql, str(page), seconds=seconds, what=f"{part.name}, page {page}")
    return {str(place): (str(hashed), str(words)) for place, hashed, words in table.rows}
