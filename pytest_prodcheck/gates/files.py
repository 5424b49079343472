"""Files that are whole or not there: written aside, synced, renamed, their folder synced."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pytest_prodcheck.trusted_files import open_own, refuse_links


def make_folder(folder: Path) -> None:
    """Makes a folder and its parents, for us alone, so that they survive a power loss."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        sync_folder(each.parent)


def make_folder_in(state: Path, folder: Path) -> None:
    """The same for a folder within the state folder; raises OSError where a link would lead out of it."""
    refuse_links(str(state), str(folder))
    make_folder(folder)


def make_private(state: Path) -> None:
    """Makes the state folder, or takes it from others than its owner: it holds the key, and what targets answered."""
    make_folder(state)
    found = state.lstat()
    if found.st_mode & 0o077 and found.st_uid == os.geteuid() and not state.is_symlink():
        state.chmod(0o700)


def sync_folder(folder: Path) -> None:
    """Makes what was done to the names in a folder survive a power loss."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_aside(path: Path, content: bytes) -> Path:
    """Writes and syncs a temporary file beside `path` and returns it; raises OSError and leaves nothing behind."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        aside.unlink(missing_ok=True)
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            aside.unlink()
        raise
    return aside


def replace_file(path: Path, content: bytes) -> None:
    """Puts a whole new file in the place of `path`; raises OSError with the old one left as it was."""
    aside = write_aside(path, content)
    os.replace(aside, path)
    sync_folder(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path`, which is never removed; a process that dies lets go of it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def append_line(path: Path, line: bytes) -> None:
    """Appends one line in one write and syncs it; a log that several processes write stays readable."""
    handle = open_own(str(path), os.O_WRONLY | os.O_APPEND)
    try:
        os.write(handle, line.rstrip(b"\n") + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
