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
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest_prodcheck

ROOT = Path(__file__).resolve().parent.parent.parent
FULL = 200_000  # characters
SEEDS = (
    "a", "0", " ", "\n", "\t", "=", "'", '"', "\\", "<", "(", "[", "{", "/", "-", ".", ":", ",", "#", "A ", "a=", "a:",
    "a,", "1.", "\\a", "''", "<a ", "a/", "&a", "%41", "://a:", "eyJa.", "bearer ", "authorization: basic ", "(a", "; ",
    "-----BEGIN A PRIVATE KEY-----", "a-", "::a", "a0", "${", "{{", "0-", "%", "x", "at a", "File \"a", "a\n", "\r\n",
)  # fmt: skip
# what is exponential shows early; each step is so small that what took a quarter of a second comes back from the next
SIZES = (*range(18, 100, 4), *(int(100 * 1.3**step) for step in range(11)), 2000)
FEW = (18, 34, 66, 130, 219, 481, 2000)  # of them, enough for what takes no millisecond
LIKED = (" a0=\"'", "a0 =\"'", "0a", "=;a", "\n a")
REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
METHODS = ("search", "match", "fullmatch", "finditer", "findall", "sub", "split", "subn")
SHORT = {  # what they are tried on is never long, or nobody else's
    "pytest_prodcheck.evidence.migrations.scripts._NUMBERED": "names of files: 255 bytes",
    "pytest_prodcheck.evidence.migrations.scripts._FLYWAY": "names of files: 255 bytes",
    "pytest_prodcheck.environments.schema._FIELD": "our own source",
}
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


def texts(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str, str]]:
    """(before, repeated, after): what begins as the pattern does, goes on and on, and then does not fit."""
    shown = _shown(pattern)
    begins = re.match(r"\^?\\?b?\(?\??:?([\w:/\-<=\"' ]*)", shown)
    starts = {"", begins[1] if begins else ""}
    own = set(re.findall(r"[^\\()\[\]{}|*+?^$.]", shown)[:12])
    pairs = list(itertools.product(sorted(starts), (*SEEDS, *sorted(own - set(SEEDS)))))
    tree = _parser.parse(shown, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags)
    for liked in LIKED:
        pairs += list(_parts(list(tree), "", liked))
    for before, seed in dict.fromkeys(pairs):
        for after in ("\x01", ""):
            yield before, seed, after


def _parts(items: list[Any], before: str, liked: str) -> Iterator[tuple[str, str]]:
    """Each run of a pattern's parts, repeated behind what fits the parts before it; in groups and alternatives too."""
    told = [_fitting([each], liked) for each in items]
    for first in range(len(items)):
        start = before + "".join(told[:first])
        for last in range(first + 1, min(first + 8, len(items)) + 1):
            if seed := "".join(told[first:last]):
                yield start, seed
        if items[0][0] is _constants.LITERAL and first and (seed := "".join(told[:first])):
            yield before, seed
        yield from _inner(items[first], start, liked)


def _inner(item: Any, before: str, liked: str) -> Iterator[tuple[str, str]]:
    kind, value = item
    if kind is _constants.BRANCH:
        for each in value[1]:
            yield from _parts(list(each), before, liked)
    elif kind is _constants.SUBPATTERN:
        yield from _parts(list(value[-1]), before, liked)
    elif kind in REPEATS:
        yield from _parts(list(value[2]), before, liked)


def _fitting(items: Iterable[Any], liked: str) -> str:
    """A text that fits a pattern's parts. liked: characters that are taken where there is a choice."""
    found = ""
    for kind, value in items:
        if kind is _constants.LITERAL:
            found += chr(value)
        elif kind is _constants.NOT_LITERAL:
            found += next(each for each in liked if ord(each) != value)
        elif kind is _constants.ANY:
            found += liked[0]
        elif kind is _constants.IN:
            one = _compiler.compile(_parser.SubPattern(_parser.State(), [(kind, value)]))
            found += next((each for each in (*liked, *map(chr, range(33, 256))) if one.match(each)), "")
        elif kind is _constants.SUBPATTERN:
            found += _fitting(value[-1], liked)
        elif kind is _constants.BRANCH:
            found += _fitting(value[1][0], liked)
        elif kind in REPEATS:
            found += _fitting(value[2], liked) * max(value[0], 1)
    return found


def _shown(pattern: re.Pattern[Any]) -> str:
    return pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")


def seconds(pattern: re.Pattern[Any], method: str, text: str) -> float:
    subject: Any = text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text
    started = time.process_time()
    if method in ("match", "fullmatch"):
        getattr(pattern, method)(subject)
    else:
        deque(pattern.finditer(subject), maxlen=0)
    return time.process_time() - started


def pumped(pattern: re.Pattern[Any], method: str) -> tuple[float, str]:
    """The worst time for 200 kB, and what of; estimated where less of it shows that it grows faster than its length."""
    worst: list[tuple[float, str, str, str]] = []
    for before, seed, after in texts(pattern):
        took, size = _small(pattern, method, before, seed, after)
        if took > 0.25:
            return took * (FULL / size) ** 2, f"{before!r} + {seed!r} * n + {after!r} at {size}"
        worst.append((took, before, seed, after))
    found, form = 0.0, ""
    for _, before, seed, after in sorted(worst, reverse=True)[:2]:
        for size in (10_000, FULL):
            took = seconds(pattern, method, before + seed * (size // len(seed)) + after)
            if took > found:
                found, form = took * FULL / size, f"{before!r} + {seed!r} * n + {after!r}"
            if took > 0.15 and size < FULL:
                return took * (FULL / size) ** 2, form
    return found, form


def _small(pattern: re.Pattern[Any], method: str, before: str, seed: str, after: str) -> tuple[float, int]:
    """The time for the longest small text, or the first that takes a quarter of a second; and how long that text is."""
    took, sizes = 0.0, list(FEW)
    while sizes:
        size = sizes.pop(0)
        took = seconds(pattern, method, before + seed * (size // len(seed)) + after)
        if took > 0.25:
            break
        if took > 0.001:
            sizes = [each for each in SIZES if each > size]
    return took, size


if __name__ == "__main__":
    part, of = (int(each) for each in (sys.argv[1:3] or ("0", "1")))
    for where, method, pattern in everything()[part::of]:
        if where in SHORT:
            continue
        print(json.dumps({"where": where, "method": method, "pattern": str(pattern.pattern)[:120]}), flush=True)
        took, form = pumped(pattern, method)
        print(json.dumps({"seconds": took, "form": form}), flush=True)
