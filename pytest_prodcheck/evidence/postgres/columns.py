"""`postgres-columns`: what sampled values of declared columns look like; the values themselves are not kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.postgres.cluster import node_host
from pytest_prodcheck.evidence.postgres.plaintext_detection import detect_plaintext
from pytest_prodcheck.evidence.postgres.safe_sql import as_text
from pytest_prodcheck.evidence.postgres.session import Session, session_for_long_reads
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.encryption import ColumnSample, PostgresColumns

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.postgres import Column
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

LONGEST = 500  # characters of one value
PAGES = 200  # of the table that are read at most, by chance
ROWS = 10_000  # of those pages that are looked through at most
_ABOUT = """\
select format_type(atttypid, null), relkind, coalesce(pg_relation_size(c.oid), 0)
  + coalesce((select sum(pg_relation_size(relid)) from pg_partition_tree(c.oid) where relid <> c.oid), 0)
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.oid = to_regclass($1) and a.attname = $2 and a.attnum > 0 and not a.attisdropped"""
_SAMPLE = """\
select value from (
  select left({text}, {longest}) as value from {table} {sample} where {column} is not null limit {rows}
) as pages where value <> '' order by random() limit {most}"""


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target]
    columns = settings.columns.items()
    return tuple(
        Sending(settings.nodes[0], f"PostgreSQL: up to {each.rows} values of {name} are read") for name, each in columns
    )


def _seconds(target: str, environment: Environment) -> float:
    settings = environment.postgres[target]
    return 3 * settings.timeouts.connect + 2 * len(settings.columns) * settings.timeouts.statement + 5


@evidence("postgres-columns", axis="postgres", feature="columns", seconds=_seconds, host=node_host, sends=_sends)
def postgres_columns(target: str, context: Context, deadline: Deadline) -> PostgresColumns:
    """Every declared column, by values of random pages; one that cannot be read has a problem of its own."""
    columns = context.environment.postgres[target].columns
    with session_for_long_reads(target, context, deadline) as session:
        found = tuple(_column(name, declared, session) for name, declared in columns.items())
        return PostgresColumns(session.where, found)


def _column(name: str, declared: Column, session: Session) -> ColumnSample:
    try:
        values = _values(name, declared, session)
    except EvidenceProblem as error:
        session.deadline.seconds_left()
        return ColumnSample(name, error.problem, never=declared.never)
    seen = detect_plaintext(values, declared.plain, declared.form, declared.entropy)
    return ColumnSample(
        name, None, len(values), seen.card_like, seen.cards, seen.emails, seen.ibans, seen.plain, seen.misshapen,
        seen.size, seen.entropy, declared.never,
    )  # fmt: skip


def _values(name: str, declared: Column, session: Session) -> list[str]:
    """Values by chance: all of a small table, random pages of a large one; views from their beginning."""
    *table, column = (f'"{part}"' for part in name.split("."))
    where = ".".join(table)
    where = session.named(where, name)
    about = session.rows(_ABOUT, where, name.rpartition(".")[2], what=name)
    if len(about.rows) != 1:
        hint = "names are written as PostgreSQL shows them, the schema in front where it is not in search_path"
        raise EvidenceProblem(Problem("configuration", f"{session.where}: there is no column {name}", hint))
    kind, relation, size = (each or "" for each in about.rows[0])
    pages = int(size) / 8192
    share = 100.0 if pages <= PAGES else 100 * PAGES / pages
    sample = f"tablesample system ({share:.6f})" if relation in ("r", "m", "p") else ""
    text = f"encode({column}, 'hex')" if kind == "bytea" else as_text(column)
    sql = _SAMPLE.format(
        text=text, longest=LONGEST, table=where, sample=sample, column=column, rows=ROWS, most=declared.rows
    )
    return [row[0] for row in session.rows(sql, what=f"a sample of {name}", most=declared.rows).rows if row[0]]
