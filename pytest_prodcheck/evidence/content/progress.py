"""How far a comparison came, on disk: one that was interrupted goes on where it was, for a while."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from hashlib import sha256
from pathlib import Path

from pytest_prodcheck.sealed_lines import SealedLines
from pytest_prodcheck.trusted_files import open_own, read_regular, refuse_links

LARGEST = 64 * 1024 * 1024  # bytes
FOLDER = Path(".prodcheck") / "content"


class Progress:
    """The chunks found equal, by a name that changes with everything they depend on. Thread-safe.

    key: seals what is noted, so that nobody else can say that a chunk is equal. subject: the environment, cluster,
    nodes and chunk size. keep: seconds that a chunk counts. oldest: epoch seconds of the oldest one that was taken
    over, None for none.
    """

    def __init__(self, root: Path, key: bytes, subject: str, keep: float) -> None:
        self._path = root / FOLDER / f"{sha256(subject.encode()).hexdigest()[:24]}.jsonl"
        self._sealed = SealedLines(key, subject)
        self._lock = threading.Lock()
        self.oldest: float | None = None
        self.taken_over = 0
        self._done = {name: (moment, rows) for name, moment, rows in self._lines() if time.time() - moment < keep}

    def _lines(self) -> list[tuple[str, float, int]]:
        found = []
        with contextlib.suppress(OSError, ValueError):
            for line in read_regular(str(self._path), LARGEST, follow=False).decode().splitlines():
                text = self._sealed.text(line)  # not of the last line of one that was killed
                if text is not None:
                    name, moment, rows = json.loads(text)
                    found.append((str(name), float(moment), int(rows)))
        return found

    def rows_of(self, name: str) -> int | None:
        """The rows of a chunk that was found equal lately, None where it was not."""
        known = self._done.get(name)
        if known is None or known[0] > time.time():
            return None
        with self._lock:
            self.taken_over += 1
            self.oldest = known[0] if self.oldest is None else min(self.oldest, known[0])
        return known[1]

    def equal(self, name: str, rows: int) -> None:
        """Notes one that is equal now; where nothing can be written, a later run begins anew."""
        line = self._sealed.line(json.dumps([name, time.time(), rows]))
        if not line:
            return
        with self._lock, contextlib.suppress(OSError):
            refuse_links(str(self._path.parent.parent), str(self._path.parent))
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = open_own(str(self._path), os.O_WRONLY | os.O_APPEND)
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{line}\n")

    def finished(self) -> None:
        """Forgets all: the comparison came to its end."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
