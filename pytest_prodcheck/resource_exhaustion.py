"""Our own want of open files, memory or room says nothing about what is judged: "cannot tell", never "failed". Light.

What met it is noted, so that whoever gathers can throw away what was found meanwhile, whatever a collector made of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from functools import cache

_ERRORS = {
    errno.EMFILE: "open files (ulimit -n)",
    errno.ENFILE: "open files of this machine",
    errno.ENOMEM: "memory",
    errno.ENOBUFS: "memory of the network",
    errno.ENOSPC: "room on a disk",
    errno.EDQUOT: "room on a disk (quota)",
    errno.EAGAIN: "processes or threads (ulimit -u)",
}
_M_MMAP_THRESHOLD = -3  # of <malloc.h>
_seen: list[str] = []


def shortage_of(error: BaseException | None) -> str:
    """What we were short of where an error, or one that led to it, is about that; "" otherwise."""
    for _ in range(10):
        if error is None:
            return ""
        if isinstance(error, MemoryError):
            return "memory"
        # a socket without data to give says EAGAIN, too
        if isinstance(error, OSError) and error.errno in _ERRORS and not isinstance(error, BlockingIOError):
            return _ERRORS[error.errno]
        if isinstance(error, (BlockingIOError, RuntimeError)) and _starts_something(error):
            return _ERRORS[errno.EAGAIN]
        error = error.__cause__ or error.__context__
    return ""


def note_shortage(error: BaseException | None) -> str:
    """The same as `of`, and keeps it for `seen`."""
    what = shortage_of(error)
    if what:
        _seen.append(what)
    return what


def note_handled_shortage() -> None:
    """Notes the exception that is being handled, if it is of that kind."""
    error = sys.exc_info()[1]
    if error is not None:
        note_shortage(error)


def shortages_since(since: int = 0) -> list[str]:
    """What was noted in this process, from the `since`th on."""
    return _seen[since:]


def probe_open_files() -> None:
    """Notes a want of open files where it is there now: some programs and resolvers hide it behind other words."""
    handles: list[int] = []
    try:
        for _ in range(4):
            handles.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        note_shortage(error)
    finally:
        for handle in handles:
            os.close(handle)


def allow_many_files() -> None:
    """Raises the soft limit of open files to the hard one, within reason: hundreds of connections are ordinary."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return  # it stays as it is, and a want of them is noted when it comes


@cache
def give_back_large_blocks() -> None:
    """Has glibc return blocks of 256 KiB and more to the system once they are free; does nothing elsewhere.

    Else its bound rises to the largest block that was freed, and each thread keeps free blocks below it for itself.
    """
    import ctypes

    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 262_144)


def _starts_something(error: BaseException) -> bool:
    """Whether it was a process or a thread that could not be started."""
    if isinstance(error, RuntimeError):
        return "start new thread" in str(error)
    frame = error.__traceback__
    names = set()
    while frame is not None:
        names.add(frame.tb_frame.f_code.co_name)
        frame = frame.tb_next
    return bool(names & {"_execute_child", "fork", "start"})
