"""Shows a person how far the gathering of evidence is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_prodcheck.plugin.gathering import Gathering

PATIENCE = 0.3  # seconds of waiting before anything is shown
EVERY = 10.0  # seconds between two lines where no terminal can be written over


class Progress:
    """One line about the gathering: written over on a terminal, repeated now and then elsewhere."""

    def __init__(self) -> None:
        self._reporter: pytest.TerminalReporter | None = None
        self._gathering: Gathering | None = None
        self._said = -EVERY

    def begin(self, reporter: pytest.TerminalReporter | None, gathering: Gathering | None) -> None:
        """Tells where to show it, and whose progress it is."""
        self._reporter, self._gathering = reporter, gathering

    def say(self, text: str) -> None:
        """Shows one line; "" takes it away again."""
        if self._reporter is None or self._reporter.verbosity < -1:
            return
        if self._reporter.isatty:
            self._reporter.rewrite(text[: self._reporter._tw.fullwidth - 1], erase=True)
        elif text and time.monotonic() >= self._said + EVERY:
            self._said = time.monotonic()
            self._reporter.write_line(text)

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Shows the progress while a check waits for its evidence; where nothing is written over, only of a load."""
        if self._reporter is None or self._gathering is None:
            yield
            return
        done = threading.Event()
        thread = threading.Thread(target=self._show, args=(self._gathering, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(1)

    def _show(self, gathering: Gathering, done: threading.Event) -> None:
        shown = False
        while not done.wait(PATIENCE):
            text = gathering.progress() if self._reporter and self._reporter.isatty else gathering.load_progress
            if text:
                shown = True
                self.say(text)
        if shown:
            self.say("")
