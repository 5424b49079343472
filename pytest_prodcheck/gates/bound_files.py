"""The files that a verdict is bound to: taken when a run opens, compared when it ends and when a gate is asked. Light.

A binding maps a name (relative to the folder of prodcheck.toml) to the SHA-256 of its content, "" for what cannot be
read. "include:PATTERN" stands for the names that a pattern matches, "files:FOLDER" for those of all files in a folder,
"pytest:FOLDER" for what files in a folder say to pytest.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from pytest_prodcheck.gates import paths
from pytest_prodcheck.gates.revisions import declares_embedded
from pytest_prodcheck.trusted_files import hash_regular, read_regular

_LARGEST = 64 * 1024 * 1024  # bytes of a file of settings
FOLDER = "files:"
INCLUDE = "include:"
SETTINGS = "pytest:"
SETTINGS_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_VERSIONS = (".git", ".hg", ".svn")
_TOOLS = ("__pycache__", "node_modules", "venv", ".venv", ".tox", ".nox", ".idea", ".vscode", ".hypothesis")
NOT_OURS = frozenset((*_VERSIONS, *_TOOLS, ".prodcheck"))  # folders in which tools, and we, keep things


def bind(root: str, folders: Iterable[str]) -> dict[str, str]:
    """The binding of all files in these folders (relative to root), and of conftests and settings above them."""
    names: list[str] = []
    for folder in folders:
        names += [FOLDER + folder, *files_in(root, folder), *_files_read_above(folder)]
    return {name: digest(root, name) for name in dict.fromkeys(names)}


def changed(root: str, binding: Mapping[str, object]) -> list[str]:
    """What is no longer as it was bound, in words."""
    return [_displayed_name(name) for name, bound in sorted(binding.items()) if digest(root, name) != bound]


def digest(root: str, name: str) -> str:
    """SHA-256 hex of a file, or of the names that an entry stands for; "" where it cannot be read.

    Raises OSError where it is only we that are short of files or memory.
    """
    from hashlib import sha256

    kind, _, what = name.partition(":")
    if name.startswith(SETTINGS):
        return sha256(b"\0".join(_settings(root, what))).hexdigest()
    if name.startswith((FOLDER, INCLUDE)):
        names = "\n".join(paths.included(root, what) if kind == "include" else files_in(root, what))
        return sha256(names.encode("utf-8", "surrogateescape")).hexdigest()
    try:
        return hash_regular(os.path.join(root, name))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        from pytest_prodcheck import resource_exhaustion

        if resource_exhaustion.shortage_of(error):
            raise
        return ""


def _settings(root: str, folder: str) -> Iterator[bytes]:
    """What each file of a folder says to pytest: those of other tools change for reasons of their own."""
    for name in SETTINGS_FILES:
        try:
            lines = read_regular(os.path.join(root, folder, name), _LARGEST).splitlines()
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            from pytest_prodcheck import resource_exhaustion

            if resource_exhaustion.shortage_of(error):
                raise
            continue
        whole = inside = "pytest" in name
        for line in lines:
            begin = line.strip()
            text = begin if name.endswith(".toml") else line
            if not whole and _may_be_of_pytest(text):
                inside = True  # rather too much is bound than too little
            elif not whole and _is_header(text):
                inside = False
            elif inside and begin.count(b'"""') + begin.count(b"'''"):
                whole = True  # what looks like the next table may be text
            if inside or b"pytest" in begin:
                yield name.encode() + b" " + begin


def _may_be_of_pytest(line: bytes) -> bool:
    """Whether a table of pytest's begins, however its name is written, or a dotted key of its settings."""
    bare = line.replace(b" ", b"").replace(b"\t", b"").replace(b'"', b"").replace(b"'", b"")
    return bare.startswith((b"[pytest", b"[tool:pytest", b"[tool.pytest", b"tool.pytest", b"pytest."))


def _is_header(line: bytes) -> bool:
    """Whether a line begins a table: no element of an array, no pattern such as "[a-z]*.py" of a value before."""
    name = line.lstrip(b"[")
    return line.startswith(b"[") and (name[:1].isalpha() or name[:1] == b"_") and b"]" in line and line[-1:] != b","


def files_in(root: str, folder: str) -> list[str]:
    """The sorted names, relative to root, of all files in a folder; none of tools and editors."""
    return sorted(_files_below(root, os.path.normpath(folder), set()))


def _files_below(root: str, folder: str, seen: set[str]) -> Iterator[str]:
    real = os.path.realpath(os.path.join(root, folder))
    if real in seen:  # a link back to where we were
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(os.path.join(root, folder)), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        name = entry.name if folder == "." else os.path.join(folder, entry.name)
        try:
            is_folder = entry.is_dir()
        except OSError:
            is_folder = False
        if is_folder:
            if entry.name not in NOT_OURS and not (entry.name.startswith(".") and entry.name.endswith("cache")):
                yield from _files_below(root, name, seen)
        elif not _left_behind(entry.name):
            yield name


def _left_behind(name: str) -> bool:
    """Whether it is what editors, desktops and tools of tests leave where they work."""
    swap = name.startswith(".") and name[-4:-1] == ".sw"
    return swap or name.endswith("~") or name.startswith((".#", "._", ".nfs", ".DS_Store", ".coverage", ".testmon"))


def _files_read_above(folder: str) -> list[str]:
    """What pytest reads on its way down to the folder; what is not there yet is bound, too."""
    above, folder = [], os.path.normpath(folder)
    while folder not in (".", "/") and os.path.basename(folder) != "..":
        folder = os.path.dirname(folder) or "."
        if os.path.basename(folder) != "..":  # what lies above the project itself is told by where pytest begins
            above += [os.path.normpath(os.path.join(folder, "conftest.py")), SETTINGS + folder]
    return above


def _displayed_name(name: str) -> str:
    if name.startswith(FOLDER):
        return f"files were added to {name.removeprefix(FOLDER)} or removed from it"
    if name.startswith(INCLUDE):
        return f"other files match {name.removeprefix(INCLUDE)!r}"
    if name.startswith(SETTINGS):
        folder = os.path.normpath(os.path.join(name.removeprefix(SETTINGS), "pytest.ini"))
        return f"pytest's settings (in {folder}, or pyproject.toml, tox.ini, setup.cfg beside it) have changed"
    return f"{name} has changed"


def why_not(root: str | None, environment: str, binding: Mapping[str, object]) -> list[str]:
    """Why a verdict with this binding does not hold here; root: folder of prodcheck.toml, None without one."""
    if not binding:
        if root is None or (environment == paths.EMBEDDED and not declares_embedded(root)):
            return []
        return [f"the verdict was made without a {paths.CONFIGURATION}, but now there is one"]
    if root is None:
        return [f"no {paths.CONFIGURATION} in this folder or above it, so the verdict cannot be compared with it"]
    if paths.CONFIGURATION not in binding:
        return [f"the verdict was made from files other than {paths.CONFIGURATION}"]
    return [f"{each} since the verdict was made: run the checks again" for each in changed(root, binding)]
