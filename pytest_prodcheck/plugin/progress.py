"""Shows a person how far the gathering of evidence is."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pytest_prodcheck.plugin.pytest_internals import terminal_descriptor, terminal_writer

if TYPE_CHECKING:
    import pytest

    from pytest_prodcheck.plugin.gathering import Gathering

PATIENCE = 0.3  # seconds of waiting before anything is shown, and between two looks
EVERY = 10.0  # seconds between two lines where no terminal can be written over


class Screen:
    """Where a person looks. pytest sends what this process writes elsewhere while a test runs, so this is a copy.

    over: whether lines can be written over there.
    """

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._writer = terminal_writer(reporter)
        self.over = reporter.isatty and os.environ.get("TERM") != "dumb"
        self._column = 0  # where the line that was begun before ours ends
        self._shown = False
        try:
            self._copy: int | None = os.dup(terminal_descriptor(reporter))
        except (OSError, ValueError, AttributeError):  # no file: somebody's buffer, or closed
            self._copy = None

    def show(self, text: str) -> None:
        """Shows a line: instead of the one before where that can be; "" takes it away, back to the line before it."""
        if not self.over:
            if text:
                self._write(("\n" if self._writer.width_of_current_line else "") + text + "\n")
            return
        if text and not self._shown:
            self._column = self._writer.width_of_current_line
            self._write("\n" if self._column else "")
        self._write("\r\x1b[K" + text[: self._writer.fullwidth - 1])
        if not text and self._shown and self._column:
            self._write(f"\x1b[A\x1b[{self._column}C")
        self._shown = bool(text)

    def _write(self, text: str) -> None:
        with suppress(OSError):  # nobody looks any more
            if self._copy is not None:
                os.write(self._copy, text.encode("utf-8", "replace"))
            else:
                self._writer.write(text, flush=True)

    def close(self) -> None:
        """Gives the copy back."""
        if self._copy is not None:
            os.close(self._copy)
            self._copy = None


class Progress:
    """One line about the gathering: written over on a terminal, repeated now and then elsewhere."""

    def __init__(self) -> None:
        self._screen: Screen | None = None
        self._gathering: Gathering | None = None
        self._said = -EVERY
        self._lock = threading.Lock()  # for whoever shows something, and for the three below
        self._waits_since: float | None = None  # monotonic; None: no check waits
        self._shown = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None  # one for the whole run: a check in a thousand waits long

    def begin(self, reporter: pytest.TerminalReporter | None, gathering: Gathering | None) -> None:
        """Tells where to show it, and whose progress it is; while pytest lets output through."""
        if reporter is not None and reporter.verbosity >= -1:
            self._screen = Screen(reporter)
        self._gathering = gathering

    def say(self, text: str) -> None:
        """Shows one line; "" takes it away again."""
        if self._screen is None:
            return
        if self._screen.over:
            self._screen.show(text)
        elif text and time.monotonic() >= self._said + EVERY:
            self._said = time.monotonic()
            self._screen.show(text)

    def close(self) -> None:
        """Shows nothing any more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(1)
        with self._lock:
            screen, self._screen = self._screen, None
        if screen is not None:
            screen.close()

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Shows the progress while a check waits for its evidence; where nothing is written over, only of a load."""
        if self._screen is None or self._gathering is None:
            yield
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="prodcheck-progress", daemon=True)
            self._thread.start()
        self._waits_since = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._waits_since = None
                if self._shown:
                    self._shown = False
                    self.say("")

    def _watch(self) -> None:
        while not self._ended.wait(PATIENCE):
            with self._lock:
                if self._screen is None or self._gathering is None:
                    return
                if self._waits_since is not None and time.monotonic() >= self._waits_since + PATIENCE:
                    text = self._gathering.progress() if self._screen.over else self._gathering.load_progress
                    if text:
                        self._shown = True
                        self.say(text)
