"""Folders of running demos: `TMP/prodcheck-demo-UID/PID-RANDOM/`, swept when their owner is dead."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.runtime.errors import DemoError

_FORKED = re.compile(r"(redis|valkey)-(rdb|aof)-")  # children of a Redis server, which name themselves
CARD = "demo.json"  # what others need to know about a running demo
CONTROL = "control"  # unix socket
CONFIGURATION = "prodcheck.toml"
LOG = "demo.log"
PIDS = "pids"  # a line for each child process


def base() -> Path:
    """The folder of all demos of this user; created when missing, refused when it belongs to somebody else."""
    folder = Path(tempfile.gettempdir()).resolve() / f"prodcheck-demo-{os.getuid()}"
    folder.mkdir(mode=0o711, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise DemoError(f"{folder} is not a folder of this user: remove it, or set TMPDIR to another folder")
    folder.chmod(0o711)
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Only one process of this user creates or sweeps at a time."""
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def create() -> tuple[Path, int]:
    """Sweeps dead demos, makes a new folder; returns it and the descriptor of its lock, to be kept open for life."""
    folder = base()
    if len(str(folder)) > 70:  # unix sockets below it have at most 107 bytes (104 on macOS)
        raise DemoError(f"the path of the temporary folder is too long ({folder}): set TMPDIR=/tmp")
    with _locked(folder):
        _sweep(folder)
        new = folder / f"{os.getpid()}-{secrets.token_hex(3)}"
        new.mkdir()
        new.chmod(0o711)  # whatever the umask: database servers of another user pass through
        lock = os.open(new / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return new, lock


def sweep() -> None:
    """Removes what demos that are dead have left."""
    folder = base()
    with _locked(folder):
        _sweep(folder)


def _sweep(folder: Path) -> None:
    for place in folder.iterdir():
        if place.is_dir() and not alive(place):
            for pid in _children(place):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            remove(place)


def remove(place: Path) -> None:
    """Removes a demo's folder, also where a fault took away its write permission."""
    for folder in place.glob("*/*"):
        if folder.is_dir() and not folder.is_symlink():
            with suppress(OSError):
                folder.chmod(0o700)
    shutil.rmtree(place, ignore_errors=True)


def alive(place: Path) -> bool:
    """Whether the process that owns the folder still holds its lock."""
    try:
        lock = os.open(place / ".lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _children(place: Path) -> Iterator[int]:
    """Recorded processes that still run from this folder; a number that another program got meanwhile is left alone."""
    try:
        recorded = set((place / PIDS).read_text().split())
    except OSError:
        return
    shown = subprocess.run(["ps", "-ewwo", "pid=,pgid=,command="], capture_output=True, text=True, check=False)
    for line in shown.stdout.splitlines():
        pid, group, command = (*line.split(None, 2), "")[:3]
        if recorded & {pid, group} and (str(place) in command or _FORKED.match(command)):
            yield int(pid)


def read_card(place: Path) -> dict[str, Any] | None:
    """What a demo wrote about itself, None while it has not."""
    try:
        card = json.loads((place / CARD).read_text())
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def running() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folders and cards of this user's live demos, the newest first."""
    found = [place for place in base().iterdir() if place.is_dir() and alive(place)]
    for place in sorted(found, key=lambda one: one.stat().st_mtime, reverse=True):
        card = read_card(place)
        if card:
            yield place, card
