"""Finds and reads `prodcheck.toml` with its included files, and resolves it; all mistakes are told at once."""

from __future__ import annotations

import glob
import hashlib
import os
from pathlib import Path as File
from typing import Any

from pytest_prodcheck.environments import gate_rules, inheritance, later, rules
from pytest_prodcheck.environments.configuration import Configuration
from pytest_prodcheck.environments.documents import Document, Unreadable, read_document
from pytest_prodcheck.environments.mistakes import ConfigurationError, Mistake, did_you_mean, dotted
from pytest_prodcheck.environments.project import Environment, Project
from pytest_prodcheck.environments.substitution import substitute
from pytest_prodcheck.environments.trees import Path, Tree, lay_over, tree_of, walk
from pytest_prodcheck.environments.wording import keys_at, validate

__all__ = ["Configuration", "ConfigurationError", "Mistake", "find_configuration", "load"]

FILE = "prodcheck.toml"
VERSION = 1
SET_BY_US = ("name", "unit", "slot")  # fields of Environment that are no keys of the file


def find_configuration(start: File) -> File | None:
    """The nearest prodcheck.toml from a folder upward, None where there is none. What is no plain file counts: `load` says so."""
    folder = start.resolve()
    for each in (folder, *folder.parents):
        if os.path.lexists(each / FILE):
            return each / FILE
    return None


def load(path: File) -> Configuration:
    """The configuration in a file; raises ConfigurationError with everything that is wrong with it and what it includes."""
    return _Loader(path).load()


