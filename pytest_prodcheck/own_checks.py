"""Finds the ids of a team's own checks by reading their files, without pytest's collection.

So that a run that was narrowed (a path, `--ignore`, `collect_ignore`) still knows what is missing.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

IGNORED = ("__pycache__", "node_modules", "venv", ".*")
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # where statements hold statements


@dataclass(frozen=True)
class OwnCheck:
    """One `@check("id", …)` in a file."""

    id: str
    file: Path
    line: int
    suite: str = ""
    needs: tuple[str, ...] = ()  # what it asks for by `needs`: "http-endpoint:cart.quote"
    arguments: tuple[str, ...] = ()  # of its function: fixtures, among them evidence
    opt_in: bool = False

    def __str__(self) -> str:
        """`id (file:line)`."""
        return f"{self.id} ({self.file.name}:{self.line})"


class OwnCheckError(ValueError):
    """A file of own checks that cannot be read as one."""


def scan(folders: list[Path]) -> list[OwnCheck]:
    """All own checks below these folders, in files of any name; raises OwnCheckError for what cannot be read."""
    found: list[OwnCheck] = []
    for folder in folders:
        if not folder.is_dir():
            raise OwnCheckError(f"checks: there is no folder {folder}")
        for file in _files(folder):
            found.extend(_in_file(file))
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not any(fnmatchcase(path.name, each) for each in IGNORED):
            yield from _files(path)
        elif path.is_file() and path.suffix == ".py":
            yield path


def _in_file(file: Path) -> Iterator[OwnCheck]:
    try:
        text = file.read_bytes()
        if b"prodcheck" not in text:
            return
        tree = ast.parse(text, filename=str(file))
    except (OSError, SyntaxError, ValueError) as error:
        raise OwnCheckError(f"{file}: cannot be read as Python: {error}") from None
    statements = list(_statements(tree))
    names = set(_names_of_check(statements))
    for node in statements:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and _dotted(decorator.func) in names:
                name = _literal_id(decorator, file)
                yield OwnCheck(
                    name,
                    file,
                    decorator.lineno,
                    _literal_suite(decorator, file) or name.partition(".")[0],
                    _needs(decorator),
                    tuple(each.arg for each in (*node.args.args, *node.args.kwonlyargs)),
                    any(word.arg == "opt_in" for word in decorator.keywords),
                )


def _dotted(node: ast.expr) -> str:
    """A name as it is written ("check", "pytest_prodcheck.check"), "" for any other expression."""
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """All statements at any depth; expressions, of which there are many more, can hold none."""
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        yield node
        for name in _BLOCKS:
            waiting.extend(getattr(node, name, ()))


def _names_of_check(statements: Iterable[ast.AST]) -> Iterator[str]:
    """What `check` is called in a file: "check", "pytest_prodcheck.check", or another name it was imported as."""
    for node in statements:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_prodcheck"):
            for alias in node.names:
                if alias.name in ("check", "*"):
                    yield alias.asname or "check"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("pytest_prodcheck"):
                    yield f"{alias.asname or alias.name}.check"


def _literal_id(call: ast.Call, file: Path) -> str:
    given = call.args[0] if call.args else next((word.value for word in call.keywords if word.arg == "id"), None)
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        return given.value
    raise OwnCheckError(
        f"{file}:{call.lineno}: write the id of @check as a plain string, so that a missing check is noticed"
    )


def _needs(call: ast.Call) -> tuple[str, ...]:
    """The values of `needs={…}` that are plain strings."""
    given = next((word.value for word in call.keywords if word.arg == "needs"), None)
    values = given.values if isinstance(given, ast.Dict) else []
    return tuple(each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str))


def _literal_suite(call: ast.Call, file: Path) -> str:
    """The suite that is written there, "" for none; one that only running the file would tell is refused."""
    for word in call.keywords:
        if word.arg is None:
            raise OwnCheckError(
                f"{file}:{call.lineno}: `**` may hide the suite of @check: write its arguments one by one"
            )
        if word.arg == "suite":
            if isinstance(word.value, ast.Constant) and isinstance(word.value.value, str):
                return word.value.value
            raise OwnCheckError(
                f"{file}:{call.lineno}: write the suite of @check as a plain string, so that its gate knows the check"
            )
    return ""
