"""Data that unfolds: a kilobyte of YAML aliases stands for more values than there is memory."""

from __future__ import annotations

from typing import Any

MOST = 1_000_000  # values, each as often as it is referred to
DEEPEST = 200


def refuse_bombs(data: Any) -> None:
    """Raises ValueError for data that would unfold to too many values, too deep, or for ever."""
    count, stack = 0, [(data, 0)]
    while stack:
        value, depth = stack.pop()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")
        count += 1 + len(inner)
        if count > MOST:
            raise ValueError(f"its aliases unfold to more than {MOST} values")
        stack += [(each, depth + 1) for each in inner if isinstance(each, (dict, list))]
