"""What the data of a PostgreSQL cluster has to be like: migrations, invariants, relations, freshness, structure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pytest_prodcheck.environments.sections.base import Name, Seconds, Section
from pytest_prodcheck.quantities import parse_quantity

_WORD = r'(?:[A-Za-z_][A-Za-z0-9_$]*|"[^"]+")'
_TABLE = re.compile(rf"{_WORD}(?:\.{_WORD})?\Z")
_COLUMNS = re.compile(rf"({_WORD}(?:\.{_WORD})?)\(\s*({_WORD}(?:\s*,\s*{_WORD})*)\s*\)\Z")
# what a read-only transaction lets through although others notice it
_ACTS = re.compile(
    r"\b(pg_terminate_backend|pg_cancel_backend|pg_(try_)?advisory_\w+|pg_notify|set_config|dblink\w*|lo_\w+"
    r"|pg_reload_conf|pg_rotate_logfile|pg_switch_wal|pg_create_restore_point|pg_promote|pg_stat_reset\w*"
    r"|pg_(wal_replay_\w+|logical_\w+|create_\w+_slot|drop_replication_slot|replication_origin_\w+)|pg_read_file"
    r"|pg_read_binary_file|pg_ls_dir|query_to_xml\w*)\s*\(",
    re.IGNORECASE,
)


def table_name(value: str) -> str:
    """Accepts "table" or "schema.table", quoted as in SQL where needed."""
    if not _TABLE.match(value):
        raise ValueError('expected a table such as "orders" or "app.orders"')
    return value


def columns_of(value: str) -> tuple[str, tuple[str, ...]]:
    """Table and columns of "schema.table(column, column)"; raises ValueError."""
    found = _COLUMNS.match(value.strip())
    if found is None:
        raise ValueError('expected a table with its columns such as "app.orders(customer_id)"')
    return found[1], tuple(each.strip() for each in found[2].split(","))


def _columns(value: str) -> str:
    columns_of(value)
    return value.strip()


def only_reads(value: str) -> str:
    """Accepts SQL of one statement without functions whose effect outlives a read-only transaction."""
    text = value.strip().rstrip(";").strip()
    if not text:
        raise ValueError("expected one SQL statement that returns one number")
    if found := _ACTS.search(text):
        raise ValueError(f"{found[1]}() changes something even in a read-only transaction: an invariant may only read")
    return text


def _levels(value: object) -> object:
    return value if isinstance(value, (dict, Section)) else {"fail": value}


def _quantity(value: str | int | float | None) -> str | int | float | None:
    if value is not None:
        parse_quantity(value)
    return value


Level = Annotated[str | int | float | None, AfterValidator(_quantity)]


class Levels(Section):
    """The two levels of one limit; a value alone is the one that fails."""

    warn: Level = None  # past this it warns; none where left out
    fail: Level = None  # past this it fails; none where left out

    def model_post_init(self, _context: Any) -> None:
        """Refuses a limit without any level."""
        if self.warn is None and self.fail is None:
            raise ValueError("expected a number, or { warn = …, fail = … }")


Limits = Annotated[Levels, BeforeValidator(_levels, json_schema_input_type=Levels | str | int | float)]
Table = Annotated[str, AfterValidator(table_name)]
Columns = Annotated[str, AfterValidator(_columns)]
Sql = Annotated[str, AfterValidator(only_reads)]


class Flyway(Section):
    """Flyway's own settings, where they are not its defaults; whatever reads its scripts has to know them."""

    versioned: str = "V"  # sqlMigrationPrefix
    repeatable: str = "R"  # repeatableSqlMigrationPrefix
    baseline: str = "B"  # baselineMigrationPrefix
    separator: str = "__"  # sqlMigrationSeparator
    suffixes: tuple[str, ...] = (".sql",)  # sqlMigrationSuffixes
    placeholder_prefix: str = "${"  # placeholderPrefix
    placeholder_suffix: str = "}"  # placeholderSuffix
    placeholder_replacement: bool = True  # placeholderReplacement
    out_of_order: bool = False  # outOfOrder: what was left out behind newer ones is applied all the same
    # ignoreMigrationPatterns has "*:missing": scripts that are applied may be deleted; newer ones than all that is
    # shipped ("*:future") are of a newer revision, and are told
    ignore_missing: bool = False


class Liquibase(Section):
    """What Liquibase is called with."""

    changelog: str = ""  # the changelog that it begins with, relative to `scripts`, which is its search path
    # contexts of the release (`--contexts`), [] for none; to be said where change sets have some
    contexts: tuple[str, ...] | None = None
    label_filter: str | None = None  # labels of the release (`--label-filter`), "" for none; to be said likewise
    # checksums of changes that are more than SQL text: the CSV that `liquibase update-sql` writes for the URL
    # "offline:postgresql?changeLogFile=checksums.csv", relative to prodcheck.toml
    checksums: str | None = None
    others: tuple[str, ...] = ()  # files of other applications' changelogs in the same table, globs allowed


