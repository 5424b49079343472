"""Numbers over time as one line of text."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"


def sparkline(values: Sequence[float | None], limit: float | None = None) -> str:
    """A bar a value, from 0 (or the least, where that is less) to the largest of the values and the limit."""
    seen = [each for each in values if each is not None]
    if not seen:
        return _GAP * len(values)
    low = min(0.0, *seen)
    high = max(*seen, low if limit is None else limit)

    def bar(value: float | None) -> str:
        if value is None:
            return _GAP
        return _BARS[0] if high <= low else _BARS[min(len(_BARS) - 1, int((value - low) / (high - low) * len(_BARS)))]

    return "".join(map(bar, values))
