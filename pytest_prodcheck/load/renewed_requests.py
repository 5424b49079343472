"""Requests with new tokens, left by the process that logs in, taken by the one that sends."""

from __future__ import annotations

import json
from pathlib import Path

FILE = "renewed.json"
Renewals = dict[str, tuple[str, float | None]]


class RenewedRequests:
    """The file in the folder of a load, read whenever it is another one."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._seen = 0

    def take(self) -> Renewals:
        """Endpoint -> request and when its token ends, {} where there is nothing new."""
        try:
            stamp = self._file.stat().st_mtime_ns
            if stamp == self._seen:
                return {}
            self._seen = stamp
            told = json.loads(self._file.read_text(encoding="utf-8"))
            return {str(name): (str(raw), ends) for name, (raw, ends) in told.items()}
        except OSError:
            return {}
