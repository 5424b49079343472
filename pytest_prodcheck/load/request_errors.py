"""Why requests of a team's own client failed, whatever the client: some wrap each other's errors several times."""

from __future__ import annotations

import errno
from collections.abc import Iterator

# of this machine, not of the server: ports, files, memory, buffers (connect(2), socket(2))
OWN = {errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}
MOST = 20  # errors within each other that are looked at


def causes(error: object) -> Iterator[BaseException]:
    """An error and those that it wraps or came of; nothing of what is no exception."""
    waiting, seen = [error] if isinstance(error, BaseException) else [], set[int]()
    while waiting and len(seen) < MOST:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
        waiting += [found for found in inner if isinstance(found, BaseException)]


def timed_out(error: object) -> bool:
    """Whether a request was given up for its time."""
    return any(isinstance(each, TimeoutError) or "timeout" in type(each).__name__.lower() for each in causes(error))


def own_shortage(error: object) -> str:
    """What this machine was short of, "" where that is not why."""
    found = next((each for each in causes(error) if isinstance(each, OSError) and each.errno in OWN), None)
    return "" if found is None else f"this machine could not connect: {found.strerror}"
