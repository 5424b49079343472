"""Ends what is left of a program whose `supervisor` was killed too, before the next deployment.

The lock file contains the ticket of a running program; the supervisor removes it when nothing of the program can act
any more. Processes inherit the ticket in their environment, so they are found in /proc even if they left their group.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator

TICKET = "PRODCHECK_PROGRAM"  # environment variable
_MAX_TICKET_BYTES = 4096  # bytes of a ticket
_TIMEOUT = 10.0  # for all of them to end
_POLL_INTERVAL = 0.01


class CannotInspectProcesses(Exception):
    """Something may have been left running, and this system does not tell."""


def new_ticket(lock: int) -> str:
    """A ticket for a program that is about to be started; noted in the lock file."""
    ticket = secrets.token_hex(16)
    if lock >= 0:
        os.ftruncate(lock, 0)
        os.pwrite(lock, ticket.encode(), 0)
    return ticket


def end_survivors(lock: int) -> bool:
    """Ends what is left of the program whose ticket is noted; whether nothing is left.

    Raises CannotInspectProcesses.
    """
    ticket = os.pread(lock, _MAX_TICKET_BYTES, 0) if lock >= 0 else b""
    if not ticket:
        return True
    if sys.platform != "linux" or not os.path.isdir(f"/proc/{os.getpid()}"):
        raise CannotInspectProcesses
    empty_scans, end = 0, time.monotonic() + _TIMEOUT
    while empty_scans < 2:  # one that starts another one meanwhile may slip through one look
        found = list(_processes_with(ticket))
        empty_scans = 0 if found else empty_scans + 1
        for pid in found:
            _kill(pid, ticket)
        if found and time.monotonic() > end:
            return False
        time.sleep(_POLL_INTERVAL)
    os.ftruncate(lock, 0)
    return True


def _processes_with(ticket: bytes) -> Iterator[int]:
    own = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != own and _has_ticket(int(name), ticket):
            yield int(name)


def _has_ticket(pid: int, ticket: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return TICKET.encode() + b"=" + ticket in file.read().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return False


def _kill(pid: int, ticket: bytes) -> None:
    """Kills it, and no other process that was given its number meanwhile."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if _has_ticket(pid, ticket):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)
