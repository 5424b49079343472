"""Which markers a `-m` expression names: what gates a run concerns, and whether a name is misspelt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatch
from itertools import product

from pytest_prodcheck.judging.checks import SUITES

_WORDS = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")


def names_in(expression: str) -> list[str]:
    """The marker names of an expression such as `smoke and not slow(level=2)`, in order."""
    words = _WORDS.findall(_without_arguments(expression))
    return [name for name in dict.fromkeys(words) if name not in ("and", "or", "not")]


def _without_arguments(expression: str) -> str:
    return re.sub(r"\([^()=]*=[^()]*\)", "", re.sub(r"'[^']*'|\"[^\"]*\"", "", expression))


def suites_in(expression: str) -> list[str]:
    """The suites that an expression names."""
    return [name for name in names_in(expression) if name in SUITES]


def suites_selected_by(expression: str) -> list[str]:
    """The suites whose checks an expression may select: the others for "not smoke", all for "not slow".

    Those that it names where it selects none of them alone, or cannot be read.
    """
    named = suites_in(expression)
    tree = _parsed(expression)
    if tree is None:
        return named
    every = dict.fromkeys([*named, *SUITES])
    return [each for each in every if True in _truths(tree, each, {True, False} if each in named else {False})] or named


def asks_for_suites(expression: str) -> bool:
    """Whether it names suites, and leaves out what has no marker: "not smoke" does not."""
    tree = _parsed(expression)
    return bool(suites_in(expression)) and (tree is None or True not in _truths(tree, "", {False}))


def _parsed(expression: str) -> ast.expr | None:
    kept = {*SUITES, "and", "or", "not"}
    bare = _WORDS.sub(lambda found: found[0] if found[0] in kept else "other", _without_arguments(expression))
    try:
        return ast.parse(bare.strip(), mode="eval").body
    except SyntaxError:
        return None


def _truths(node: ast.expr, suite: str, other: set[bool]) -> set[bool]:
    """What an expression may say of a check of a suite; other: what any further marker may."""
    if isinstance(node, ast.Name):
        return {node.id == suite} if node.id in SUITES else other
    if isinstance(node, ast.UnaryOp):
        return {not each for each in _truths(node.operand, suite, other)}
    if isinstance(node, ast.BoolOp):
        combine = all if isinstance(node.op, ast.And) else any
        return {combine(each) for each in product(*(_truths(each, suite, other) for each in node.values))}
    return {True, False}


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


def uncollected_by(files: Iterable[str], functions: Iterable[str]) -> str:
    """Why pytest's settings `python_files` and `python_functions` leave the bundled checks out, "" where they do not.

    Those are functions `test_…` in files `test_….py`; pytest takes a function by its beginning, too.
    """
    for name, patterns, wanted in (("python_files", files, "test_x.py"), ("python_functions", functions, "test_x")):
        begins = name == "python_functions"
        patterns = list(patterns)
        if not any(fnmatch(wanted, each) or (begins and wanted.startswith(each)) for each in patterns):
            more = "test_*.py" if not begins else "test_*"
            return f"the setting {name} ({' '.join(patterns)}) leaves the bundled checks out: add {more}"
    return ""


def registered(lines: Iterable[str]) -> list[str]:
    """The names of registered markers, from the lines of pytest's `markers` setting."""
    return [re.split(r"[:(\s]", line, maxsplit=1)[0] for line in lines]
