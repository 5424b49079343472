"""Child processes that end with us, as an unprivileged user where we are root."""

from __future__ import annotations

import ctypes
import os
import pwd
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.runtime.folders import PIDS

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def servers_user() -> pwd.struct_passwd | None:
    """Whom the servers run as: None (ourselves) unless we are root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise DemoError("running as root, and there is neither a user postgres nor nobody to run PostgreSQL as: add one")


def _end_with_parent(number: int) -> Callable[[], None] | None:
    """What a child runs so that the kernel ends it when the thread that made it dies; after a change of user only."""
    if _LIBC is None:
        return None
    return lambda: _LIBC.prctl(_SET_DEATH_SIGNAL, number) and None


class Spawner:
    """Starts children from one thread that lives as long as the process: the death signal follows the thread."""

    def __init__(self, folder: Path) -> None:
        self.user = servers_user()
        self._pids = folder / PIDS
        self._children: list[tuple[subprocess.Popen[bytes], int]] = []  # with the signal that ends it at once
        self._closed = False
        self._work: queue.SimpleQueue[tuple[Callable[[], None]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="spawner", daemon=True).start()

    def _serve(self) -> None:
        while (job := self._work.get()) is not None:
            job[0]()

    def own(self, path: Path) -> None:
        """Gives a folder or file to the servers' user, closed to others."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def folder(self, path: Path) -> Path:
        """Makes a folder of the servers' user."""
        path.mkdir()
        self.own(path)
        return path

    def spawn(self, args: Sequence[str | Path], log: Path, death: int = signal.SIGKILL) -> subprocess.Popen[bytes]:
        """Starts a child in a session of its own, its output appended to `log`; `death` is sent to it if we die."""
        done: queue.SimpleQueue[subprocess.Popen[bytes] | Exception] = queue.SimpleQueue()

        def job() -> None:
            try:
                done.put(self._start(args, log, death))
            except Exception as error:  # handed to the caller's thread
                done.put(error)

        self._work.put((job,))
        result = done.get()
        if isinstance(result, Exception):
            raise DemoError(f"cannot start {args[0]}: {result}") from result
        return result

    def _start(self, args: Sequence[str | Path], log: Path, death: int) -> subprocess.Popen[bytes]:
        if self._closed:
            raise DemoError("the demo is stopping")
        identity: dict[str, Any] = {}
        if self.user:
            identity = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        with log.open("ab") as output:
            child = subprocess.Popen(
                [str(arg) for arg in args], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd="/", env=_environment(), start_new_session=True, preexec_fn=_end_with_parent(death), **identity,
            )  # fmt: skip
        self._children = [one for one in self._children if one[0].poll() is None] + [(child, death)]
        with self._pids.open("a") as file:
            file.write(f"{child.pid}\n")
        return child

    def run(self, args: Sequence[str | Path], log: Path, timeout: float = 30) -> None:
        """Runs a tool to its end; DemoError with the end of its log when it fails or takes over `timeout` seconds."""
        child = self.spawn(args, log)
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            end(child, signal.SIGKILL)
            code = -signal.SIGKILL
        if code:
            raise DemoError(f"{Path(args[0]).name} ended with {code}: {tail(log)}")

    def end_all(self) -> None:
        """Ends every child that still runs; none can be started afterwards."""
        self._closed = True
        for child, death in self._children:
            if child.poll() is None:
                child.send_signal(death)
        for child, _ in self._children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(2)
            with suppress(OSError):  # with what it has started, such as a save in the background
                os.killpg(child.pid, signal.SIGKILL)
            end(child, signal.SIGKILL)
        self._work.put(None)


def end(child: subprocess.Popen[bytes] | None, number: int, timeout: float = 5) -> None:
    """Sends a signal and waits; SIGKILL when that did not end it in `timeout` seconds."""
    if child is None or child.poll() is not None:
        return
    child.send_signal(number)
    try:
        child.wait(timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(timeout)


def _environment() -> Mapping[str, str]:
    """A plain environment: what the caller has set (PGHOST, LC_ALL, …) must not reach the servers."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


def tail(log: Path, characters: int = 600) -> str:
    """The end of a log on one line."""
    try:
        text = log.read_text(errors="replace")
    except OSError as error:
        return f"no log ({error.strerror})"
    return " | ".join(text[-characters:].split("\n")).strip() or "its log is empty"
