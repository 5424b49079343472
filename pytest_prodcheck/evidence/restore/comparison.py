"""What a restored server holds, against what was recorded; and whether its structure is sound."""

from __future__ import annotations

import math
import re
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.content.hash_sql import (
    FIXED,
    TABLES,
    digest_of,
    page_condition,
    pages_text,
    ranges,
    timeout,
)
from pytest_prodcheck.evidence.postgres.server_text import of_error
from pytest_prodcheck.evidence.restore.disk_space import refuse_exhaustion
from pytest_prodcheck.evidence.restore.scratch_server import WORKERS
from pytest_prodcheck.evidence.tools.program_errors import without_rows
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records.backups import TableCompared

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pytest_prodcheck.evidence.content.record_file import ContentRecord, RecordedTable
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.restore.scratch_server import ScratchServer

SHOWN = 20  # lines of amcheck that are kept
_NOISE = re.compile(r"^\s*(NOTICE|DETAIL|HINT|pg_amcheck: (warning|in database)|$)")


def tables_of(connection: Any) -> set[str]:
    """The quoted names of all ordinary tables of a database."""
    return {row[0] for row in connection.execute(TABLES).fetchall()}


def compare(
    connection: Any, record: ContentRecord, there: set[str], sample: float, deadline: Deadline
) -> tuple[TableCompared, ...]:
    """Every table of the record; raises EvidenceProblem (timeout) at the deadline.

    sample: share of a table's parts that are hashed, at random; 1 for the table as a whole.
    """
    import psycopg

    def ask(sql: str) -> Any:
        connection.execute(f"set {timeout(deadline.seconds_left())}")
        return connection.execute(sql).fetchone()

    for each in FIXED:
        connection.execute(f"set {each}")
    found = []
    for name, held in record.tables.items():
        if name not in there:
            found.append(TableCompared(name, held.rows, None, False))
            continue
        try:
            found.append(
                _compare_sample(ask, name, held, sample)
                if sample < 1 and held.parts
                else _compare_whole(ask, name, held)
            )
        except psycopg.Error as error:  # its pages or its TOAST cannot be read
            deadline.seconds_left()
            refuse_exhaustion(error.sqlstate or "", of_error(error))
            found.append(TableCompared(name, held.rows, None, False, readable=False))
    return tuple(found)


def _compare_whole(ask: Callable[[str], Any], name: str, held: RecordedTable) -> TableCompared:
    rows, content = ask(digest_of(name, held.form))
    return TableCompared(name, held.rows, int(rows), (rows, content) == (held.rows, held.content), hashed=int(rows))


def _compare_sample(ask: Callable[[str], Any], name: str, held: RecordedTable, sample: float) -> TableCompared:
    """All rows counted, and some parts hashed, others each time. Where a part had no rows the count is enough."""
    (rows,) = ask(f"select pg_catalog.count(*) from only {name}")
    parts = zip(ranges(len(held.parts) * held.pages, held.pages), held.parts, strict=True)
    filled = [(pages, content) for pages, content in parts if content != "0"]
    hashed, differing = 0, ""
    for pages, recorded in sorted(SystemRandom().sample(filled, math.ceil(sample * len(filled)))):
        seen, content = ask(digest_of(name, held.form, page_condition(*pages)))
        hashed += int(seen)
        if content != recorded:
            differing = differing or pages_text(*pages)
    return TableCompared(name, held.rows, int(rows), rows == held.rows and not differing, True, hashed, differing)


# those of a column that takes each number once; integers alone, whose operators are the system's
_NEVER_DRAWN = """\
select format('%I.%I', n.nspname, c.relname), format('%I.%I', f.nspname, t.relname), format('%I', a.attname)
from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
  and d.deptype in ('a', 'i')
join pg_class t on t.oid = d.refobjid and t.relkind in ('r', 'p') join pg_namespace f on f.oid = t.relnamespace
join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
where pg_sequence_last_value(s.seqrelid) is null and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
  and exists (select from pg_index i where i.indrelid = t.oid and i.indisunique and i.indisvalid
    and i.indnkeyatts = 1 and i.indkey[0] = a.attnum)"""


def sequences_behind(connection: Any, drawn: Collection[str]) -> tuple[str, ...]:
    """Sequences whose first number is taken in the column that they fill: a dump held the rows and not their values.

    drawn: those that gave numbers in the running database; of others nobody knows whether they are used.
    """
    found = []
    for sequence, table, column in connection.execute(_NEVER_DRAWN).fetchall():
        if sequence in drawn:
            taken = f"select exists (select from {table} where {column} = (select last_value from {sequence}))"
            if connection.execute(taken).fetchone()[0]:
                found.append(plain(sequence))
    return tuple(sorted(found))


def amcheck(server: ScratchServer, database: str, every_row: bool, deadline: Deadline) -> tuple[bool, tuple[str, ...]]:
    """Tables and indexes: (it ran to its end, what it found).

    database: only this one; "" for all. every_row: each is looked for in its indexes (`heapallindexed`).
    pg_amcheck ends with 2 where it found something, with 1 where it could not look (PostgreSQL 14 and newer; before it,
    the extension is asked by SQL).
    """
    _keep_to_the_system(server, database)
    if not (server.programs / "pg_amcheck").is_file():
        return _by_sql(server, database, every_row)
    which = ("--database", database) if database else ("--all", "--exclude-database", "template1")
    more = ("--heapallindexed",) if every_row else ()
    done = server.tool(deadline, "pg_amcheck", *which, "--install-missing", *more, "--jobs", str(WORKERS))
    if done.code:
        refuse_exhaustion("", done.errors + done.output)
    lines: list[str] = []
    for line in (*without_rows(done.output), *without_rows(done.errors)):
        if _NOISE.match(line):
            continue
        if lines and lines[-1].endswith(":"):  # what it says of the relation in the line before
            lines[-1] = f"{lines[-1]} {plain(line)}"
        else:
            lines.append(plain(line))
    if done.code == 0:
        return True, ()
    return done.code == 2, tuple(lines[:SHOWN]) or (f"pg_amcheck ended with {done.code}",)


_ELSEWHERE = "select from pg_extension where extname = 'amcheck' and extnamespace <> 'pg_catalog'::regnamespace"


def _keep_to_the_system(server: ScratchServer, database: str) -> None:
    """Moves amcheck where nobody but the system has functions.

    pg_amcheck names the extension's schema; there, one that takes an oid fits better than the extension's own, which
    takes a regclass: who may create functions in that schema would have it called as a superuser.
    """
    for name in [database] if database else _databases(server):
        with server.connect(name) as connection:
            if connection.execute(_ELSEWHERE).fetchone() is not None:
                connection.execute("alter extension amcheck set schema pg_catalog")


def _databases(server: ScratchServer) -> list[str]:
    with server.connect("template1") as connection:
        every = "select datname from pg_database where datallowconn and not datistemplate"
        return [row[0] for row in connection.execute(every).fetchall()]


_INDEXES = """\
select c.oid::regclass::text, c.oid
from pg_class c join pg_am a on a.oid = c.relam join pg_index i on i.indexrelid = c.oid
where a.amname = 'btree' and c.relkind = 'i' and i.indisready and i.indisvalid"""


def _by_sql(server: ScratchServer, database: str, every_row: bool) -> tuple[bool, tuple[str, ...]]:
    import psycopg

    found: list[str] = []
    for name in [database] if database else _databases(server):
        with server.connect(name) as connection:
            try:
                connection.execute("create extension if not exists amcheck schema pg_catalog")
            except psycopg.Error as error:
                return False, (f"amcheck cannot be installed: {of_error(error)}",)
            for index, oid in connection.execute(_INDEXES).fetchall():
                try:
                    connection.execute("select bt_index_check(%s, %s)", (oid, every_row))
                except psycopg.Error as error:
                    refuse_exhaustion(error.sqlstate or "", of_error(error))
                    found.append(plain(f"{index}: {of_error(error)}"))
    return True, tuple(found[:SHOWN])
