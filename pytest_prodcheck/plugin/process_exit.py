"""The end of the process: a thread that does not end is not waited for, and what one says too late closes the gates."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from pytest_prodcheck.judging.ledger import STRAYS
from pytest_prodcheck.plugin.threads import ThreadErrors

GRACE = 5.0  # seconds that threads have to end once the interpreter does
CANNOT_TELL = 13


def watch_shutdown(code: int, take_back: Callable[[], None]) -> int:
    """From here on nothing may change what was said: code is the process's, take_back closes what it opened.

    Returns the code, another one where something came while the verdicts were published.
    """
    ending = _ProcessExit(code, take_back)
    STRAYS.too_late = ending.too_late
    for text in STRAYS.take():
        ending.too_late(text)
    register = getattr(threading, "_register_atexit", None)
    free = signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    if register is not None and free and threading.current_thread() is threading.main_thread():
        try:
            register(ending.begin)
        except RuntimeError:  # the interpreter is ending already
            return ending.code
        atexit.register(ending.finish)
    return ending.code


class _ProcessExit:
    def __init__(self, code: int, take_back: Callable[[], None]) -> None:
        self.code, self.requested, self.take_back = code, code, take_back
        self.begun = False
        self.pid = os.getpid()

    def begin(self) -> None:
        """Before Python waits for threads."""
        if self.pid == os.getpid():
            self.begun = True
            ThreadErrors().listen()  # pytest has put Python's own hook back
            signal.signal(signal.SIGALRM, self._give_up)
            signal.setitimer(signal.ITIMER_REAL, GRACE)

    def finish(self) -> None:
        """All threads have ended."""
        if self.begun and self.pid == os.getpid():
            signal.setitimer(signal.ITIMER_REAL, 0)
            if self.code != self.requested:  # before Python began to end, when nobody asked any more
                self._leave()

    def too_late(self, text: str) -> None:
        """A judgement, or a thread's death, after the verdicts were published: they did not take it into account."""
        if self.pid != os.getpid():
            return
        self.take_back()
        self.code = CANNOT_TELL
        print(  # noqa: T201
            "prodcheck: a thread called judge() or died after the end of the run: the gates are closed",
            file=sys.stderr,
        )
        if self.begun:
            self._leave()

    def _give_up(self, _number: int, _frame: FrameType | None) -> None:
        alive = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
        print(  # noqa: T201
            f"prodcheck: some threads did not end, and were not waited for: {', '.join(alive) or '-'}",
            file=sys.stderr,
        )
        self._leave()

    def _leave(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                continue
        os._exit(self.code)
