"""Which markers a `-m` expression names: what gates a run concerns, and whether a name is misspelt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from pytest_prodcheck.judging.checks import SUITES

_WORDS = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")


def names_in(expression: str) -> list[str]:
    """The marker names of an expression such as `smoke and not slow(level=2)`, in order."""
    bare = re.sub(r"\([^()=]*=[^()]*\)", "", re.sub(r"'[^']*'|\"[^\"]*\"", "", expression))
    return [name for name in dict.fromkeys(_WORDS.findall(bare)) if name not in ("and", "or", "not")]


def suites_in(expression: str) -> list[str]:
    """The suites that an expression names."""
    return [name for name in names_in(expression) if name in SUITES]


def only_suites_in(expression: str) -> list[str]:
    """The suites of an expression that is nothing but suites, such as "smoke or security"; [] for any other one."""
    names = expression.split(" or ")
    return [name.strip() for name in names] if all(name.strip() in SUITES for name in names) else []


def unknown_in(expression: str, known: Iterable[str]) -> str:
    """A sentence about the first name that is no marker, "" where all are: an unknown one silently selects nothing."""
    markers = {*known, *SUITES}
    for name in names_in(expression):
        if name not in markers:
            close = get_close_matches(name, sorted(markers), 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; the suites are {', '.join(SUITES)}"
            return f"-m {expression!r}: there is no marker {name!r}{hint}"
    return ""


def registered(lines: Iterable[str]) -> list[str]:
    """The names of registered markers, from the lines of pytest's `markers` setting."""
    return [re.split(r"[:(\s]", line, maxsplit=1)[0] for line in lines]
