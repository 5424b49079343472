"""How many cores and how much memory a process may use: what Linux holds it to, by affinity and control groups.

A unit with CPUQuota= and MemoryMax=, or a container, ends far below what its machine has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")


def cores_of(process: Any) -> float:
    """The cores that a process (psutil's) may use, of those that there are."""
    import psutil

    found = [float(psutil.cpu_count() or 1)]
    if hasattr(process, "cpu_affinity"):
        found.append(float(len(process.cpu_affinity())))
    for folder in _groups(process.pid, "cpu"):
        quota, period = _numbers(folder, "cpu.max") or (
            *_numbers(folder, "cpu.cfs_quota_us"), *_numbers(folder, "cpu.cfs_period_us"), 0.0, 0.0
        )[:2]  # fmt: skip
        if quota > 0 and period > 0:
            found.append(quota / period)
    return min(found)


def memory_of(process: Any) -> int:
    """The bytes that a process may use, of those that there are."""
    import psutil

    found = [float(psutil.virtual_memory().total)]
    for folder in _groups(process.pid, "memory"):
        found += _numbers(folder, "memory.max") or _numbers(folder, "memory.limit_in_bytes")
    return int(min(found))


def _groups(pid: int, controller: str) -> Iterator[Path]:
    """The folders of the groups that a process is in, with all above them: of version 2, and of version 1."""
    try:
        lines = (PROC / str(pid) / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return  # no Linux
    for number, names, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if names and controller not in names.split(","):
            continue
        base = ROOT / names if names else ROOT
        here = base / path.lstrip("/")
        if number and ".." not in path:
            yield from (each for each in (here, *here.parents) if each == base or base in each.parents)


def _numbers(folder: Path, name: str) -> list[float]:
    """The numbers in a file, [] where there is no file or it says "max"."""
    try:
        return [float(each) for each in (folder / name).read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []
