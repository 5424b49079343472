"""A watched process and those below it: servers that fork write the id of the one that only looks after the others.

Gunicorn, nginx, PHP-FPM, Apache, Puma, PostgreSQL: what their workers use is what the service uses.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from pytest_prodcheck.evidence.load.process_sockets import sockets_of

AGAIN = 1.0  # seconds after which it is asked again who is below the process
MOST_SHARED = 32  # processes whose shared memory is told apart; each costs milliseconds a gigabyte


@dataclass(frozen=True)
class FamilyUse:
    """What was used at one look. cpu: cores since the look before; connections: of all; fullest: most of one process.

    descriptors: how many files and connections that one may open, None where nothing tells, or there is no limit.
    """

    cpu: float
    memory: int
    connections: int
    fullest: int
    descriptors: int | None


class ProcessFamily:
    """Looks at a process (psutil's) with all below it; alone at one that we are below: we are no part of a service."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self.alone = os.getpid() in {process.pid, *(each.pid for each in process.children(recursive=True))}
        self._members: list[Any] = []
        self._asked = 0.0
        self._seconds, self._at = self._cpu_seconds(self._living()), time.monotonic()

    def look(self) -> FamilyUse:
        """What it uses now; raises psutil's errors where the process itself cannot be looked at."""
        members = self._living()
        seconds, at = self._cpu_seconds(members), time.monotonic()
        cpu = max(seconds - self._seconds, 0.0) / max(at - self._at, 1e-6)
        self._seconds, self._at = seconds, at
        sockets = sockets_of(members)
        most, fullest = max(zip(sockets, members, strict=True), key=lambda each: len(each[0]))
        whole = len(set().union(*sockets))
        return FamilyUse(cpu, _memory(members), whole, len(most), _descriptors(fullest))

    def _living(self) -> list[Any]:
        """The process first, then those below it that are still there."""
        if not self.alone and time.monotonic() - self._asked > AGAIN:
            self._members, self._asked = self.process.children(recursive=True), time.monotonic()
        return [self.process, *(each for each in self._members if each.is_running())]

    def _cpu_seconds(self, members: list[Any]) -> float:
        """All that they used, and those that they have seen end: what one used goes over to its parent then."""
        seconds = 0.0
        for each in members:
            times = _of(each, "cpu_times", self.process)
            if times is not None:
                seconds += times.user + times.system
                seconds += 0.0 if self.alone else times.children_user + times.children_system
        return seconds


def _of(process: Any, what: str, first: Any) -> Any:
    """What a process tells of itself; None of one below the first that ended meanwhile, or that may not be asked."""
    import psutil

    try:
        return getattr(process, what)()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        if process == first:
            raise
        return None


def _memory(members: list[Any]) -> int:
    """Bytes in memory: what several have in common counts once, as far as that can be told."""
    first, *others = members
    found: int = first.memory_info().rss
    if not others:
        return found
    if len(members) <= MOST_SHARED and (shares := [_of(each, "memory_full_info", None) for each in members]):
        parts = [getattr(each, "pss", None) for each in shares if each is not None]
        if parts and len(parts) == len(shares) and None not in parts:
            return sum(int(each) for each in parts if each is not None)
    told = [each for each in (_of(other, "memory_info", first) for other in others) if each is not None]
    return found + sum(int(each.rss - getattr(each, "shared", 0)) for each in told)


def _descriptors(process: Any) -> int | None:
    """The soft limit of descriptors, None where the system does not tell (macOS), or there is none."""
    import psutil

    try:
        soft: int = process.rlimit(psutil.RLIMIT_NOFILE)[0]
    except (AttributeError, psutil.Error):
        return None
    return soft if soft > 0 else None
