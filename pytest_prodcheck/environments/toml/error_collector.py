"""Collects mistakes, each placed where its key was written."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_prodcheck.environments.toml.errors import ConfigurationError, Mistake, dotted
from pytest_prodcheck.environments.toml.key_lines import KeyPath
from pytest_prodcheck.environments.toml.trees import Tree

Complaint = tuple[KeyPath, str, str]  # key path, message, hint


class Mistakes:
    """All mistakes of one configuration. file: its name, for what was written nowhere."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: dict[Mistake, None] = {}  # inherited by two environments, a mistake is still one

    def __len__(self) -> int:
        return len(self._found)

    def add(self, mistake: Mistake) -> None:
        """Adds one that has a place already."""
        self._found[mistake] = None

    def at(self, tree: Tree, path: KeyPath, message: str, hint: str = "", prefix: KeyPath = ()) -> None:
        """Adds one about a key of a tree; what was written nowhere is shown below `prefix`."""
        origin = tree.origin(path)
        if origin is None:
            self.add(Mistake(self._file, None, dotted((*prefix, *path)), message, hint))
            return
        known = next(end for end in range(len(path), -1, -1) if path[:end] in tree.origins)
        self.add(Mistake(origin.file, origin.line, dotted((*origin.path, *path[known:])), message, hint))

    def all(self, tree: Tree, complaints: Iterable[Complaint], prefix: KeyPath = ()) -> None:
        """Adds several about one tree."""
        for path, message, hint in complaints:
            self.at(tree, path, message, hint, prefix)

    def error(self) -> ConfigurationError:
        """All of them as an error, in the order of the files."""
        return ConfigurationError(
            sorted(self._found, key=lambda each: (each.file, each.line or 0, each.key, each.message, each.hint))
        )
