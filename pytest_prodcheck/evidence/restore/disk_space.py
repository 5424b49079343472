"""Room on the disk while a backup is restored: what it holds may grow without end, and a full disk proves nothing."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from pytest_prodcheck.records import EvidenceProblem, Problem

LEFT = 1_000_000_000  # bytes that a restore leaves free, at most
_SHARE = 0.05  # of a small disk
_PAUSE = 0.1  # seconds between two looks
_HINT = "name another place: backups.restore.folder"
_WANT = re.compile(r"No space left on device|Disk quota exceeded|out of memory|Cannot allocate memory"
                   r"|Too many open files", re.IGNORECASE)  # fmt: skip


def refuse_exhaustion(state: str, said: str) -> None:
    """Raises EvidenceProblem where a server's error is about room, memory or files of this machine (class 53).

    state: SQLSTATE, "" where it is not known. said: the error, of which nothing is shown without a state.
    """
    if state[:2] == "53" or (not state and _WANT.search(said)):
        what = f"the scratch server lacks what it needs on this machine: {said if state else 'room, memory or files'}"
        raise EvidenceProblem(Problem("configuration", what, _HINT))


class DiskSpaceGuard:
    """Looks at a folder's disk for as long as a `with` statement takes, at whose end it raises what it had to stop.

    stop: what ends the restore before the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.stop: Callable[[], None] = lambda: None
        self._folder, self._over = folder, threading.Event()
        self._problem: Problem | None = None
        about = os.statvfs(folder)
        self._least = min(int(about.f_blocks * about.f_frsize * _SHARE), LEFT)

    def __enter__(self) -> DiskSpaceGuard:
        """Begins to look."""
        self._thread = threading.Thread(target=self._watch_free_space, name="prodcheck-room", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends; what went wrong after the restore was stopped is of no interest."""
        self._over.set()
        self._thread.join(5)
        if self._problem is not None:
            raise EvidenceProblem(self._problem) from None

    def _watch_free_space(self) -> None:
        while not self._over.wait(_PAUSE):
            about = os.statvfs(self._folder)
            free = about.f_bavail * about.f_frsize
            if free < self._least or (about.f_files and about.f_favail < 100):
                what = f"{self._folder.parent}: {free // 1_000_000} MB are left, the restore was ended"
                self._problem = Problem("configuration", what, _HINT)
                self.stop()
                return