class _Loader:
    def __init__(self, path: File) -> None:
        self.path, self.root = path, path.parent
        self.mistakes: list[Mistake] = []
        self.files: dict[str, str] = {}
        self.broken = False  # a file could not be read: what it holds is not known to be missing

    def load(self) -> Configuration:
        whole = self._whole()
        if self.broken:
            raise ConfigurationError(self._sorted())
        whole = later.take_out(whole, self.mistakes)
        trees = inheritance.resolve(whole, self.mistakes)
        project = self._project(whole)
        abstract = {name for name, tree in trees.items() if tree.data.get("abstract") is True}
        environments = {}
        for name, tree in trees.items():
            if name not in abstract and (environment := self._environment(name, tree)) is not None:
                environments[name] = environment
        if project is not None:
            written = whole.data.get("environments")
            names = set(written if isinstance(written, dict) else ()) - abstract
            known = {name: environments.get(name) for name in sorted(names)}
            for at, message, hint in gate_rules.project_complaints(project, known, abstract, self.root):
                self._complain(whole, at, message, hint)
        if self.mistakes or project is None:
            raise ConfigurationError(self._sorted())
        project = project.model_copy(update={"environments": environments})
        return Configuration(project, self.root, self.path, self.files, trees)

    def _sorted(self) -> list[Mistake]:
        return sorted(set(self.mistakes), key=lambda each: (each.file, each.line or 0, each.key, each.message, each.hint))

    def _complain(self, tree: Tree, path: Path, message: str, hint: str = "", prefix: Path = ()) -> None:
        """Adds a mistake where the key was written; `path` below `prefix` is shown where it was written in several places."""
        origin = tree.origin(path)
        known = next((end for end in range(len(path), -1, -1) if path[:end] in tree.origins), 0)
        shown = (*origin.path, *path[known:]) if origin is not None else (*prefix, *path)
        self.mistakes.append(
            Mistake(origin.file if origin else self.path.name, origin.line if origin else None, dotted(shown), message, hint)
        )

    # -- files

    def _document(self, name: str) -> Document | None:
        try:
            document = read_document(self.root, name)
        except Unreadable as error:
            self.mistakes.append(error.mistake)
            self.broken = True
            return None
        self.files[name] = document.sha256
        return document

    def _whole(self) -> Tree:
        """The root file laid over what it includes. Waivers of all files add up."""
        document = self._document(self.path.name)
        if document is None:
            return Tree()
        self._check_version(document)
        root = tree_of(document)
        included = [tree_of(each) for each in self._included(root) if each is not None]
        for tree in included:
            self._check_included(tree)
        merged = Tree()
        for position, tree in enumerate(included):
            self._refuse_twice(included[:position], tree)
            merged = lay_over(merged, tree)
        return _with_waivers(lay_over(merged, root), [*included, root])

    def _check_version(self, document: Document) -> None:
        version = document.data.get("version")
        if version is None:
            self.mistakes.append(Mistake(document.name, 1, "version", f"is missing: begin the file with `version = {VERSION}`"))
        elif version != VERSION or isinstance(version, bool):
            shown = f" {version}" if isinstance(version, int) else ""
            line = document.lines.get(("version",))
            message = f"format{shown} is not known to this version of prodcheck, which reads format {VERSION}"
            self.mistakes.append(Mistake(document.name, line, "version", message))
            self.broken = True  # other formats have other keys

    def _included(self, root: Tree) -> list[Document | None]:
        patterns = root.data.get("include", [])
        names: list[str] = []
        for position, pattern in enumerate(patterns if isinstance(patterns, list) else []):
            path = ("include", f"[{position}]")
            if not isinstance(pattern, str):
                continue  # the model says so
            if os.path.isabs(pattern) or "\0" in pattern or not pattern:
                self._complain(root, path, 'expected a path below the folder of prodcheck.toml, such as "prodcheck.d/*.toml"')
                continue
            found = sorted(glob.glob(pattern, root_dir=self.root, recursive=True))
            self.files[f"include:{pattern}"] = hashlib.sha256("\n".join(found).encode("utf-8", "surrogateescape")).hexdigest()
            folder = self.root / os.path.dirname(pattern)
            if not found and not glob.has_magic(pattern):
                self._complain(root, path, f"there is no file {pattern!r} beside prodcheck.toml")
            elif not found and not glob.has_magic(str(folder)) and not folder.is_dir():
                self._complain(root, path, f"there is no folder {os.path.dirname(pattern)!r} beside prodcheck.toml")
            names += [name for name in found if name not in names]
        own = self.path.resolve()
        for name in [name for name in names if (self.root / name).resolve() == own]:
            self._complain(root, ("include",), f"{name} would include itself")
            names.remove(name)
        return [self._document(name) for name in names]

    def _check_included(self, tree: Tree) -> None:
        if "include" in tree.data:
            self._complain(tree, ("include",), "an included file cannot include others", "name them in prodcheck.toml")
        if tree.data.get("version", VERSION) != VERSION:
            self._complain(tree, ("version",), f"expected {VERSION}, as in prodcheck.toml")

    def _refuse_twice(self, earlier: list[Tree], tree: Tree) -> None:
        """A key set in two included files: which of them would win?"""
        for path, value in walk(tree.data):
            if path[0] in ("version", "waivers") or any(part.startswith("[") and part.endswith("]") for part in path):
                continue
            for other in earlier:
                there = other.origins.get(path)
                both = _at(other.data, path), value
                if there is not None and path in other.origins and not all(isinstance(each, dict) for each in both):
                    at = f"{there.file}:{there.line}" if there.line else there.file
                    self._complain(tree, path, f"is set in {at} too", "set it in one of the included files, or in prodcheck.toml")

    # -- models

    def _project(self, whole: Tree) -> Project | None:
        """Everything but the environments."""
        data = {key: value for key, value in whole.data.items() if key not in ("environments", "gate_defaults")}
        for key in {"gate_defaults"} & set(whole.data):
            self._complain(whole, (key,), "unknown key", did_you_mean("gates.defaults", ["gates.defaults"]))
        gates = data.get("gates")
        if isinstance(gates, dict) and "defaults" in gates:
            data |= {"gates": {key: value for key, value in gates.items() if key != "defaults"}, "gate_defaults": gates["defaults"]}
        data["version"] = VERSION  # was checked
        project, complaints = validate(Project, data)
        for path, message, hint in complaints:
            at = ("gates", "defaults", *path[1:]) if path[:1] == ("gate_defaults",) else path
            self._complain(whole, at, message, hint)
        return project

    def _environment(self, name: str, tree: Tree) -> Environment | None:
        prefix = ("environments", name)
        before = len(self.mistakes)

        def complain(path: Path, message: str, hint: str = "") -> None:
            self._complain(tree, path, message, hint, prefix)

        data: dict[str, Any] = substitute(tree, complain)
        for key in SET_BY_US:
            if key in data:
                complain((key,), "unknown key", did_you_mean(key, keys_at(Environment, ()) - set(SET_BY_US)))
        plain = {key: value for key, value in data.items() if key not in (*SET_BY_US, "extends")}
        environment, complaints = validate(Environment, plain)
        for path, message, hint in complaints:
            complain(path, message, hint)
        if environment is None:
            return None
        environment = environment.model_copy(update={"name": name})
        for path, message, hint in rules.complaints(environment, self.root):
            complain(path, message, hint)
        protected = name if environment.protected else ""
        for path, message, hint in gate_rules.threshold_complaints(environment.thresholds, ("thresholds",), protected):
            complain(path, message, hint)
        if not rules_name(name):
            complain((), "expected a name of letters, digits, `.`, `_` and `-`, beginning with a letter or digit")
        return environment if len(self.mistakes) == before else None


def rules_name(name: str) -> bool:
    """Whether a text can name an environment."""
    import re

    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is not None


def _at(data: Any, path: Path) -> Any:
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
            return whole
        for path, at in tree.origins.items():
            if path[:1] == ("waivers",) and len(path) > 1:
                position = f"[{len(waivers) + int(path[1][1:-1])}]"
                origins[("waivers", position, *path[2:])] = at
        waivers += written
    return Tree({**whole.data, "waivers": waivers} if waivers else whole.data, origins)
