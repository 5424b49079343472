"""Faults and benign events of Redis, by real means."""

from __future__ import annotations

import secrets
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_prodcheck.demo.redis.group import MAX_MEMORY, SAVE, Group, Node
from pytest_prodcheck.demo.runtime.waiting import until

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

Act = Callable[["System"], None]
LOADED_KEYS = 8000  # each larger than the interval at which a loading server answers; 60 ms each
SAVING = 120_000_000  # microseconds a key; no longer, for this child of the server outlives a killed one
MOST_CLIENTS = 400  # beside the idle ones there is room for the shop and for prodcheck
BALLAST = 24 * 1024 * 1024  # bytes; beside it, what clients take is little


def _stop_primary(system: System) -> None:
    system.redis.primary.entrance.set_mode("down")
    system.redis.primary.stop()


def _start_primary(system: System) -> None:
    _restart(system.redis)
    system.redis.primary.entrance.set_mode("serve")


def _restart(group: Group) -> None:
    """Starts the primary (again) and tells the replica, which would only try again after a second."""
    group.primary.start()
    group.replica.do("REPLICAOF", "NO", "ONE")
    group.replica.do("REPLICAOF", "127.0.0.1", group.primary.port)
    group.wait_for_link()


class ManyClients:
    """Idle connections to the primary or the replica, nearly as many as it takes."""

    def __init__(self, count: int, replica: bool = False) -> None:
        self._count, self._replica = count, replica
        self._held: list[socket.socket] = []

    def on(self, system: System) -> None:
        """Opens them, with room for the shop and for prodcheck."""
        node = self._node(system)
        node.do("CONFIG", "SET", "maxclients", MOST_CLIENTS)
        self._held += [socket.create_connection(("127.0.0.1", node.port), 10) for _ in range(self._count)]
        until(lambda: _clients(node) >= self._count, "Redis has its idle clients")

    def off(self, system: System) -> None:
        """Closes them; returns when the server has noticed."""
        for each in self._held:
            each.close()
        self._held.clear()
        node = self._node(system)
        until(lambda: _clients(node) < MOST_CLIENTS / 4, "Redis' idle clients are gone")
        node.do("CONFIG", "SET", "maxclients", 10000)

    def _node(self, system: System) -> Node:
        return system.redis.replica if self._replica else system.redis.primary


def _clients(node: Node) -> int:
    return int(node.info("clients")["connected_clients"])


def _many_clients(count: int, replica: bool = False) -> tuple[Act, Act]:
    many = ManyClients(count, replica)
    return many.on, many.off


def _replica_down(system: System) -> None:
    system.redis.replica.entrance.set_mode("down")
    system.redis.replica.stop(signal.SIGKILL)  # SIGTERM would wait for a rewrite that a resync has started


def _replica_up(system: System) -> None:
    system.redis.replica.start(system.redis.primary)
    system.redis.wait_for_link()
    system.redis.replica.entrance.set_mode("serve")


def _loading(system: System) -> None:
    """Starts the primary anew with data that takes it eight minutes to load; between two keys it answers."""
    primary = system.redis.primary
    keys = range(LOADED_KEYS)
    primary.do("MSET", *(part for number in keys for part in (f"load:{number}", secrets.token_hex(600))))
    primary.do("SAVE")
    primary.stop(signal.SIGKILL)
    slow = {"key-load-delay": "60000", "loading-process-events-interval-bytes": "1024"}
    primary.start(None, appendonly="no", **slow)


def _remove_loaded_keys(system: System) -> None:
    system.redis.primary.stop(signal.SIGKILL)
    _restart(system.redis)
    system.redis.primary.do("DEL", *(f"load:{number}" for number in range(LOADED_KEYS)))


def _set_password(node: Node, password: str) -> None:
    node.do("CONFIG", "SET", "requirepass", password)
    node.password = password


def _replicate_from(port: int | None) -> Act:
    """Points the replica at a port: None is the primary's, 0 nobody's (it becomes a primary)."""

    def act(system: System) -> None:
        group = system.redis
        if port == 0:
            group.replica.do("REPLICAOF", "NO", "ONE")
        elif port:
            group.replica.do("REPLICAOF", "127.0.0.1", port)
            until(lambda: group.replica.info("replication").get("master_link_status") == "down", "the link goes down")
        else:
            group.replica.do("REPLICAOF", "127.0.0.1", group.primary.port)
            group.wait_for_link()

    return act


def _memory(share: float, policy: str = "noeviction") -> Act:
    """Makes the used memory this share of the allowed one."""

    def act(system: System) -> None:
        primary = system.redis.primary
        primary.do("SETRANGE", "ballast", BALLAST, "x")
        primary.do("CONFIG", "SET", "maxmemory-policy", policy)
        used = int(primary.info("memory")["used_memory"])
        primary.do("CONFIG", "SET", "maxmemory", int(used / share))

    return act


