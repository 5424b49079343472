"""Written tables and where each of their keys was written; laid over each other by `include` and `extends`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_prodcheck.environments.toml.documents import Document, walk
from pytest_prodcheck.environments.toml.key_lines import KeyPath

SECRET_WAYS = {"env", "file", "command"}


@dataclass(frozen=True)
class Origin:
    """Where a key was written: file, line where known, and its key path in that file."""

    file: str
    line: int | None
    path: KeyPath


@dataclass
class Tree:
    """Plain data, and for every key path in it the origin."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> Origin | None:
        """The origin of a key, or of the nearest table around it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return None

    def below(self, *path: str) -> Tree:
        """The table at a path as a tree of its own; empty where there is none."""
        data: Any = self.data
        for part in path:
            data = data.get(part) if isinstance(data, dict) else None
        origins = {key[len(path) :]: origin for key, origin in self.origins.items() if key[: len(path)] == path}
        return Tree(data if isinstance(data, dict) else {}, origins)

    def without(self, *path: str) -> Tree:
        """The same without the key at a path."""
        *around, last = path
        data = dict(self.data)
        table = data
        for part in around:
            if not isinstance(table.get(part), dict):
                return self
            table[part] = dict(table[part])
            table = table[part]
        table.pop(last, None)
        return Tree(data, {key: origin for key, origin in self.origins.items() if key[: len(path)] != path})


def tree_of(document: Document) -> Tree:
    """One file as a tree."""
    origins: dict[KeyPath, Origin] = {(): Origin(document.name, None, ())}
    for path, _ in walk(document.data):
        origins[path] = Origin(document.name, document.lines.get(path), path)
    return Tree(document.data, origins)


def lay_over(lower: Tree, upper: Tree, free: str = "") -> Tree:
    """The two merged: tables by key, lists and scalars replace, `name = false` removes an inherited table.

    A secret reference replaces the inherited one whole: `{ env = … }` over `{ file = … }` would be two ways at once.
    free: key whose tables below are a team's own and always merge by key.
    """
    replaced: set[KeyPath] = set()
    removed: set[KeyPath] = set()
    data = _merged(lower.data, upper.data, (), replaced, removed, free)
    gone = replaced | removed
    origins = {
        path: at for path, at in lower.origins.items() if not any(path[:end] in gone for end in range(1, len(path) + 1))
    }
    origins |= {path: at for path, at in upper.origins.items() if path not in removed}
    return Tree(data, origins)


def _merged(
    lower: dict[str, Any],
    upper: dict[str, Any],
    path: KeyPath,
    replaced: set[KeyPath],
    removed: set[KeyPath],
    free: str,
) -> dict[str, Any]:
    merged = dict(lower)
    for key, value in upper.items():
        here, below = (*path, key), lower.get(key)
        if value is False and isinstance(below, dict):
            del merged[key]
            removed.add(here)
        elif isinstance(value, dict) and isinstance(below, dict) and (here[0] == free or not _replaces(value, below)):
            merged[key] = _merged(below, value, here, replaced, removed, free)
        else:
            merged[key] = value
            replaced.add(here)
    return merged


def _replaces(value: dict[str, Any], below: dict[str, Any]) -> bool:
    return (
        bool(value)
        and bool(below)
        and set(value) <= SECRET_WAYS
        and set(below) <= SECRET_WAYS
        and False not in value.values()
    )
