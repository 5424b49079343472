"""Other people's plugins that a run with `--env` cannot work beside; docs/plugins.md says what was tried."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """An option of another plugin, the values with which that plugin does nothing, why not, and what to do."""

    plugin: str
    option: str  # as argparse names it
    idle: tuple[object, ...]
    why: str
    instead: str


REFUSED = (
    Refused("pytest-retry", "retries", (None, 0), "it repeats checks unseen and lists frames with secrets in them",
            "use --reruns of pytest-rerunfailures"),
    Refused("pytest-forked", "forked", (None, False), "what a check judges in a process of its own is lost",
            "leave out --forked"),
    Refused("pytest-repeat", "count", (None, 1), "a check is judged once", "leave out --count"),
    Refused("pytest-picked", "picked", (None, False), "it leaves out checks, so that no gate could open",
            "leave out --picked"),
)  # fmt: skip


def refusals(options: argparse.Namespace) -> Iterator[str]:
    """One sentence for each plugin that is in use and cannot be."""
    for each in REFUSED:
        if getattr(options, each.option, None) not in each.idle:
            yield f"{each.plugin} cannot be used together with --env: {each.why}; {each.instead}"
