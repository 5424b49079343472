"""Keeps one program: when the deployer is gone, the program's process group is ended before the lock is let go.

Started as a script, `shim.py PARENT LOCK PROGRAM …`: it needs nothing but the standard library. LOCK is a descriptor
that only this process keeps: a program that leaves a server behind does not hold the lock, one that could act does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36  # linux/prctl.h
_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
NOT_STARTED = 127
_LOOK = 0.2  # seconds between two looks at a group that may not be killed


def main(argv: list[str]) -> int:
    """The program's exit code, 128 + N for signal N; 127 where it cannot be started."""
    parent, lock, command = int(argv[0]), int(argv[1]), argv[2:]
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    _prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)
    _prctl(_SET_SUBREAPER, 1)
    if os.getppid() != parent:
        return 1  # it died before we could ask to be told
    if lock >= 0:
        os.set_inheritable(lock, False)
    try:
        child = _start(command)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return NOT_STARTED
    while True:
        ended = _reap(child)
        if ended is not None:
            _leave()
            return ended
        if signal.sigwait(_WATCHED) != signal.SIGCHLD:
            _end(child)
            return 128 + signal.SIGTERM


def _start(command: list[str]) -> int:
    """Starts the program in a process group of its own, which the kernel kills if it kills us."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            failed = pipe.read()
        if failed:
            os.waitpid(child, 0)
            raise OSError(int(failed), os.strerror(int(failed)), command[0])
        return child
    try:
        os.setpgid(0, 0)
        _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(theirs, str(error.errno).encode())
    finally:
        os._exit(NOT_STARTED)


def _reap(child: int) -> int | None:
    """The exit code of the program, None while it runs; what it left behind is reaped where that has ended."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            found = code if code >= 0 else 128 - code


def _end(child: int) -> None:
    """Kills the program and its process group, and waits, with the lock, until none of them is left.

    However long that takes: what runs as another user, as by sudo, could still act.
    """
    while True:
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError:
            time.sleep(_LOOK)
        _reap(child)
        time.sleep(0.005)


def _leave() -> None:
    """Lets servers that the program started live on without us."""
    _prctl(_SET_SUBREAPER, 0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # nothing of ours is to be flushed
