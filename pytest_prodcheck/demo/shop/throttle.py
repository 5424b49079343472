"""How the shop slows down whoever tries passwords: each user by itself, so that nobody shuts out another."""

from __future__ import annotations

import threading
import time

MOST, SPAN = 8, 5.0  # so many wrong passwords in so many seconds; then the rest of the span is waited for


class Throttle:
    """Counts wrong passwords by user. off: counts nothing. everybody: counts all users as one."""

    def __init__(self) -> None:
        self.off = self.everybody = False
        self._failures: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def failed(self, user: str) -> None:
        """Notes a wrong password."""
        with self._lock:
            if len(self._failures) > 10_000:
                self._failures.clear()
            self._recent(user).append(time.monotonic())

    def wait(self, user: str) -> int:
        """Seconds until the user may try again, 0 for now."""
        with self._lock:
            recent = self._recent(user)
            if self.off or len(recent) < MOST:
                return 0
            return max(1, round(recent[0] + SPAN - time.monotonic()))

    def reset(self) -> None:
        """Forgets what was noted."""
        with self._lock:
            self._failures.clear()

    def _recent(self, user: str) -> list[float]:
        since = time.monotonic() - SPAN
        name = "" if self.everybody else user
        kept = self._failures[name] = [at for at in self._failures.get(name, ()) if at > since]
        return kept
