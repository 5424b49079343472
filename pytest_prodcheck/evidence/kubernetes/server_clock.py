"""The time as the API server has it: ages of pods and events are counted by the clock that wrote them, not by ours."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime


class ServerClock:
    """How far its clock is ahead of ours, by the `Date` of its answers (RFC 9110, 6.6.1): whole seconds, cut off."""

    def __init__(self) -> None:
        self.ahead = 0.0  # seconds; exactly 0 where both may be the same

    def note(self, date: str | None, sent: float, received: float) -> None:
        """One answer; sent, received: our clock before and after."""
        try:
            told = parsedate_to_datetime(date or "").timestamp()
        except (TypeError, ValueError):
            return
        least, most = told - received, told + 1 - sent
        self.ahead = least if least > 0 else min(most, 0.0)

    def now(self) -> float:
        """Epoch seconds."""
        return time.time() + self.ahead
