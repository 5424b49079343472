"""PostgreSQL clusters and Redis groups as their nodes tell of themselves."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_prodcheck.records import Problem


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


@dataclass(frozen=True)
class PostgresCluster:
    """`postgres-cluster` (postgres): every declared node, and what the writer's address leads to."""

    nodes: tuple[PostgresNode, ...]
    writer: PostgresNode | None
    expected_primaries: int
    expected_standbys: int
    expected_synchronous: int | None


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
    syncing: bool = False  # a replica that is loading its first copy
    replicas: int = 0  # connected to a primary
    used_memory: int = 0
    maxmemory: int = 0  # 0: no limit
    policy: str = ""  # maxmemory_policy
    saves: bool = False  # RDB snapshots are configured
    save_ok: bool = True  # rdb_last_bgsave_status
    save_age: float = 0.0  # seconds since the last good save
    changes_unsaved: int = 0
    aof: bool = False
    aof_ok: bool = True  # aof_last_write_status and aof_last_bgrewrite_status
    persistence_known: bool = True  # False: CONFIG may not be read, `saves` was derived from INFO alone


@dataclass(frozen=True)
class RedisGroup:
    """`redis-group` (redis): every declared node."""

    nodes: tuple[RedisNode, ...]
    expected_primaries: int
    expected_replicas: int
    persistence: bool | None  # as declared
