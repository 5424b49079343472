"""What a fault or benign event does all the time, until it is switched off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

LAST = 5.0  # seconds that the last round may take


class Background:
    """A thread. work: is called once, and returns soon after the event is set."""

    def __init__(self, work: Callable[[System, threading.Event], None]) -> None:
        self._work = work
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def on(self, system: System) -> None:
        """Starts it."""
        self._end.clear()
        self._thread = threading.Thread(target=self._work, args=(system, self._end), daemon=True)
        self._thread.start()

    def off(self, system: System) -> None:
        """Ends it."""
        self._end.set()
        if self._thread:
            self._thread.join(LAST)
