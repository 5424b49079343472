"""Where gates keep their files. Imports `os` alone: `prodcheck gate` starts with it."""

from __future__ import annotations

import os

CONFIGURATION = "prodcheck.toml"
STATE = ".prodcheck"
EMBEDDED = "demo"  # the environment that needs no prodcheck.toml
EMBEDDED_REVISION = "demo-1"  # what it runs, as its own prodcheck.toml says
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME = _LETTERS | frozenset("._-")


def is_name(text: object) -> bool:
    """Whether a text can name an environment, unit, slot or gate: [A-Za-z0-9][A-Za-z0-9._-]*, at most 100 long."""
    return isinstance(text, str) and 0 < len(text) <= 100 and text[0] in _LETTERS and _NAME.issuperset(text)


def find_root(start: str) -> str | None:
    """The nearest folder, from `start` upward, that holds prodcheck.toml, be it a link that leads nowhere."""
    folder = os.path.abspath(start)
    while not os.path.lexists(os.path.join(folder, CONFIGURATION)):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def state_folder(start: str) -> str:
    """`.prodcheck` beside prodcheck.toml, else in `start`."""
    return os.path.join(find_root(start) or os.path.abspath(start), STATE)


def verdict_file(state: str, environment: str, unit: str, slot: str, gate: str) -> str:
    """The file of one key; raises ValueError for a name that is none. "_" stands for no unit or no slot."""
    for kind, name in (("environment", environment), ("unit", unit), ("slot", slot), ("gate", gate)):
        if not is_name(name) and not (name == "" and kind in ("unit", "slot")):
            raise ValueError(f"{kind} {name!r}: expected letters, digits, '.', '_', '-', a letter or digit first")
    return os.path.join(state, "verdicts", environment, unit or "_", slot or "_", gate + ".json")


def ticket_file(verdict: str) -> str:
    """Where the number of the newest run for a verdict's key lies."""
    return verdict.removesuffix(".json") + ".ticket"


def key_text(environment: str, unit: str, slot: str, gate: str) -> str:
    """One key as one word."""
    return f"{environment}/{unit or '_'}/{slot or '_'}/{gate}"


def opened_file(state: str, run: str) -> str:
    """Where a run says which gates it concerns."""
    return os.path.join(state, "runs", run, "gates.json")


def included(root: str, pattern: str) -> list[str]:
    """The sorted names, relative to root, that an include pattern matches."""
    import glob

    return sorted(glob.glob(pattern, root_dir=root, recursive=True))
