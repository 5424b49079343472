"""What databases say of their data: migrations, schema, rows, storage; and how far Redis replicas are behind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pytest_prodcheck.records import Problem


@dataclass(frozen=True)
class Migrations:
    """`postgres-migrations` (postgres with migrations): what is applied against what this revision ships.

    Migrations are named as their tool does: a revision of Alembic, a version of Flyway, "app.name" of Django,
    "file::id::author" of Liquibase.
    """

    kind: str  # "alembic", "flyway", "django", "liquibase" or "table"
    table: str  # "schema.table" that notes what is applied
    shipped: int  # how many scripts there are
    applied: int  # how many migrations are applied
    applied_heads: tuple[str, ...]  # the newest that are applied, one a branch
    shipped_heads: tuple[str, ...]  # the newest that are shipped, one a branch
    failed: tuple[str, ...]  # noted as failed, or as begun and never ended
    unknown: tuple[str, ...]  # applied, but not among the scripts
    pending: tuple[str, ...]  # shipped and not applied
    skipped: tuple[str, ...]  # shipped and not applied although later ones are: tools leave them out for ever
    changed: tuple[str, ...]  # applied with another checksum or name than the script has now
    untold: tuple[str, ...] = ()  # what cannot be computed, and what would tell
    unverified: tuple[str, ...] = ()  # why it is not known whether what is applied is unchanged, and what would tell


@dataclass(frozen=True)
class LintFinding:
    """What squawk says about one place of a migration."""

    file: str
    line: int  # from 1
    rule: str  # squawk's name of the rule
    level: str  # "Error" or "Warning", as squawk says
    message: str


@dataclass(frozen=True)
class MigrationLint:
    """`postgres-migration-lint` (postgres with migrations that have SQL): squawk on the migrations not yet applied."""

    files: tuple[str, ...]  # what was read; empty: nothing is pending
    without_sql: tuple[str, ...]  # pending migrations that no SQL file was found for
    findings: tuple[LintFinding, ...]


@dataclass(frozen=True)
class SchemaObject:
    """One object that something is wrong with."""

    name: str  # "schema.table.constraint"
    what: str  # "foreign key, not validated"

    def is_among(self, patterns: Iterable[str]) -> bool:
        """Whether one of the patterns (globs) is its name."""
        return any(fnmatchcase(self.name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class SequenceUse:
    """How much of the numbers that a sequence, or the column it fills, can hold are used."""

    name: str  # "schema.sequence"
    column: str  # "schema.table.column" whose type is the limit, "" where the sequence's own is
    used: float  # 0.0 to 1.0
    left: int  # numbers that are left


@dataclass(frozen=True)
class PartitionedTable:
    """A table that is partitioned by ranges of time, or of its sequence's numbers."""

    name: str  # "schema.table"
    partitions: int
    left: float | None  # seconds until its ranges end, negative since they did; None: they do not, or there is none
    later: bool = False  # there are ranges that begin later, and a gap before them
    now: bool = True  # one of them takes a row of now
    number: int | None = None  # that the next row gets, where they are ranges of numbers
    default: bool = False  # a default partition takes the rows that no range takes


@dataclass(frozen=True)
class TakenNumber:
    """A number that a sequence gives soon, and that a row has already."""

    sequence: str
    column: str  # "schema.table.column", which takes each number once
    number: int
    drawn: bool  # the sequence has given numbers: somebody inserts by it


@dataclass(frozen=True)
class Schema:
    """`postgres-schema` (postgres): what the primary's catalogue says; lists hold the first 200.

    Where `…_total` is 0 there is nothing that could be wrong.
    """

    constraints_total: int
    unvalidated: tuple[SchemaObject, ...]  # constraints that old rows may break
    triggers_total: int  # with those that enforce foreign keys
    disabled: tuple[SchemaObject, ...]  # triggers that do not fire, and roles for whom none does
    tables_total: int
    unlogged: tuple[SchemaObject, ...]  # tables that are empty after a crash and on standbys
    indexes_total: int
    invalid: tuple[SchemaObject, ...]  # indexes that are not valid, twice in a row, and are not being built
    building: int  # indexes that are not valid because they are being built
    sequences_total: int
    sequences: tuple[SequenceUse, ...]  # the 100 of which most is used
    cycling: int  # cyclic sequences: they never run out
    unreadable: tuple[str, ...]  # sequences that may not be read
    half_detached: tuple[SchemaObject, ...] = ()  # partitions whose DETACH … CONCURRENTLY was ended half way
    by_time: tuple[PartitionedTable, ...] = ()  # tables whose partitions are ranges of time
    refusing: tuple[SchemaObject, ...] = ()  # objects that refuse the statements that they are there for
    doubtful: tuple[SchemaObject, ...] = ()  # objects that may
    usable_total: int = 0  # materialized views, published tables and extensions that were looked at
    taken: tuple[TakenNumber, ...] = ()  # sequences that are behind the rows of their column
    numbers_compared: int = 0  # columns whose rows were compared with their sequence
    numbers_drawn: int = 0  # of these, those whose sequence has given a number
    numbers_unread: int = 0  # columns that may not be read, or could not be just now
    policies_total: int = 0  # tables with row policies
    unfiltered: tuple[SchemaObject, ...] = ()  # of these, those whose row security is off


@dataclass(frozen=True)
class Collation:
    """A collation whose version is not the one that indexes were built with."""

    name: str  # "database shop", "collation public.de"
    recorded: str
    actual: str  # the system's; "" where it tells none


