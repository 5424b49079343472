"""Reads prodcheck.toml and the files it includes into one tree, with the digest of each."""

from __future__ import annotations

import glob
import hashlib
import os
from pathlib import Path
from typing import Any

from pytest_prodcheck.environments.toml.documents import Document, Unreadable, read_document, walk
from pytest_prodcheck.environments.toml.error_collector import Mistakes
from pytest_prodcheck.environments.toml.errors import Mistake
from pytest_prodcheck.environments.toml.key_lines import KeyPath
from pytest_prodcheck.environments.toml.trees import Tree, lay_over, tree_of

VERSION = 1


class Reader:
    """Reads the files of one configuration; raises ConfigurationError where one of them cannot be read at all.

    files: name relative to the root -> SHA-256 hex, "include:PATTERN" -> SHA-256 hex of the matching names, one a line.
    """

    def __init__(self, path: Path, mistakes: Mistakes) -> None:
        self.path, self.root, self.mistakes = path, path.parent, mistakes
        self.files: dict[str, str] = {}

    def read(self) -> Tree:
        """The root file laid over what it includes. Waivers of all files add up."""
        try:
            document = self._document(self.path.name)
        except Unreadable as error:
            self.mistakes.add(error.mistake)
            raise self.mistakes.error() from None
        self._check_version(document)
        root = tree_of(document)
        included = self._included(root)
        merged = Tree()
        for position, tree in enumerate(included):
            self._check_included(tree)
            self._refuse_twice(included[:position], tree)
            merged = lay_over(merged, tree)
        return _with_waivers(lay_over(merged, root), [*included, root])

    def _document(self, name: str) -> Document:
        document = read_document(self.root, name)
        self.files[name] = document.sha256
        return document

    def _check_version(self, document: Document) -> None:
        version, line = document.data.get("version"), document.lines.get(("version",))
        if version is None:
            text = f"is missing: begin the file with `version = {VERSION}`"
            self.mistakes.add(Mistake(document.name, 1, "version", text))
        elif version != VERSION or type(version) is not int:
            shown = f" {version}" if type(version) is int else ""
            text = f"this version of prodcheck does not know format{shown}; it reads format {VERSION}"
            self.mistakes.add(Mistake(document.name, line, "version", text))
            raise self.mistakes.error()  # another format has other keys

    def _included(self, root: Tree) -> list[Tree]:
        """Every included file once, in the order of the patterns; all unreadable ones are told together."""
        written = root.data.get("include", [])
        names: list[str] = []
        for position, pattern in enumerate(written if isinstance(written, list) else []):
            if isinstance(pattern, str):  # else the model says so
                names += [
                    each for each in self._matching(root, ("include", f"[{position}]"), pattern) if each not in names
                ]
        trees, broken = [], False
        for name in names:
            try:
                trees.append(tree_of(self._document(name)))
            except Unreadable as error:
                self.mistakes.add(error.mistake)
                broken = True
        if broken:
            raise self.mistakes.error()
        return trees

    def _matching(self, root: Tree, path: KeyPath, pattern: str) -> list[str]:
        if os.path.isabs(pattern) or "\0" in pattern or not pattern:
            expected = 'expected a path relative to the folder of prodcheck.toml, such as "prodcheck.d/*.toml"'
            self.mistakes.at(root, path, expected)
            return []
        found = sorted(glob.glob(pattern, root_dir=self.root, recursive=True))
        names = "\n".join(found).encode("utf-8", "surrogateescape")
        self.files[f"include:{pattern}"] = hashlib.sha256(names).hexdigest()
        folder = os.path.dirname(pattern)
        if not found and not glob.has_magic(pattern):
            self.mistakes.at(root, path, f"there is no file {pattern!r} beside prodcheck.toml")
        elif not found and not glob.has_magic(folder) and not (self.root / folder).is_dir():
            self.mistakes.at(root, path, f"there is no folder {folder!r} beside prodcheck.toml")
        own = self.path.resolve()
        if any((self.root / name).resolve() == own for name in found):
            self.mistakes.at(root, path, "prodcheck.toml would include itself")
        return [name for name in found if (self.root / name).resolve() != own]

    def _check_included(self, tree: Tree) -> None:
        if "include" in tree.data:
            self.mistakes.at(
                tree, ("include",), "an included file cannot include others", "name them in prodcheck.toml"
            )
        if tree.data.get("version", VERSION) != VERSION:
            self.mistakes.at(tree, ("version",), f"expected {VERSION}, as in prodcheck.toml")

    def _refuse_twice(self, earlier: list[Tree], tree: Tree) -> None:
        """A key set in two included files: which of them would win?"""
        for path, value in walk(tree.data):
            if path[0] in ("version", "waivers", "include") or path[-1].startswith("["):
                continue
            for other in earlier:
                there = other.origins.get(path)
                if there is not None and not (
                    isinstance(value, dict) and isinstance(_value_at(other.data, path), dict)
                ):
                    at = f"{there.file}:{there.line}" if there.line else there.file
                    hint = "set it in one of the included files, or in prodcheck.toml"
                    self.mistakes.at(tree, path, f"is set in {at} too", hint)


def _value_at(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _with_waivers(whole: Tree, trees: list[Tree]) -> Tree:
    """The waivers of all files one after another, each with its origin."""
    waivers: list[Any] = []
    origins = {path: at for path, at in whole.origins.items() if path[:1] != ("waivers",)}
    for tree in trees:
        written = tree.data.get("waivers", [])
        if not isinstance(written, list):
            return Tree({**whole.data, "waivers": written}, {**whole.origins, ("waivers",): tree.origins[("waivers",)]})
        for path, at in tree.origins.items():
            if path[:1] == ("waivers",) and len(path) > 1:
                position = f"[{len(waivers) + int(path[1][1:-1])}]"
                origins[("waivers", position, *path[2:])] = at
        waivers += written
    return Tree({**whole.data, "waivers": waivers} if waivers else whole.data, origins)
