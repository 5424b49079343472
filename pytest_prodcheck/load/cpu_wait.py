"""How long this process, or one thread of it, was ready to run and was not let: the kernel counts it."""

from __future__ import annotations

PROCESS, THREAD = "/proc/self/schedstat", "/proc/thread-self/schedstat"


def seconds_waited(path: str = PROCESS) -> float:
    """Seconds spent waiting on a run queue since the start (Linux, Documentation/scheduler/sched-stats); else 0."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
