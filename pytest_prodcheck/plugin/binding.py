"""What a run is bound to: files as they were when it opened, and whether they still are when it ends."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck import catalogue
from pytest_prodcheck.gates import bound_files
from pytest_prodcheck.gates.paths import included
from pytest_prodcheck.plugin.fresh_bytecode import LOADED, drop_stale

if TYPE_CHECKING:
    from pytest_prodcheck.scope import Scope

Tops = tuple[str, ...]
_TICK = 0.005  # seconds that the time of a file may be behind
_STARTING = 0.05  # seconds that Python takes before it loads anything of a project
_EARLIER: dict[str, int] = {}  # the project's modules that earlier runs of this process loaded: when they were written
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_INSTALLED = tuple(each + os.sep for each in (sys.prefix, sys.base_prefix, _OURS))


class Binding:
    """The files that decide a run. files: as `gates.bound_files` says, taken when the run opens."""

    def __init__(self, root: Path, configuration: Mapping[str, str], folders: Iterable[str]) -> None:
        self.root = str(root)
        self.opened_at = time.time()
        self.files = {**configuration, **bound_files.bind(self.root, folders)}
        self._written = {name: _change_time(self.root, name) for name in self.files}
        self._late: list[str] = []
        self._before: list[str] = []
        for name in self.files:
            if name.endswith(".py"):
                with suppress(OSError):  # it is told by whoever cannot read what he needs
                    drop_stale(os.path.join(self.root, name))

    def begin(self, tops: Tops) -> None:
        """Notes what this process loaded before the run: pytest would judge with that, be the files others by now."""
        began, here = _process_began(), set(_modules())
        for file in set(_EARLIER) - here:
            del _EARLIER[file]
        for file in sorted(each for each in here if is_own(each, tops)):
            at = _change_time("", _on_disk(file))
            if at != _EARLIER.get(file, at if at / 1e9 < began else 0):
                name = os.path.relpath(file, self.root)
                self._before.append(f"{name} has changed since this process loaded it: run the checks in a new process")

    def add_above(self, file: Path | None, cut: Path, *, given: bool) -> None:
        """Binds pytest's settings and the conftests above prodcheck.toml, and that nothing nearer says otherwise.

        file: the settings, given: by -c; cut: above it pytest reads no conftests.
        """
        root = Path(self.root)
        names = [f"{bound_files.SETTINGS}."]
        for folder in root.parents if not given and (file is None or file.parent in root.parents) else ():
            names.append(bound_files.SETTINGS + os.path.relpath(folder, self.root))
            if file is not None and folder == file.parent:
                break
        names += [os.path.relpath(each / "conftest.py", self.root) for each in root.parents if each not in cut.parents]
        if file is not None:
            beside = file.name in bound_files.SETTINGS_FILES
            where = os.path.relpath(file.parent if beside else file, self.root)
            names.append(bound_files.SETTINGS + where if beside else where)
        self._add(names)

    def add_loaded(self, files: Iterable[str]) -> None:
        """Binds modules that were loaded from elsewhere in the project: helpers, collectors, conftests."""
        for file in files:
            name = os.path.relpath(_on_disk(file), self.root)
            self._add([name])
            if not self.files[name]:
                self._late.append(f"{name} was removed")
            _EARLIER.setdefault(file, _change_time("", _on_disk(file)))

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
            at = _change_time(self.root, name) / 1e9
            if self.opened_at - _TICK < at <= time.time():  # not by a clock that is ahead of ours
                self._late.append(f"{name} has changed")

    def changes(self) -> list[str]:
        """What changed since the run opened, in words: what was judged is not what lies there now."""
        found = bound_files.changed(self.root, self.files)
        found += [
            f"{name} was written to"
            for name, at in sorted(self._written.items())
            if _change_time(self.root, name) != at
        ]
        names = [each for each in found if not each.endswith("was written to")]
        kept = names or found
        late = [f"{each} during the run" for each in dict.fromkeys([*self._late, *kept])]
        return [*self._before, *late]


def tops_of(scope: Scope, rootdir: Path, settings: Path | None) -> Tops:
    """The folders of the whole project, each with "/" at its end; none without prodcheck.toml.

    Its own, or pytest's where its settings lie above that; and those above folders of checks that lie elsewhere.
    """
    if not scope.root:
        return ()
    whole = settings is not None and Path(scope.root).is_relative_to(rootdir)
    known = (_path_prefix(str(rootdir) if whole else scope.root), _path_prefix(str(catalogue.suites_folder())))
    elsewhere = (each for each in map(os.path.normpath, scope.folders) if not _path_prefix(each).startswith(known))
    return (known[0], *dict.fromkeys(_path_prefix(os.path.dirname(each)) for each in elsewhere))


def _path_prefix(folder: str) -> str:
    """What the paths of all that lies in a folder begin with."""
    return folder.rstrip(os.sep) + os.sep


def is_own(file: str, tops: Tops) -> bool:
    """Whether a module's file is the project's, in one of these folders, and not installed."""
    return file.startswith(tops) and not file.startswith(_INSTALLED) and f"{os.sep}site-packages{os.sep}" not in file


def loaded_here(tops: Tops) -> list[str]:
    """The files of the project's own modules, in these folders, that this process has loaded; no installed ones."""
    return sorted(file for file in {*LOADED, *_modules()} if is_own(file, tops))


def _modules() -> Iterator[str]:
    """The files of all modules; no names that somebody made up."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        located = getattr(getattr(module, "__spec__", None), "has_location", False)
        if isinstance(file, str) and (located or os.path.exists(file)):
            # in an archive it may be relative
            yield _normal(file) if file.startswith(os.sep) else os.path.abspath(file)


_normal = cache(os.path.normpath)  # of hundreds of modules, in each run of a process three times


def _on_disk(file: str) -> str:
    """The archive that holds a module, or the file itself."""
    whole = file
    while not os.path.lexists(file) and os.path.dirname(file) != file:
        file = os.path.dirname(file)
    return file if os.path.isfile(file) else whole


def _change_time(root: str, name: str) -> int:
    """When a file, or a link on the way to it, was last changed, in nanoseconds, by the time that no tool sets.

    0 for what is no file.
    """
    try:
        found = [os.stat(os.path.join(root, name))]
        while name not in ("", ".", "..", os.sep) and ":" not in name:
            step = os.lstat(os.path.join(root, name))
            found += [step] if stat.S_ISLNK(step.st_mode) else []
            name = os.path.dirname(name)
        return max(each.st_ctime_ns for each in found)
    except (OSError, ValueError):
        return 0


def _process_began() -> float:
    """When this process may have loaded its first module (UTC epoch second); now, where the system does not tell."""
    try:
        with open("/proc/self/stat", encoding="utf-8") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        since_boot = ticks / os.sysconf("SC_CLK_TCK") - time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.time() + since_boot + _STARTING
    except (OSError, ValueError, AttributeError):
        return time.time()