class Migrations(Section):
    """Where a database notes what is applied, and the scripts that are shipped; scripts are read, never run."""

    # who wrote the table; "table" is any other with a version
    kind: Literal["alembic", "flyway", "django", "liquibase", "table"]
    scripts: str  # folder with the scripts that this revision ships, relative to prodcheck.toml
    # table that notes what is applied; left out: as the kind names it (alembic_version, flyway_schema_history,
    # django_migrations, databasechangelog; schema_migrations for "table")
    table: Table | None = None
    # folder with the SQL of the migrations, VERSION.sql, for kinds whose scripts are none, such as what
    # `alembic upgrade A:B --sql` prints; squawk reads it
    sql: str | None = None
    # of kind "flyway": values of ${placeholders} in repeatable scripts, whose checksums are of the replaced text; of
    # kind "liquibase": parameters that it is called with
    placeholders: dict[str, str] = {}
    flyway: Flyway = Flyway.model_construct()  # of kind "flyway": what is configured otherwise than Flyway's defaults
    liquibase: Liquibase = Liquibase.model_construct()  # of kind "liquibase": what it is called with
    # of kind "alembic": what the release upgrades to: "heads", "head", "LABEL@head" or a revision; "head" wants one
    target: str = "heads"
    # of kind "alembic": whether revisions below the folder of versions count (recursive_version_locations); where there
    # are some, it has to be said
    recursive: bool | None = None
    exclude: tuple[str, ...] = ()  # rules of squawk that are not judged, such as "ban-drop-column"
    column: Name = "version"  # of kind "table": column with the version
    failed: Name | None = None  # of kind "table": column that is true where a migration failed, such as "dirty"
    # of kind "table": whether it holds a row for each migration, or the newest version alone
    holds: Literal["all", "latest"] = "all"

    @property
    def has_sql(self) -> bool:
        """Whether there is SQL that could be judged before it runs."""
        return self.sql is not None or self.kind in ("flyway", "table")


class Invariant(Section):
    """One SQL statement whose one number has to lie within limits, whatever happens."""

    # one statement that returns one row with one number; it runs in a read-only transaction, NULL is errored;
    # names are looked for in pg_catalog alone: write public.orders, OPERATOR(public.=)
    sql: Sql
    at_most: Limits | None = None  # more than this is wrong: a number, or { warn = …, fail = … }
    at_least: Limits | None = None  # less than this is wrong
    unit: str = ""  # unit of the number: "s", "%", "B" or any word
    budget: Seconds = 5.0  # time that it may take; it is ended by the server then, and errored
    severity: Literal["critical", "high", "medium", "low"] = "critical"  # what a failure means
    reads: tuple[Table, ...] = ()  # tables that it reads, for `prodcheck grants`
    owner: str = ""  # who is asked when it fails; where left out, the cluster's owner

    def model_post_init(self, _context: Any) -> None:
        """Refuses an invariant that nothing could break."""
        if self.at_most is None and self.at_least is None:
            raise ValueError("expected `at_most`, `at_least` or both: without a limit it could never fail")


class Relation(Section):
    """Rows that have to have a counterpart, without a foreign key that sees to it."""

    child: Columns  # table and columns that refer, such as "app.events(order_id)"; NULLs refer to nothing
    parent: Columns  # table and columns that are referred to, such as "app.orders(id)"

    def model_post_init(self, _context: Any) -> None:
        """Refuses different numbers of columns."""
        if len(columns_of(self.child)[1]) != len(columns_of(self.parent)[1]):
            raise ValueError("child and parent need the same number of columns")


class Orphans(Section):
    """How rows without a counterpart are looked for."""

    # true: foreign keys that the server enforces are read too; rows can have slipped in while triggers were disabled
    enforced: bool = False
    budget: Seconds = 30.0  # time that all relations together may take; what was not read by then is errored
    # rows of a table that are read at most; larger tables are sampled, and the judgement says how much it saw
    sample: Annotated[int, Field(ge=1000)] | None = None


class Newest(Section):
    """A table that has to have a row that is young."""

    table: Table  # the table, such as "app.orders"
    column: Name  # column with the time of a row; without a time zone it is taken as UTC
    at_most: Limits  # age of the newest row: "1h", or { warn = "1h", fail = "6h" }


class Structure(Section):
    """amcheck of tables and B-trees, with `heapallindexed`: reads all of them on every node."""

    budget: Seconds = 60.0  # time that one node may take; what was not read by then is errored
    # tables that are checked; every table and B-tree of the database where left out
    tables: tuple[Table, ...] = ()


class Tolerated(Section):
    """What is meant to be as it is, by name ("schema.table", "schema.table.constraint", …), globs allowed."""

    constraints: tuple[str, ...] = ()  # constraints that need not be validated, "schema.table.constraint"
    triggers: tuple[str, ...] = ()  # triggers that are disabled on purpose, "schema.table.trigger"
    policies: tuple[str, ...] = ()  # tables whose row policies need not be in force, "schema.table"
    unlogged: tuple[str, ...] = ()  # unlogged tables that may be empty after a crash, "schema.table"
    indexes: tuple[str, ...] = ()  # indexes that may be invalid, "schema.index"
    partitions: tuple[str, ...] = ()  # tables that may lack a partition for rows of now, "schema.table"
    numbers: tuple[str, ...] = ()  # columns whose sequence may be behind their rows, "schema.table.column"
    unusable: tuple[str, ...] = ()  # materialized views without content, published tables without an identity, …
    subscriptions: tuple[str, ...] = ()  # subscriptions that may be disabled or stand still, by name
