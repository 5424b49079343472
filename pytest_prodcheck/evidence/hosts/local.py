"""This very machine, by psutil."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.hosts import HostUse, MountUse

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

MOUNTS = "/proc/self/mountinfo"
LOOK = 2.0  # seconds between two looks at the processors


def resource_use(deadline: Deadline) -> HostUse:
    """Processor and memory.

    The kernel keeps no use of processors over five minutes, but the load: what ran or waited to run, in processes.
    Divided by the processors it is no less than their use was, so the smaller one of it and of what is seen now is
    taken: a burst, of ourselves too, is no five minutes, and what waits for disks is no use of processors.
    """
    if importlib.util.find_spec("psutil") is None:
        hint = "pip install 'pytest-prodcheck[resources]'"
        raise EvidenceProblem(Problem("missing-extra", "measuring this machine needs psutil", hint))
    import psutil

    before = psutil.cpu_times()
    time.sleep(min(LOOK, deadline.seconds_left()))
    after = psutil.cpu_times()
    passed = [late - early for early, late in zip(before, after, strict=True)]
    whole = sum(passed[:8])  # guests are part of user
    idle = after.idle - before.idle + getattr(after, "iowait", 0.0) - getattr(before, "iowait", 0.0)
    now = 1 - idle / whole if whole > 0 else None
    load = psutil.getloadavg()[1] / (psutil.cpu_count() or 1)
    memory = psutil.virtual_memory()
    cpu = None if now is None else min(max(now, 0.0), load)
    why = "" if cpu is not None else "no time passed between the two samples"
    return HostUse("this machine", cpu, 1 - memory.available / memory.total, why)


def mounts(wanted: tuple[str, ...]) -> tuple[MountUse, ...]:
    """Space and inodes of mount points; a folder that nothing is mounted on would tell of another file system."""
    return tuple(_mount(path) for path in wanted)


def _mount(path: str) -> MountUse:
    if not os.path.ismount(path):
        return MountUse(path, None, None, why="nothing is mounted there")
    try:
        found = os.statvfs(path)
    except OSError as error:
        return MountUse(path, None, None, why=f"it cannot be read: {error.strerror}")
    used = found.f_blocks - found.f_bfree
    inodes = 1 - found.f_ffree / found.f_files if found.f_files else None
    space, broken = share(used, found.f_bavail), _became_read_only(path)
    return MountUse(path, space, inodes, found.f_files > 0, became_read_only=broken)


def _became_read_only(path: str) -> bool:
    """Whether the kernel made a file system read-only that was mounted otherwise (proc_pid_mountinfo(5), Linux)."""
    try:
        lines = Path(MOUNTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    fields = next((each.split(" ") for each in reversed(lines) if each.split(" ")[4:5] == [_escaped(path)]), [])
    if "-" not in fields or len(fields) < fields.index("-") + 4:
        return False
    of_mount, of_file_system = fields[5].split(","), fields[fields.index("-") + 3].split(",")
    return "emergency_ro" in of_file_system or ("ro" in of_file_system and "rw" in of_mount)


def _escaped(path: str) -> str:
    """A path as mountinfo writes it."""
    return "".join(f"\\{ord(each):03o}" if each in " \t\n\\" else each for each in path)


def share(used: float, free: float) -> float | None:
    """What is in use of what users may use, as `df` tells it, without what is reserved for root."""
    return used / (used + free) if used + free > 0 else None
