"""Shows a deployment as it goes; whoever reads it, or went away, changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import Literal, TextIO

_RESET, _GREEN, _RED, _YELLOW = "\033[0m", "\033[32m", "\033[31m", "\033[33m"
_COLOURS = {"open": _GREEN, "done": _GREEN, "blocked": _RED, "failed": _RED, "cannot tell": _YELLOW}


class Progress:
    """Lines on standard output, or error; on a terminal also one that changes, and colours. said: the last lines."""

    def __init__(self, stream: Literal["stdout", "stderr"] = "stdout") -> None:
        self._name = stream
        self._live = self._stream is not None and self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._open = self.last_message = ""

    @property
    def _stream(self) -> TextIO:
        found: TextIO = getattr(sys, self._name)
        return found

    def step(self, number: int, of: int, text: str) -> None:
        """A step begins."""
        at = time.strftime("%H:%M:%S")
        self._open = f"{at}  [{number:>{len(str(of))}}/{of}] {text:44}"
        self.update("…")

    def result(self, text: str, more: str = "") -> None:
        """How it ended, with what is to be known about it beneath."""
        from pytest_prodcheck.reports.escaping import safe, safe_lines
        from pytest_prodcheck.reports.symbols import takes_color

        colour = _COLOURS.get(text, "") if takes_color(self._stream) else ""
        shown = f"{colour}{safe(text)}{_RESET}" if colour else safe(text)
        self.write(f"{_clear(self._live)}{safe(self._open) + '  ' if self._open else ''}{shown}")
        self._open = ""
        for line in safe_lines(more):
            self.write(f"            {line}")

    def update(self, text: str) -> None:
        """How far a step is: only on a terminal, in place."""
        if self._live and (self._open or text):
            from pytest_prodcheck.reports.escaping import safe

            width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be cleared
            self.write(_clear(True) + f"{safe(self._open)}  {safe(text)}"[:width], end="")

    def message(self, text: str) -> None:
        """One line or several."""
        from pytest_prodcheck.reports.escaping import safe

        self.last_message = text
        for line in text.splitlines():
            self.write(_clear(self._live) + safe(line))

    def write(self, text: str, end: str = "\n") -> None:
        """As it is; a reader that went away is no trouble."""
        try:
            print(text, end=end, flush=True, file=self._stream)
        except UnicodeEncodeError:
            print(text.encode("ascii", "backslashreplace").decode(), end=end, flush=True, file=self._stream)
        except (OSError, ValueError):
            setattr(sys, self._name, open(os.devnull, "w"))  # noqa: SIM115


def _clear(live: bool) -> str:
    return "\r\033[K" if live else ""
