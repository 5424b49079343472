"""Threads that die: pytest warns of them, prodcheck cannot tell what they would have found."""

from __future__ import annotations

import threading
from typing import Any

from pytest_prodcheck.judging.ledger import STRAYS


class ThreadErrors:
    """Notes every exception that ends a thread, then lets others have it."""

    def __init__(self) -> None:
        self._before: Any = None

    def start(self) -> None:
        """Call it once the session has begun: pytest's own hook is then in place."""
        STRAYS.begin()
        STRAYS.too_late = None
        STRAYS.take()
        self.listen()

    def listen(self) -> None:
        """Puts itself before whoever listens now."""
        self._before, threading.excepthook = threading.excepthook, self._note

    def stop(self) -> None:
        """Gives the hook back where nobody has put another one over it."""
        if threading.excepthook == self._note:
            threading.excepthook = self._before

    def _note(self, args: Any) -> None:
        if args.exc_type is not SystemExit:
            name = args.thread.name if args.thread is not None else "?"
            STRAYS.add(f"thread {name} died: {args.exc_type.__name__}: {args.exc_value}")
        if self._before is not threading.__excepthook__:  # which would print what may hold a secret
            self._before(args)