@dataclass(frozen=True)
class CollationNode:
    """The collations in use on one node that have changed; `problem` where it did not answer."""

    node: str
    database_recorded: bool = True  # False: the server is older than 15, and does not record the database's version
    changed: tuple[Collation, ...] = ()
    problem: Problem | None = None


@dataclass(frozen=True)
class Collations:
    """`postgres-collations` (postgres): every node, for each has the collations of its own operating system."""

    nodes: tuple[CollationNode, ...]


@dataclass(frozen=True)
class RelationRows:
    """Rows of one relation without a counterpart."""

    name: str  # name of the foreign key or declared relation
    child: str  # "schema.table(column)"
    parent: str
    kind: str  # "declared", "not enforced" (a foreign key that lets rows through), "enforced"
    seen: int  # rows that were looked at
    total: int  # rows that there are, about
    orphans: int | None  # None: it could not be told, see `problem`
    sampled: bool = False
    problem: Problem | None = None


@dataclass(frozen=True)
class OrphanRows:
    """`postgres-orphans` (postgres): relations read for rows without a counterpart."""

    node: str  # where it was read
    enforced: int  # foreign keys that the server enforces itself and that were not read
    relations: tuple[RelationRows, ...]


@dataclass(frozen=True)
class InvariantValue:
    """`postgres-invariant` (invariant): the number that a declared statement returned."""

    node: str  # where it was read
    value: float
    seconds: float


@dataclass(frozen=True)
class NewestRow:
    """The newest row of a table; rows from more than a minute in the future do not count."""

    name: str
    table: str
    age: float | None  # seconds, None: there is no row, or see `problem`
    problem: Problem | None = None


@dataclass(frozen=True)
class Freshness:
    """`postgres-freshness` (postgres with freshness): the newest row of each declared table."""

    node: str
    tables: tuple[NewestRow, ...]


@dataclass(frozen=True)
class ChecksumState:
    """Page checksums of one node."""

    node: str
    on: bool = False
    failures: int = 0  # that were met since the counters were reset, all databases
    databases: tuple[str, ...] = ()  # those with failures
    problem: Problem | None = None


@dataclass(frozen=True)
class Checksums:
    """`postgres-checksums` (postgres): page checksums, node by node: each has files of its own."""

    nodes: tuple[ChecksumState, ...]


@dataclass(frozen=True)
class TransactionAge:
    """How old the oldest transaction id of a database is, which vacuum has to freeze before they run out."""

    database: str
    age: int  # transactions
    multixact_age: int  # multixacts


@dataclass(frozen=True)
class SessionActivity:
    """A session or transaction that others may have to wait for, or that waits."""

    who: str  # "pid 123 (user app, application worker)", or a prepared transaction's name
    seconds: float
    what: str  # what it waits for, or is
    open: float = 0.0  # of one idle in a transaction: seconds since that began


@dataclass(frozen=True)
class DeadRows:
    """Dead rows of one table against what makes autovacuum come."""

    table: str  # "schema.table"
    dead: int
    trigger: int  # dead rows at which autovacuum comes: threshold + scale factor x rows
    autovacuum: bool  # whether it is on for this table
    vacuuming: bool  # it is being vacuumed just now


@dataclass(frozen=True)
class Activity:
    """`postgres-activity` (postgres): what the primary is busy with; lists hold the worst 50."""

    node: str
    freeze_max_age: int  # autovacuum_freeze_max_age
    multixact_freeze_max_age: int
    databases: tuple[TransactionAge, ...]
    waits: tuple[SessionActivity, ...]  # sessions that wait for a lock; a CREATE INDEX CONCURRENTLY that waits is none
    idle: tuple[SessionActivity, ...]  # sessions idle in a transaction
    prepared: tuple[SessionActivity, ...]  # prepared transactions
    tables_total: int
    dead: tuple[DeadRows, ...]
    counted: bool = True  # track_counts: without it nobody knows of dead rows, and autovacuum does nothing
    autovacuum: bool = True  # of the server


@dataclass(frozen=True)
class StructureFinding:
    """What amcheck says about one table or index."""

    object: str
    message: str


@dataclass(frozen=True)
class NodeStructure:
    """amcheck of one node."""

    node: str
    total: int = 0  # tables and B-trees there are to check
    checked: int = 0
    left: tuple[str, ...] = ()  # what was not checked, with the reason; the first 50
    findings: tuple[StructureFinding, ...] = ()
    heap: bool = False  # whether tables were checked too; servers before 14 can only check indexes
    problem: Problem | None = None


@dataclass(frozen=True)
class Structure:
    """`postgres-structure` (postgres with structure): amcheck with heapallindexed on every node."""

    nodes: tuple[NodeStructure, ...]


@dataclass(frozen=True)
class ReplicaLag:
    """One Redis replica against the primary that has its replication id."""

    address: str
    link_up: bool = False
    primary: str = ""  # the primary whose replication id it has, "" for none of them
    behind: int | None = None  # bytes of the replication stream, the least of three looks; None: it could not be told
    silent: float = 0.0  # seconds since the primary was last heard
    problem: Problem | None = None


@dataclass(frozen=True)
class RedisReplication:
    """`redis-replication` (redis with replicas): how far each replica is behind."""

    primaries: tuple[str, ...]  # "HOST:PORT" of each that was found
    expected_primaries: int
    expected: int  # replicas
    replicas: tuple[ReplicaLag, ...]
    silent: tuple[str, ...] = ()  # nodes that did not answer
