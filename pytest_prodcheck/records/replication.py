"""Facts about replication: who follows whom, how far behind, and whether the copies hold the same rows.

Positions in write-ahead log are counted in bytes from its beginning.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_prodcheck.records import Problem


@dataclass(frozen=True)
class Sender:
    """One walsender of a node: a row of pg_stat_replication."""

    name: str  # application_name
    state: str | None  # "streaming", "catchup", "backup", …; None where it may not be read
    sync_state: str | None  # "async", "potential", "sync", "quorum"
    logical: bool = False  # a subscriber, no standby


@dataclass(frozen=True)
class Slot:
    """One replication slot of a node."""

    name: str
    kind: str  # "physical" or "logical"
    active: bool
    wal_status: str  # "reserved", "extended", "unreserved", "lost"; "" where it holds no WAL yet
    retained: int | None  # bytes of WAL that are kept for it
    # whether its consumer took anything between two looks, or is close; None: looked at once, for little is kept
    moved: bool | None = None
    conflicting: bool = False  # invalidated, for recovery had to remove rows that it needs
    synced: bool = False  # a standby's copy of a slot of its primary, which nobody uses before a failover


@dataclass(frozen=True)
class SlotNode:
    """One node with its replication slots; `problem` where it did not answer."""

    address: str
    segment_size: int = 16 * 1024 * 1024
    slots: tuple[Slot, ...] = ()
    problem: Problem | None = None


@dataclass(frozen=True)
class Slots:
    """`postgres-slots` (postgres): the replication slots of every node."""

    nodes: tuple[SlotNode, ...]


@dataclass(frozen=True)
class Subscription:
    """One subscription of a database: changes of another server come in by it."""

    name: str
    enabled: bool
    running: bool  # its worker lives for ten seconds, or lived in both of two looks
    heard: float | None  # seconds since its publisher was last heard
    tables: int
    copying: int  # tables whose first copy is not whole
    failures: int  # errors between two looks


@dataclass(frozen=True)
class Subscriptions:
    """`postgres-subscriptions` (postgres): subscriptions of the declared database."""

    node: str
    found: tuple[Subscription, ...]


@dataclass(frozen=True)
class ReplicationNode:
    """One declared node as its server tells it at the last look; `problem` where it did not."""

    address: str
    problem: Problem | None = None
    recovering: bool = False
    system_identifier: str = ""
    timeline: int | None = None  # of the WAL it writes, or receives; None for a standby that receives none
    position: int = 0  # written by a primary, replayed by a standby
    receiver: str | None = ""  # status of a standby's WAL receiver, "" none runs, None may not be read
    paused: bool = False  # replay is paused, or a pause was asked for
    conflicts: int = 0  # queries that replay has cancelled since the statistics were reset
    senders: tuple[Sender, ...] = ()
    synchronous_names: str = ""  # synchronous_standby_names
    wanted: int = 0  # standbys that must confirm every commit; 0: commits do not wait
    confirming: int | None = 0  # connected ones that can; None where it may not be read
    waiting: int | None = 0  # sessions that wait for a confirmation in both of two looks; None where it may not be read


@dataclass(frozen=True)
class Lag:
    """How far one standby is behind: the best of `looks` looks."""

    address: str
    looks: int
    seconds: float | None  # 0 where all that was received is replayed; None where nobody can tell
    bytes: int | None  # written by the primary and not replayed; None without a primary to compare with
    # recovery_min_apply_delay in seconds: it is so late on purpose. `seconds` counts beside it, `bytes` until received
    meant: float = 0.0


@dataclass(frozen=True)
class Replication:
    """`postgres-replication` (postgres with standbys): all declared nodes, and how far the standbys are behind."""

    nodes: tuple[ReplicationNode, ...]
    lags: tuple[Lag, ...]
    expected_primaries: int
    expected_standbys: int
    expected_synchronous: int | None


@dataclass(frozen=True)
class Difference:
    """One chunk of a table that is not the same on a copy. Keys are told, no values."""

    table: str
    node: str  # the copy
    chunk: str  # "pages 4096 to 8191"
    rows: int  # that differ, are missing or are too many, as far as they were looked at
    keys: tuple[str, ...]  # of the first of them: the primary key's columns, or where the row lies


@dataclass(frozen=True)
class TableContent:
    """One table on one copy."""

    table: str
    node: str
    chunks: int
    compared: int  # of them, to an end: equal or different
    rows: int  # in what was compared, as the reference has them
    different: int  # chunks


@dataclass(frozen=True)
class ContentComparison:
    """`postgres-content` (postgres with `content`): declared tables on the primary and every other node, by chunks."""

    reference: str  # the node that the others are compared with
    tables: tuple[TableContent, ...]
    differences: tuple[Difference, ...]  # the first 20
    not_compared: tuple[str, ...]  # why something was not: no time left, a node that is silent, rows that never settle
    resumed: int  # chunks that an interrupted comparison had found equal
    seconds: float
