"""What a run is bound to: files as they were when it opened, and whether they still are when it ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_prodcheck.gates import bound_files

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Binding:
    """The files that decide a run. files: as `gates.bound_files` says, taken when the run opens."""

    def __init__(self, root: Path, configuration: Mapping[str, str], folders: Iterable[str]) -> None:
        self.root = str(root)
        self.opened_at = time.time()
        self.files = {**configuration, **bound_files.bind(self.root, folders)}
        self._written = {name: _written(self.root, name) for name in self.files}
        self._late: list[str] = []

    def add_loaded(self, files: Iterable[str]) -> None:
        """Binds modules that were loaded from elsewhere in the project: helpers, collectors, conftests."""
        for file in files:
            name = os.path.relpath(file, self.root)
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


def loaded_here(root: str) -> list[str]:
    """The files of the project's own modules that this process has loaded; no installed ones."""
    top = root + os.sep
    installed = tuple(each + os.sep for each in {sys.prefix, sys.base_prefix, _OURS})
    found = []
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py") or not file.startswith(top):
            continue
        if not file.startswith(installed) and f"{os.sep}site-packages{os.sep}" not in file:
            found.append(file)
    return sorted(found)


def _written(root: str, name: str) -> int:
    """When a file was last written to, in nanoseconds; 0 for what is no file."""
    try:
        return os.stat(os.path.join(root, name)).st_mtime_ns
    except (OSError, ValueError):
        return 0
