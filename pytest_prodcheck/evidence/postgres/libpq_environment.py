"""What libpq reads of our environment (PGSERVICE, PGOPTIONS, PGTZ, …) is nobody's who declared where we connect to."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_lock = threading.Lock()


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Takes the variables away for a moment, for calls of libpq that connect: they are the caller's afterwards."""
    with _lock:
        kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
        try:
            yield
        finally:
            os.environ.update(kept)
