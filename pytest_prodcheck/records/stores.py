"""PostgreSQL clusters and Redis groups as their nodes tell of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_prodcheck.records import Problem


@dataclass(frozen=True)
class ConnectionLimit:
    """How many of the connections are used that one database or one role may have."""

    name: str  # "database shop", "role app"
    used: int
    most: int


@dataclass(frozen=True)
class LockedOut:
    """A role that has sessions, and would be refused a new one."""

    role: str
    sessions: int
    why: str  # "its password ended at 2026-11-30 00:00 UTC"


@dataclass(frozen=True)
class PostgresNode:
    """One node of a cluster as its own server tells it; `problem` where it did not."""

    address: str
    seconds: float
    problem: Problem | None = None
    version: int = 0  # server_version_num
    recovering: bool = False  # pg_is_in_recovery(): a standby
    read_only: bool = False  # a new transaction would be read only
    system_identifier: str = ""
    max_connections: int = 0
    reserved_connections: int = 0  # superuser_reserved_connections (+ reserved_connections since 16)
    used_connections: int = 0
    receiver: str | None = ""  # status of a standby's WAL receiver ("streaming"), "" none runs, None may not be read
    replay_paused: bool = False
    standbys: int | None = None  # rows of pg_stat_replication with state streaming, None where it may not be read
    synchronous: int | None = None  # of those, sync or quorum
    synchronous_names: str = ""  # synchronous_standby_names
    wanted: int = 0  # standbys that must confirm every commit; 0: commits do not wait
    confirming: int | None = 0  # connected ones that can; None where it may not be read
    waiting: int | None = 0  # sessions that wait for a confirmation in both of two looks; None where it may not be read
    limited: tuple[ConnectionLimit, ...] = ()  # the database, and roles, that have a CONNECTION LIMIT of their own
    locked_out: tuple[LockedOut, ...] = ()


@dataclass(frozen=True)
class PostgresCluster:
    """`postgres-cluster` (postgres): every declared node, and what the writer's address leads to."""

    nodes: tuple[PostgresNode, ...]
    writer: PostgresNode | None
    expected_primaries: int
    expected_standbys: int
    expected_synchronous: int | None


@dataclass(frozen=True)
class RedisCluster:
    """Redis Cluster as one of its nodes sees it."""

    state: str | None  # cluster_state: "ok" or "fail"; None: CLUSTER may not be asked
    slots_served: int = 0  # of 16,384: those whose node is neither failing nor missing
    primaries: int = 0  # that hold slots
    slots: tuple[tuple[int, int], ...] = ()  # the node's own, first and last
    id: str = ""  # the node's own
    map: str = ""  # digest of who serves which slots, as this node sees it
    moving: int = 0  # of the node's own slots: on their way to another node, or from one
    # id -> address of those that it, or most nodes, do not reach
    failing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RedisNode:
    """One Redis node; `problem` where it did not answer."""

    address: str
    seconds: float
    problem: Problem | None = None
    version: str = ""
    role: str = ""  # "master" or "slave", as INFO says
    loading: bool = False
    link_up: bool = False  # of a replica
    read_only: bool = True  # of a replica: replica-read-only
    syncing: bool = False  # a replica that is loading its first copy
    replicas: int = 0  # connected to a primary
    clients: int = 0  # connected, with replicas
    maxclients: int = 0  # 0 where it is not told
    used_memory: int = 0  # what counts against maxmemory: without buffers for replicas and the append-only file
    maxmemory: int = 0  # 0: no limit
    resident: int = 0  # used_memory_rss: what the machine holds for it
    machine_memory: int = 0  # total_system_memory; 0 where it is not told
    policy: str = ""  # maxmemory_policy
    keys: int = 0
    expiring: int = 0  # keys with a time to live: the only ones that volatile policies evict
    history: str = ""  # master_replid: the same on a primary and on those that follow it
    cluster: RedisCluster | None = None  # None: cluster mode is off
    saves: bool = False  # RDB snapshots are configured
    save_ok: bool = True  # rdb_last_bgsave_status
    save_age: float = 0.0  # seconds since the last good save
    changes_unsaved: int = 0
    saving: float | None = None  # seconds that the snapshot under way has taken so far; None: none is
    save_took: float = 0.0  # seconds that the last one took
    rewriting: float | None = None  # the same of the append-only file's rewrite
    rewrite_took: float = 0.0
    aof: bool = False
    aof_ok: bool = True  # aof_last_write_status and aof_last_bgrewrite_status
    persistence_known: bool = True  # False: CONFIG may not be read, `saves` was derived from INFO alone


@dataclass(frozen=True)
class RedisWrite:
    """What one node would answer to a write; `problem` where it did not answer at all."""

    address: str
    problem: Problem | None = None
    role: str = ""  # "master" or "slave"
    answer: str | None = None  # "": it would be taken; else the server's words; None: not tried, of a replica or denied
    denied: str = ""  # why it may not be tried


@dataclass(frozen=True)
class RedisWrites:
    """`redis-writes` (redis with `try_writes`): what each primary would answer to a write."""

    nodes: tuple[RedisWrite, ...]
    expected_primaries: int


@dataclass(frozen=True)
class SentinelReplica:
    """A replica as one Sentinel knows it."""

    address: str
    run_id: str = ""  # "" where it has not heard it yet
    promotable: bool = False  # it is up, linked to its primary, and its priority is not 0


@dataclass(frozen=True)
class Sentinel:
    """One Sentinel, and what it says of the group; `problem` where it did not answer."""

    address: str
    problem: Problem | None = None
    refused: str = ""  # its words where it does not watch the group
    denied: str = ""  # its words where it may not be asked
    tilt: bool = False  # it acts on nothing, for its clock or its machine stood still
    primary: str = ""  # "HOST:PORT" that it sends clients to
    run_id: str = ""  # of that primary; "" where it has not heard it yet
    flags: tuple[str, ...] = ()  # of the primary: "s_down", "o_down", "failover_in_progress", "disconnected", …
    quorum: int = 0  # Sentinels that have to find the primary down
    known: int = 0  # Sentinels that it counts, itself included: a failover needs most of them
    no_quorum: str = ""  # its words where too few Sentinels can be reached for a failover (SENTINEL CKQUORUM)
    replicas: tuple[SentinelReplica, ...] = ()


@dataclass(frozen=True)
class RedisSentinels:
    """`redis-sentinels` (redis with `sentinels`): every Sentinel, and which nodes of the group they could mean.

    primaries, replicas: run id -> declared address, as the nodes themselves tell. silent: nodes that tell nothing.
    """

    name: str
    sentinels: tuple[Sentinel, ...]
    primaries: dict[str, str]
    replicas: dict[str, str]
    silent: tuple[str, ...]
    expected_replicas: int


@dataclass(frozen=True)
class RedisGroup:
    """`redis-group` (redis): every declared node."""

    nodes: tuple[RedisNode, ...]
    expected_primaries: int
    expected_replicas: int
    persistence: bool | None  # as declared
