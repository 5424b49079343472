"""What keeps our statements from calling what a database's users have made (CVE-2018-1058).

Functions, operators and casts are looked for in `search_path`, and the one that fits the arguments best is taken: who
may create something in `public` could have a role that reads everything call it. Our statements see `pg_catalog` alone.
A name that was declared is looked up once, as its user would, and is then used with its schema.
"""

from __future__ import annotations

PATH = "search_path = pg_catalog, pg_temp"  # pg_temp last: it would be searched for tables and types first
READ_ONLY = f"begin read only; set local {PATH}; "
# under the path of the role: nothing here is looked for in it but the name
NAMED = "select pg_catalog.to_regclass($1)::pg_catalog.oid"
QUALIFIED = """\
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = $1::oid"""
# the schema of the operator that says whether two values of a column are equal, as indexes and keys have it
EQUALITY = """\
select n.nspname
from pg_attribute a join pg_type t on t.oid = a.atttypid
join pg_opclass k on k.opcdefault and k.opcmethod = (select oid from pg_am where amname = 'btree')
  and k.opcintype = case when t.typtype = 'd' then t.typbasetype else t.oid end
join pg_amop m on m.amopfamily = k.opcfamily and m.amopstrategy = 3
  and m.amoplefttype = k.opcintype and m.amoprighttype = k.opcintype
join pg_operator o on o.oid = m.amopopr join pg_namespace n on n.oid = o.oprnamespace
where a.attrelid = $1::regclass and a.attnum > 0 and a.attname = (parse_ident($2))[1]"""


def as_text(value: str) -> str:
    """A value as PostgreSQL shows it: by its type's own output; a cast to text could be anybody's function."""
    return f"case when {value} is not null then pg_catalog.format('%s', {value}) end"


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'
