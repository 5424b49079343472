"""How the content of a table becomes a number: one definition for primary, standby, backup record and restored server.

A row becomes text, the text a 64-bit hash (hashtextextended, the same on every machine and since PostgreSQL 11), rows
are summed: the sum needs no order, so chunks can be hashed apart and added. Text depends on settings: they are fixed.
"""

from __future__ import annotations

DIGEST = "count(*), coalesce(sum(pg_catalog.hashtextextended(t::text, 0)), 0)::text"  # of a table named t
FIXED = (
    "datestyle = 'ISO, YMD'", "timezone = 'UTC'", "intervalstyle = 'postgres'", "extra_float_digits = 1",
    "bytea_output = 'hex'", "xmlbinary = 'base64'", "lc_monetary = 'C'", "search_path = 'pg_catalog'",
    "row_security = off",
)  # fmt: skip

# ordinary tables with rows of their own (partitions too), of everybody but PostgreSQL itself; unlogged and temporary
# ones are in no backup and on no standby
TABLES = """\
select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c join pg_catalog.pg_namespace n
on n.oid = c.relnamespace where c.relkind = 'r' and c.relpersistence = 'p'
and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_' order by 1"""


def digest_of(table: str) -> str:
    """The statement for a whole table. table: quoted name, as `TABLES` gives it."""
    return f"select {DIGEST} from only {table} as t"
