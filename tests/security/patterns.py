"""Finds every regular expression of the package and pumps it; a process of its own, because `re` cannot be interrupted.

`python -m tests.security.patterns PART OF` prints two lines of JSON a pattern: where it is, then how long it took.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import pkgutil
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest_prodcheck

ROOT = Path(__file__).resolve().parent.parent.parent
FULL = 200_000  # characters
SEEDS = (
    "a", "0", " ", "\n", "\t", "=", "'", '"', "\\", "<", "(", "[", "{", "/", "-", ".", ":", ",", "#", "A ", "a=", "a:",
    "a,", "1.", "\\a", "''", "<a ", "a/", "&a", "%41", "://a:", "eyJa.", "bearer ", "authorization: basic ", "(a", "; ",
    "-----BEGIN A PRIVATE KEY-----", "a-", "::a", "a0", "${", "{{", "0-", "%", "x", "at a", "File \"a", "a\n", "\r\n",
)  # fmt: skip
METHODS = ("search", "match", "fullmatch", "finditer", "findall", "sub", "split", "subn")
Found = tuple[str, str, Any]  # where, method, pattern


def everything() -> list[Found]:
    """Compiled ones that modules hold, and those that are written into calls of `re`."""
    found: dict[tuple[str, str, Any, int], Found] = {}
    for where, method, pattern in (*_held(), *_written()):
        found.setdefault((method, str(type(pattern.pattern)), pattern.pattern, pattern.flags), (where, method, pattern))
    return list(found.values())


def _modules() -> Iterator[str]:
    yield from (each.name for each in pkgutil.walk_packages(pytest_prodcheck.__path__, "pytest_prodcheck."))


def _held() -> Iterator[Found]:
    for name in _modules():
        if name.startswith(("pytest_prodcheck.demo", "pytest_prodcheck.load")) or name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        source = Path(str(module.__file__)).read_text()
        for variable, value in vars(module).items():
            for pattern in _patterns_in(value):
                used = set(re.findall(rf"\b{re.escape(variable)}\.({'|'.join(METHODS)})\(", source)) or {"search"}
                yield from ((f"{name}.{variable}", method, pattern) for method in used)


def _patterns_in(value: Any, depth: int = 0) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth < 3 and isinstance(value, dict):
        for each in (*value.keys(), *value.values()):
            yield from _patterns_in(each, depth + 1)
    elif depth < 3 and isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            yield from _patterns_in(each, depth + 1)


def _written() -> Iterator[Found]:
    for file in (*(ROOT / "pytest_prodcheck").rglob("*.py"), *(ROOT / "suites").rglob("*.py")):
        if "demo" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
                continue
            if node.func.attr not in (*METHODS, "compile"):
                continue
            try:
                text, flags = ast.literal_eval(node.args[0]), 0
            except ValueError:
                continue  # made of others, which are found by themselves
            for given in (*node.args[1:], *(each.value for each in node.keywords if each.arg == "flags")):
                if re.fullmatch(r"re\.[A-Z]+( \| re\.[A-Z]+)*", ast.unparse(given)):
                    flags = eval(ast.unparse(given), {"re": re})
            method = "search" if node.func.attr == "compile" else node.func.attr
            if node.func.attr != "compile":
                yield f"{file.relative_to(ROOT)}:{node.lineno}", method, re.compile(text, flags)


def texts(pattern: str) -> Iterator[tuple[str, str, str]]:
    """(before, repeated, after): what begins as the pattern does, goes on and on, and then does not fit."""
    begins = re.match(r"\^?\\?b?\(?\??:?([\w:/\-<=\"' ]*)", pattern)
    starts = {"", begins[1] if begins else ""}
    own = set(re.findall(r"[^\\()\[\]{}|*+?^$.]", pattern)[:12])
    for before, seed in itertools.product(sorted(starts), (*SEEDS, *sorted(own - set(SEEDS)))):
        for after in ("\x01", ""):
            yield before, seed, after


def seconds(pattern: re.Pattern[Any], method: str, text: str) -> float:
    subject: Any = text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text
    started = time.perf_counter()
    if method in ("match", "fullmatch"):
        getattr(pattern, method)(subject)
    else:
        for _ in pattern.finditer(subject):
            pass
    return time.perf_counter() - started


def pumped(pattern: re.Pattern[Any], method: str) -> tuple[float, str]:
    """The worst time for 200 kB, and what of; estimated where less of it shows that it grows faster than its length."""
    shown = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    worst: list[tuple[float, str, str, str]] = []
    for before, seed, after in texts(shown):
        for size in (18, 24, 30, 36, 400, 2000):  # what is exponential shows early
            took = seconds(pattern, method, before + seed * (size // len(seed)) + after)
            if took > 0.25:
                return took * (FULL / size) ** 2, f"{before!r} + {seed!r} * n + {after!r} at {size}"
        worst.append((took, before, seed, after))
    found, form = 0.0, ""
    for _, before, seed, after in sorted(worst, reverse=True)[:2]:
        for size in (20_000, FULL):
            took = seconds(pattern, method, before + seed * (size // len(seed)) + after)
            if took > found:
                found, form = took * FULL / size, f"{before!r} + {seed!r} * n + {after!r}"
            if took > 0.3 and size < FULL:
                return took * 100, form
    return found, form


if __name__ == "__main__":
    part, of = (int(each) for each in (sys.argv[1:3] or ("0", "1")))
    for where, method, pattern in everything()[part::of]:
        print(json.dumps({"where": where, "method": method, "pattern": str(pattern.pattern)[:120]}), flush=True)
        took, form = pumped(pattern, method)
        print(json.dumps({"seconds": took, "form": form}), flush=True)
