"""What differs from request to request: rows of a file, or numbers of a range."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any


class Feed:
    """The rows of one endpoint or flow, for the sender `index` of `of`: each takes others, so that none is left out."""

    def __init__(self, plain: Mapping[str, Any], index: int, of: int) -> None:
        self._rows: list[dict[str, Any]] = plain["rows"]
        self._numbers: dict[str, tuple[int, int]] = {name: (a, b) for name, (a, b) in plain["numbers"].items()}
        self._any = plain["order"] == "random"
        self._place, self._step = index, of

    def take(self) -> dict[str, Any]:
        """The next row."""
        place, self._place = self._place, self._place + self._step
        if self._any:
            place = random.randrange(1 << 62)
        if self._rows:
            return self._rows[place % len(self._rows)]
        return {name: first + place % (last - first + 1) for name, (first, last) in self._numbers.items()}


NOTHING: dict[str, Any] = {"rows": [{}], "numbers": {}, "order": "turn"}
