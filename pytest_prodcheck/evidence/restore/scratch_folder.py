"""The folder of a scratch server: its own, far from any live server, and gone afterwards, also after a kill.

While a restore runs its folder's `lock` is held; a folder whose lock is free is left over from one that was killed, and
is removed by the next. The kernel ends the server itself when we die (`children.start`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pytest_prodcheck.records import EvidenceProblem, Problem

PREFIX, LOCK = "prodcheck-restore-", "lock"
_SETTLING = 60.0  # seconds that a folder without a lock may be the beginning of another restore
_ROOM = 1.1  # times the backup's size


@contextlib.contextmanager
def scratch_folder(parent: Path, needed: int, live: str) -> Iterator[Path]:
    """A new folder for a scratch server; raises EvidenceProblem where there is no room, or a server lives there.

    needed: bytes. live: the data folder of the running primary, "" where it may not be read.
    """
    refuse_live(parent, live)
    sweep(parent)
    free = shutil.disk_usage(parent).free
    if free < needed * _ROOM:
        what = f"{parent}: {free // 1_000_000} MB are free, the backup has {needed // 1_000_000} MB"
        raise EvidenceProblem(Problem("configuration", what, "name another place: backups.restore.folder"))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # users of the restore pass through; all that lies in it is closed to others
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def refuse_live(parent: Path, live: str) -> None:
    """Raises EvidenceProblem for a place inside a server's data folder, or one that a server works in."""
    resolved = parent.resolve()
    if not resolved.is_dir():
        hint = "make it, or fix backups.restore.folder"
        raise EvidenceProblem(Problem("configuration", f"there is no folder {parent}", hint))
    for place in (resolved, *resolved.parents):
        if (place / "PG_VERSION").is_file() or (live and place == Path(live).resolve()):
            what = f"{parent} lies in the data folder {place} of a PostgreSQL server: nothing is restored into it"
            raise EvidenceProblem(Problem("configuration", what, "name another place: backups.restore.folder"))


def sweep(parent: Path) -> None:
    """Removes what restores that were killed have left in a folder."""
    for left in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if left.is_symlink() or left.stat().st_uid not in _own_user_ids():
                continue
            if not (left / LOCK).exists():
                if time.time() - left.stat().st_mtime > _SETTLING:
                    shutil.rmtree(left, ignore_errors=True)
                continue
            lock = os.open(left / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held: a restore that runs
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)


def _own_user_ids() -> set[int]:
    """Whose folders we may take for ours: our own, and where we are root those of the server's user."""
    found = {os.geteuid()}
    if os.geteuid() == 0:
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                found.add(pwd.getpwnam(name).pw_uid)
    return found
