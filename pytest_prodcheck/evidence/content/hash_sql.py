"""How the content of a table becomes a number: one definition for primary, standby, backup record and restored server.

A row becomes bytes, the bytes a 64-bit hash with seed 0 (lookup3, src/common/hashfn.c), rows are summed: the sum needs
no order, so chunks can be hashed apart and added. A row is hashed in one of two forms:

- `binary`: what record_send() makes of it, which takes two thirds of the time that text does. It names types by their
  oid, so it is the same on physical copies only. It goes into a row of one `bytea`, for nothing else hashes bytes.
- `text`: the row as text. For dumps, for servers before 14, where the encoding would be converted, and where a type has
  no binary form. Text depends on settings: they are fixed.

Both forms tell values apart that SQL takes for equal (1.0 and 1.00, 0 and -0, texts of a collation that ignores case),
which hash_record_extended(row) would not; it also folds a bigint to 32 bits, so that 1 and 2^32 are the same to it.

One changed row changes its sum unless both its hashes are equal: 1 in 2^64. The sum is numeric, not cut to 64 bits, and
rows are counted beside it, so neither twins cancel out (as with XOR) nor is a row lost for another of hash 0. Several
changed rows of a chunk are overlooked where their differences add up to 0, again 1 in 2^64. That holds for
accidents: lookup3 is no cryptographic hash, and who writes rows in order to hide others is not found out.
"""

from __future__ import annotations

from typing import Literal, get_args

from pytest_prodcheck.evidence.postgres.safe_sql import PATH

Form = Literal["binary", "text"]
_LONGEST = 2**31 - 1  # ms of statement_timeout
RANGES_SINCE = 140000  # server_version_num
FORMS: tuple[Form, ...] = get_args(Form)
_HASHES: dict[Form, str] = {  # t.* and not t, which a column of that name would be
    "binary": "pg_catalog.hash_record_extended(row(pg_catalog.record_send(t.*)), 0)",
    # by the row's output: a cast of a table's rows to text can be anybody's function
    "text": "pg_catalog.hashtextextended(pg_catalog.textin(pg_catalog.record_out(t.*)), 0)",
}
FIXED = (
    "datestyle = 'ISO, YMD'", "timezone = 'UTC'", "intervalstyle = 'postgres'", "extra_float_digits = 1",
    "bytea_output = 'hex'", "xmlbinary = 'base64'", "lc_monetary = 'C'", PATH,
    "row_security = off",
    "enable_tidscan = on",  # or each part of a table reads it whole
    "enable_indexonlyscan = off",  # rows are counted where they lie, and not in an index
)  # fmt: skip

# whether all rows of the table c have a binary form that is sent as it is stored, to our sessions, which speak UTF-8:
# hash_record_extended() came with PostgreSQL 14, rngmultitypid too; a type's elements, base, range and columns count
HAS_BINARY = """\
(current_setting('server_version_num')::int >= 140000 and getdatabaseencoding() = 'UTF8' and not exists (
  with recursive held(type) as (
    select a.atttypid from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    union
    select inner_type from held, lateral (
      select unnest(array[y.typelem, y.typbasetype]) from pg_type y where y.oid = held.type
      union all
      select a.atttypid from pg_type y join pg_attribute a on a.attrelid = y.typrelid
        where y.oid = held.type and y.typtype = 'c' and a.attnum > 0 and not a.attisdropped
      union all
      select r.rngsubtype from pg_range r
        where held.type in (r.rngtypid, (to_jsonb(r) ->> 'rngmultitypid')::oid)) as inside(inner_type))
  select from held join pg_type y on y.oid = held.type where y.typsend = 0))"""

# ordinary tables with rows of their own (partitions too), of everybody but PostgreSQL itself; unlogged and temporary
# ones are in no backup and on no standby
_NAME = "format('%I.%I', n.nspname, c.relname)"
_ORDINARY = """\
from pg_catalog.pg_class c join pg_catalog.pg_namespace n
on n.oid = c.relnamespace where c.relkind = 'r' and c.relpersistence = 'p'
and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_' order by 1"""
TABLES = f"select {_NAME}, {HAS_BINARY} {_ORDINARY}"  # and whether they have a binary form
# and what changes with TRUNCATE, with a rewrite and with the columns
SHAPES = f"""\
select {_NAME}, md5(concat(c.relfilenode, (select string_agg(
  format(',%s %s %s %s', attnum, atttypid, atttypmod, attisdropped), '' order by attnum)
  from pg_attribute where attrelid = c.oid and attnum > 0))) {_ORDINARY}"""


def timeout(seconds: float) -> str:
    """The setting that ends a statement after so many seconds."""
    return f"statement_timeout = {min(max(int(seconds * 1000), 1), _LONGEST)}"


def hash_of(form: Form) -> str:
    """The hash of one row of a table named t: a bigint."""
    return _HASHES[form]


def digest_sql(form: Form) -> str:
    """The rows of a table named t, counted, and the sum of their hashes as text."""
    return f"count(*), coalesce(sum({_HASHES[form]}), 0)::text"


def page_condition(first: int, end: int | None) -> str:
    """The condition for the rows of a table named t on its pages from `first` to before `end`; None: to its end.

    Pages are the same on every physical copy. From PostgreSQL 14 (`RANGES_SINCE`) on no others are read.
    """
    bounds = ([f"t.ctid >= '({first},0)'"] if first else []) + ([] if end is None else [f"t.ctid < '({end},0)'"])
    return f" where {' and '.join(bounds)}" if bounds else ""


def pages_text(first: int, end: int | None) -> str:
    """Those pages, for people."""
    return f"pages {first} to {'the end' if end is None else end - 1}"


def ranges(count: int, step: int) -> list[tuple[int, int | None]]:
    """So many pages in steps, as (first, end) in order; the last one is open, however far the table grows."""
    starts = range(0, max(count, 1), step)
    ends: list[int | None] = [*starts[1:], None]
    return list(zip(starts, ends, strict=True))


def digest_of(table: str, form: Form, where: str = "") -> str:
    """The statement for a table, whole or some pages (`between`). table: quoted name, as `TABLES` gives it."""
    return f"select {digest_sql(form)} from only {table} as t{where}"
