"""How much of hosts is in use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HostUse:
    """Processor and memory of one host."""

    name: str
    cpu: float | None  # share of 1 in use, as a mean over some minutes; None where it is not told
    memory: float | None  # share of 1 that is not available; None where it is not told
    why: str = ""  # why something is not told


@dataclass(frozen=True)
class MountUse:
    """One mounted file system of one host."""

    name: str  # "web-1:9100 /var"
    space: float | None  # share of 1 in use of what users may use; None where it is not told
    inodes: float | None  # share of 1 in use; None where it is not told, or none are counted
    counted: bool = True  # False: the file system has no fixed number of inodes
    why: str = ""  # why something is not told
    became_read_only: bool = False  # it was writable, as after an error of its disk; not one that is meant to be so


@dataclass(frozen=True)
class HostsUse:
    """`host-use` (host): a host, or several of a kind."""

    source: str  # who told: "here", "prometheus", "kubernetes"
    expected: int  # how many hosts there have to be
    hosts: tuple[HostUse, ...]


@dataclass(frozen=True)
class HostsMounts:
    """`host-mounts` (host with mounts): the declared mount points of a host, or of several of a kind."""

    source: str
    expected: int
    hosts: int  # how many hosts there are
    mounts: tuple[MountUse, ...]
