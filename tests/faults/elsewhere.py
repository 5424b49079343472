"""Faults that the demo cannot have: each stands in the tests of its subject, and is found here by a loop.

A subject that needs a program which no wheel brings has its `FAULTS` in `tests/evidence/SUBJECT/test_faults.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parent.parent.parent
LARGE = ("tests/cluster/faults.py", "tests/monitoring/faults.py")


class Told(Protocol):
    """What documentation says of a fault."""

    @property
    def name(self) -> str: ...

    @property
    def notices(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Fault:
    """A fault: how it is made, and which checks notice it and how."""

    name: str
    make: Callable[[Any], None]
    outcomes: Mapping[str, str]

    @property
    def notices(self) -> tuple[str, ...]:
        """The checks that notice it."""
        return tuple(self.outcomes)


def places() -> Iterator[tuple[str, Iterable[Told]]]:
    """(file, its faults)."""
    small = sorted(str(file.relative_to(ROOT)) for file in ROOT.glob("tests/evidence/*/test_faults.py"))
    for name in (*LARGE, *small):
        yield name, import_module(name.removesuffix(".py").replace("/", ".")).FAULTS


def noticed() -> set[str]:
    """Ids, or globs of ids, of the checks that any of them turns red."""
    return {check for _, faults in places() for fault in faults for check in fault.notices}


def turning_red(check: str) -> tuple[str, list[str]]:
    """The file with the faults that turn a check red, and "NAME (outcome)" of each; ("", []) for none."""
    for file, faults in places():
        found = []
        for fault in faults:
            outcomes: Mapping[str, str] = getattr(fault, "outcomes", dict.fromkeys(fault.notices, ""))
            told = sorted({outcome for each, outcome in outcomes.items() if fnmatchcase(each, check)})
            found += [f"{fault.name} ({outcome})" if outcome else fault.name for outcome in told]
        if found:
            return file, found
    return "", []
