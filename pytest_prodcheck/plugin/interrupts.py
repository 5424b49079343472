"""Ctrl-C that is not lost.

Python drops a KeyboardInterrupt that falls into the end of an import or a finalizer ("Exception ignored in …"); the run
would go on as if nobody had pressed a key.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Remembers that SIGINT came; `came` stays True until the process ends."""

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def start(self) -> None:
        """Takes the place of Python's own handler, of no other one."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._take)

    def stop(self) -> None:
        """Gives Python's own handler its place back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def look(self) -> None:
        """Raises the KeyboardInterrupt that came and was lost."""
        if self.came:
            raise KeyboardInterrupt

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt
