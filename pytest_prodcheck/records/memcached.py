"""memcached servers as they tell of themselves."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_prodcheck.records import Problem


@dataclass(frozen=True)
class MemcachedNode:
    """One server; `problem` where it did not answer."""

    address: str
    seconds: float
    problem: Problem | None = None
    version: str = ""


@dataclass(frozen=True)
class MemcachedServers:
    """`memcached-servers` (memcached): every declared server."""

    nodes: tuple[MemcachedNode, ...]


@dataclass(frozen=True)
class MemcachedPressure:
    """What one server did for lack of memory while it was watched; `problem` where that could not be counted."""

    address: str
    seconds: float  # between the two counts
    problem: Problem | None = None
    evicted: int = 0  # items that were still good, removed to make room
    refused: int = 0  # items that no room was found for: evictions are off (-M), or failed
    used: int = 0  # bytes of items
    limit: int = 0  # bytes that items may take (-m)
    hits: int = 0  # of reads, since its start
    misses: int = 0


@dataclass(frozen=True)
class MemcachedEvictions:
    """`memcached-evictions` (memcached): every declared server, counted twice."""

    nodes: tuple[MemcachedPressure, ...]
