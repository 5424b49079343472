"""What a run is bound to: files as they were when it opened, and whether they still are when it ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from glob import has_magic
from pathlib import Path

from pytest_prodcheck.gates import bound_files
from pytest_prodcheck.gates.paths import included
from pytest_prodcheck.plugin.fresh_code import drop_stale

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Binding:
    """The files that decide a run. files: as `gates.bound_files` says, taken when the run opens."""

    def __init__(self, root: Path, configuration: Mapping[str, str], folders: Iterable[str]) -> None:
        self.root = str(root)
        self.opened_at = time.time()
        self.files = {**configuration, **bound_files.bind(self.root, folders)}
        self._written = {name: _written(self.root, name) for name in self.files}
        self._late: list[str] = []
        for name in self.files:
            if name.endswith(".py"):
                with suppress(OSError):  # it is told by whoever cannot read what he needs
                    drop_stale(os.path.join(self.root, name))

    def add_settings(self, file: Path | None) -> None:
        """Binds what pytest read its settings from, and that nothing beside prodcheck.toml says otherwise."""
        names = [f"{bound_files.SETTINGS}."]
        if file is not None:
            beside = file.name in bound_files.SETTINGS_FILES
            where = os.path.relpath(file.parent if beside else file, self.root)
            names.append(bound_files.SETTINGS + where if beside else where)
        self._add(names)

    def add_loaded(self, files: Iterable[str]) -> None:
        """Binds modules that were loaded from elsewhere in the project: helpers, collectors, conftests."""
        self._add(os.path.relpath(file, self.root) for file in files)

    def add_named(self, patterns: Iterable[str]) -> None:
        """Binds what evidence relied on: files and patterns, relative to the root. Others belong to the machine."""
        for pattern in sorted(patterns):
            name = os.path.normpath(os.path.relpath(os.path.join(self.root, pattern), self.root))
            if name.startswith(".."):
                continue
            self._add([name] if not has_magic(name) else [f"{bound_files.INCLUDE}{name}", *included(self.root, name)])

    def _add(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.files:
                continue
            self.files[name] = bound_files.digest(self.root, name)
            if self.opened_at < _written(self.root, name) / 1e9 <= time.time():  # not by a clock that is ahead of ours
                self._late.append(f"{name} has changed")

    def changes(self) -> list[str]:
        """What changed since the run opened, in words: what was judged is not what lies there now."""
        found = bound_files.changed(self.root, self.files)
        found += [
            f"{name} was written to" for name, at in sorted(self._written.items()) if _written(self.root, name) != at
        ]
        names = [each for each in found if not each.endswith("was written to")]
        kept = names or found
        return [f"{each} while the run went on" for each in dict.fromkeys([*self._late, *kept])]


def top_of(root: str, rootdir: Path, settings: Path | None) -> str:
    """The folder of the whole project: pytest's, where its settings lie above prodcheck.toml."""
    return str(rootdir) if settings is not None and Path(root).is_relative_to(rootdir) else root


def is_own(file: str, top: str) -> bool:
    """Whether a module's file is the project's, below `top`, and not installed."""
    installed = (sys.prefix + os.sep, sys.base_prefix + os.sep, _OURS + os.sep)
    inside = file.startswith(top + os.sep) and not file.startswith(installed)
    return inside and f"{os.sep}site-packages{os.sep}" not in file


def loaded_here(top: str) -> list[str]:
    """The files of the project's own modules, below `top`, that this process has loaded; no installed ones."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted(file for file in files if isinstance(file, str) and is_own(file, top))


def _written(root: str, name: str) -> int:
    """When a file was last written to, in nanoseconds; 0 for what is no file."""
    try:
        return os.stat(os.path.join(root, name)).st_mtime_ns
    except (OSError, ValueError):
        return 0
