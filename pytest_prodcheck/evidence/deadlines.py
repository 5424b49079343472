"""Deadlines that hold: what is not done in time is ended from outside, also inside a blocking call on a socket."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator

from pytest_prodcheck.records import EvidenceProblem, Problem


class Deadline:
    """The time one piece of evidence may take, counted on the monotonic clock, and the notes made on the way.

    seconds: from now. Deadlines made by `at_most` share the notes of the one they come from.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.notes: list[str] = []
        self.doing = ""  # how far it is, for people who wait
        self.oldest: float | None = None  # epoch seconds; when something older than this piece was used
        self._end = time.monotonic() + seconds
        self._parent: Deadline | None = None

    def seconds_left(self) -> float:
        """Seconds until the end, always more than 0; raises EvidenceProblem (timeout) afterwards."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise EvidenceProblem(Problem("timeout", f"not done within {self.seconds:.3g} s"))
        return max(left, 0.001)

    def time_left(self) -> float:
        """Seconds until the end, negative afterwards; never raises."""
        return self._end - time.monotonic()

    @property
    def expired(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    def at_most(self, seconds: float) -> Deadline:
        """A deadline for a part of the work: in `seconds`, never later than this one."""
        part = Deadline(seconds)
        part._end = min(part._end, self._end)
        part.seconds = min(seconds, max(self._end - time.monotonic(), 0.0)) if part._end == self._end else seconds
        part.notes = self.notes
        part._parent = self
        return part

    def note(self, text: str) -> None:
        """Adds a remark to the evidence, such as "connection reset, tried again once"."""
        if text not in self.notes:
            self.notes.append(text)

    def tell(self, doing: str) -> None:
        """Says how far the work is ("orders: 40 %"), for the line of progress; "" ends it."""
        self.doing = doing
        if self._parent is not None:
            self._parent.tell(doing)

    def used(self, began: float) -> None:
        """Tells that something gathered at `began` (epoch seconds) is part of the evidence, so it is no younger."""
        self.oldest = began if self.oldest is None else min(self.oldest, began)
        if self._parent is not None:
            self._parent.used(began)

    @contextlib.contextmanager
    def guard(self, sock: socket.socket) -> Iterator[None]:
        """Shuts the connection of `sock` down when the time is up while the block runs.

        A peer that sends one byte a second resets every socket timeout; this ends it all the same. After the block
        look at `expired`: a connection that was shut down reads like one that the peer closed.
        """
        guard = ConnectionTimeout(sock)
        try:
            guard.begin(self)
            yield
        finally:
            guard.close()


class ConnectionTimeout:
    """Shuts one connection down when the time of an exchange is up; good for many exchanges, one after the other.

    Works on a duplicate, for the file descriptor may be closed and used again by somebody else meanwhile. The
    connection stays open until this is closed, too.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._double = socket.socket(fileno=os.dup(sock.fileno()))
        self._number: int | None = None

    def begin(self, deadline: Deadline) -> None:
        """Puts a deadline on the connection; raises EvidenceProblem (timeout) where it is over."""
        self.end()
        deadline.seconds_left()
        self._number = _WATCH.add(deadline._end, self._double)

    def end(self) -> None:
        """Takes the deadline away."""
        if self._number is not None:
            _WATCH.remove(self._number)
            self._number = None

    def close(self) -> None:
        """Gives the duplicate up."""
        self.end()
        self._double.close()


class _TimeoutThread:
    """One daemon thread that shuts down guarded sockets when their time is up."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._ends: list[tuple[float, int]] = []
        self._sockets: dict[int, socket.socket] = {}
        self._thread: threading.Thread | None = None

    def add(self, end: float, sock: socket.socket) -> int:
        """Guards one socket until then (monotonic); its number is for `remove`."""
        with self._changed:
            number = next(self._numbers)
            self._sockets[number] = sock
            heapq.heappush(self._ends, (end, number))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prodcheck-deadlines", daemon=True)
                self._thread.start()
            elif self._ends[0][1] == number:
                self._changed.notify()
        return number

    def remove(self, number: int) -> None:
        """Ends the guarding of one socket: afterwards it is not touched any more."""
        with self._changed:
            self._sockets.pop(number, None)
            if len(self._ends) > 64 + 2 * len(self._sockets):
                self._ends = [entry for entry in self._ends if entry[1] in self._sockets]
                heapq.heapify(self._ends)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                while self._ends and self._ends[0][0] <= now:
                    sock = self._sockets.get(heapq.heappop(self._ends)[1])
                    if sock is not None:
                        with contextlib.suppress(OSError):
                            sock.shutdown(socket.SHUT_RDWR)
                self._changed.wait(self._ends[0][0] - now if self._ends else None)


_WATCH = _TimeoutThread()
