"""What a load is told while it runs, left as files by the process that logs in and asks for names."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REQUESTS = "requests.json"  # endpoint -> [request with a new token, when that ends]
ADDRESSES = "addresses.json"  # service -> [[ip, port], …]
Renewals = dict[str, tuple[str, float | None]]


class RenewalFile:
    """One of the files in the folder of a load, read whenever it is another one."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / name
        self._seen = 0

    def take(self) -> dict[str, Any]:
        """What it says, {} where there is nothing new."""
        try:
            stamp = self._file.stat().st_mtime_ns
            if stamp == self._seen:
                return {}
            self._seen = stamp
            told: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
            return told
        except OSError:
            return {}


def write_renewal(folder: Path, name: str, told: Mapping[str, Any]) -> None:
    """Writes one of the files, whole or not at all."""
    temporary = folder / f".{name}"
    temporary.touch(mode=0o600)  # it may hold tokens
    temporary.write_text(json.dumps(told), encoding="utf-8")
    os.replace(temporary, folder / name)