def _fill_with_volatile_keys(system: System) -> None:
    """A full memory, and keys with a time to live that may go."""
    script = "for i = 1, 2000 do redis.call('SET', 'perishable:' .. i, string.rep('x', 500), 'EX', 3600) end"
    system.redis.primary.do("EVAL", script, 0)
    _memory(1.0, "volatile-lru")(system)


def _remove_volatile_keys(system: System) -> None:
    _memory_back(system)
    system.redis.primary.do("DEL", *(f"perishable:{number}" for number in range(1, 2001)))


def _replicas_for_writes(count: int) -> Act:
    return lambda system: system.redis.primary.do("CONFIG", "SET", "min-replicas-to-write", count)


def _memory_back(system: System) -> None:
    primary = system.redis.primary
    primary.do("CONFIG", "SET", "maxmemory", MAX_MEMORY)
    primary.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
    primary.do("DEL", "ballast")


def _status(node: Node, key: str, wanted: object) -> None:
    until(lambda: node.info("persistence").get(key) == wanted, f"Redis {node.name}: {key} {wanted}")


def _writable(node: Node, mode: int) -> None:
    for folder in (node.folder, *(path for path in node.folder.iterdir() if path.is_dir())):
        folder.chmod(mode)


def _saving(command: str, key: str) -> tuple[Act, Act]:
    """Lets a save or rewrite fail, for its folder cannot be written to."""
    import redis

    def attempt(system: System, mode: int, wanted: str) -> None:
        node = system.redis.primary
        _writable(node, mode)
        until(lambda: _idle(node), "Redis ends its running save")
        with suppress(redis.exceptions.ResponseError):
            node.do(command)
        _status(node, key, wanted)

    return lambda system: attempt(system, 0o500, "err"), lambda system: attempt(system, 0o700, "ok")


def _idle(node: Node) -> bool:
    info = node.info("persistence")
    return not info["rdb_bgsave_in_progress"] and not info["aof_rewrite_in_progress"]


def _persistence(save: str, appendonly: str) -> Act:
    def act(system: System) -> None:
        node = system.redis.primary
        node.do("CONFIG", "SET", "save", save)
        node.do("CONFIG", "SET", "appendonly", appendonly)
        until(lambda: _idle(node), "Redis ends its running save")

    return act


def _save_slowly(system: System) -> None:
    node = system.redis.primary
    until(lambda: _idle(node), "Redis ends its running save")
    node.do("CONFIG", "SET", "rdb-key-save-delay", SAVING)
    node.do("BGSAVE")
    _status(node, "rdb_bgsave_in_progress", 1)


def _end_save(system: System) -> None:
    """Ends the slow save: emptying the server ends it in every version."""
    node = system.redis.primary
    node.do("CONFIG", "SET", "rdb-key-save-delay", 0)
    node.do("FLUSHALL", "SYNC")
    _status(node, "rdb_bgsave_in_progress", 0)
    until(lambda: _idle(node), "Redis ends its running save")
    node.do("SET", "session:1", "demo")
    node.do("BGSAVE")
    until(lambda: _idle(node), "Redis ends its save")
    _status(node, "rdb_last_bgsave_status", "ok")


ACTS: dict[str, tuple[Act, Act]] = {
    "redis-down": (_stop_primary, _start_primary),
    "redis-loading": (_loading, _remove_loaded_keys),
    "redis-password-changed": (
        lambda system: _set_password(system.redis.primary, secrets.token_urlsafe(18)),
        lambda system: _set_password(system.redis.primary, system.known.redis),
    ),
    "redis-hangs": (
        lambda system: system.redis.primary.entrance.set_mode("hang"),
        lambda system: system.redis.primary.entrance.set_mode("serve"),
    ),
    "redis-link-down": (_replicate_from(1), _replicate_from(None)),
    "redis-two-primaries": (_replicate_from(0), _replicate_from(None)),
    "redis-replica-down": (_replica_down, _replica_up),
    "redis-memory-85": (_memory(0.85), _memory_back),
    "redis-memory-97": (_memory(0.97), _memory_back),
    "redis-memory-full": (_memory(1.02), _memory_back),
    "redis-memory-volatile": (_memory(1.02, "volatile-lru"), _memory_back),
    "redis-full-volatile": (_fill_with_volatile_keys, _remove_volatile_keys),
    "redis-connections-80": _many_clients(318),
    "redis-connections-95": _many_clients(370),
    "redis-replica-connections-95": _many_clients(370, replica=True),
    "redis-refuses-writes": (_replicas_for_writes(2), _replicas_for_writes(0)),
    "redis-save-fails": _saving("BGSAVE", "rdb_last_bgsave_status"),
    "redis-aof-fails": _saving("BGREWRITEAOF", "aof_last_bgrewrite_status"),
    "redis-not-persistent": (_persistence("", "no"), _persistence(SAVE, "yes")),
    "redis-full-lru": (_memory(1.0, "allkeys-lru"), _memory_back),
    "redis-saving": (_save_slowly, _end_save),
    "redis-failed-over": (
        lambda system: system.redis.switch_over(),
        lambda system: system.redis.switch_over(),
    ),
}
