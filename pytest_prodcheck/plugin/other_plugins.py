"""Other people's plugins that a run with `--env` cannot work beside; docs/plugins.md says what was tried."""

from __future__ import annotations

import argparse
import re
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
    Refused("pytest-retry", "retries", (None, 0), ("it repeats checks without reporting it, and lists "
        "stack frames that contain secrets"),
            "use --reruns of pytest-rerunfailures"),
    Refused("pytest-forked", "forked", (None, False), "results of a check in a forked process are lost",
            "leave out --forked"),
    Refused("pytest-repeat", "count", (None, 1), "a check runs only once", "leave out --count"),
    Refused("pytest-picked", "picked", (None, False), "it leaves out checks, so no gate could open",
            "leave out --picked"),
)  # fmt: skip


HERE = re.compile(r"(\d+\*)?popen(//(id|nice|execmodel|dont_write_bytecode)=[^/]*)*")  # of execnet's specifications


def refusals(options: argparse.Namespace) -> Iterator[str]:
    """One sentence for each plugin, or option of pytest, that is in use and cannot be."""
    if getattr(options, "noconftest", False):
        yield (
            "--noconftest cannot be used together with --env: it ignores conftests "
            "that affect results; remove this option"
        )
    for each in getattr(options, "tx", None) or ():
        if not HERE.fullmatch(each):
            yield f"--tx {each} cannot be used together with --env: its workers would use other files; use -n"
    for each in REFUSED:
        if getattr(options, each.option, None) not in each.idle:
            yield f"{each.plugin} cannot be used together with --env: {each.why}; {each.instead}"
