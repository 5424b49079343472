"""Keeps one program: when the deployer is gone, all that came of the program is ended before the lock is let go.

Started as a script, `supervisor.py PARENT LOCK PROGRAM …`: it needs nothing but the standard library. LOCK is a
descriptor that only this process keeps: a program that leaves a server behind does not hold the lock, one that could
act does.
On Linux whatever leaves the process group comes back to us as a child, when its parent ends (prctl(2), subreaper).
The lock file holds the program's ticket for as long as something of it could act (`survivors`).
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
_POLL_INTERVAL = 0.2  # seconds between two looks at a group that may not be killed


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
    code = _kept(command)
    if lock >= 0:
        os.ftruncate(lock, 0)
    return code


def _kept(command: list[str]) -> int:
    try:
        child = _start(command)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return NOT_STARTED
    while True:
        ended = _reap(child)[0]
        if ended is not None:
            _release_children()
            return ended
        if signal.sigwait(_WATCHED) != signal.SIGCHLD:
            _kill_group(child)
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


def _reap(child: int) -> tuple[int | None, bool]:
    """The exit code of the program, None while it runs, and whether we have no children; what has ended is reaped."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found, True
        if pid == 0:
            return found, False
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            found = code if code >= 0 else 128 - code


def _kill_group(child: int) -> None:
    """Kills the program, its process group and its descendants, and waits, with the lock, until none of them is left.

    However long that takes: what runs as another user, as by sudo, could still act.
    """
    group = alone = False
    while not (group and alone):
        try:
            if not group:
                os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            group = True  # from now on the number may be another group's
        except PermissionError:
            time.sleep(_POLL_INTERVAL)
        _kill_children()
        alone = _reap(child)[1]
        time.sleep(0.005)


def _kill_children() -> None:
    """Those of others come to us when their parent has ended; the number of a child is its own until we reap it."""
    for pid in _children():
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            time.sleep(_POLL_INTERVAL)  # of another user


def _children() -> list[int]:
    """Our own children, by /proc; none where there is no such thing."""
    found = []
    for name in os.listdir("/proc") if sys.platform == "linux" and os.path.isdir("/proc") else ():
        try:
            with open(f"/proc/{int(name)}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if int(parent) == os.getpid() and state != b"Z":
            found.append(int(name))
    return found


def _release_children() -> None:
    """Lets servers that the program started live on without us."""
    _prctl(_SET_SUBREAPER, 0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # nothing of ours is to be flushed
