"""What pytest has no public name for; `tests/plugin/test_pytest_internals.py` fails where pytest changes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def set_node_id(item: pytest.Item, name: str) -> None:
    """Gives an item another node id."""
    whole: Any = item
    if hasattr(whole, "_id"):  # since pytest 9.2
        whole._id = type(whole._id).parse(name)
    else:
        whole._nodeid = name


def terminal_writer(reporter: pytest.TerminalReporter) -> Any:
    """What the reporter writes with: `write`, `width_of_current_line`, `fullwidth`."""
    return reporter._tw


def terminal_descriptor(reporter: pytest.TerminalReporter) -> int:
    """The descriptor that the reporter writes to; raises OSError, ValueError or AttributeError where it has none."""
    return int(reporter._tw._file.fileno())


def finalizers(fixture: pytest.FixtureDef[Any]) -> list[Callable[[], object]]:
    """The finalizers of a fixture: pytest's own list, which may be changed."""
    found: list[Callable[[], object]] = getattr(fixture, "_finalizers", [])
    return found


def report_sections(item: pytest.Item) -> list[tuple[str, str, str]]:
    """What was captured of an item so far, as (when, name, text): pytest's own list, which may be changed."""
    found: list[tuple[str, str, str]] = getattr(item, "_report_sections", [])
    return found
