"""Numbers over time as one line of text."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], limit: float | None = None) -> str:
    """A bar a value, from 0 (or the least, where that is less) to the largest of the values and the limit."""
    if not values:
        return ""
    low = min(0.0, *values)
    high = max(*values, low if limit is None else limit)
    if high <= low:
        return _BARS[0] * len(values)
    return "".join(_BARS[min(len(_BARS) - 1, int((each - low) / (high - low) * len(_BARS)))] for each in values)
