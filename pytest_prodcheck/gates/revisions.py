"""Which revision is meant: one answer for every command. Light: `prodcheck gate` starts with it."""

from __future__ import annotations

import os

from pytest_prodcheck.gates import paths
from pytest_prodcheck.trusted_files import read_regular

_LARGEST = 16 * 1024 * 1024  # bytes of prodcheck.toml
VARIABLE = "PRODCHECK_REVISION"


def revision_of_run(given: str | None) -> str:
    """--revision, else PRODCHECK_REVISION, else ""; raises ValueError for one that is given and names nothing."""
    if given is not None and not given.strip():
        raise ValueError("--revision is empty: is a variable of the pipeline not set?")
    found = given or os.environ.get(VARIABLE, "")
    if found != found.strip() or not found.isprintable():
        raise ValueError(f"the revision {found!r} contains invisible characters: a line break, perhaps?")
    return found


def resolve(given: str | None, environment: str, root: str | None) -> str:
    """The one that is named, else prodcheck.toml's for the environment (or what the embedded demo runs), else "".

    Raises ValueError.
    """
    found = revision_of_run(given)
    if found:
        return found
    if environment == paths.EMBEDDED:
        return _of_demo(root)
    if root is None:
        return ""
    content = read_regular(os.path.join(root, paths.CONFIGURATION), _LARGEST)
    if not any(word in content for word in (b"revision", b"include", b"\\")):
        return ""
    from pytest_prodcheck.gates.toml_values import revision

    return revision(root, environment)


def _of_demo(root: str | None) -> str:
    """What the embedded demo runs; where prodcheck.toml declares an environment of that name, what that one says."""
    if root is None or not declares_embedded(root):
        return paths.EMBEDDED_REVISION
    from pytest_prodcheck.gates.toml_values import revision

    return revision(root, paths.EMBEDDED)


def declares_embedded(root: str) -> bool:
    """Whether prodcheck.toml declares an environment of the embedded one's name; True where it cannot be read."""
    try:
        text = read_regular(os.path.join(root, paths.CONFIGURATION), _LARGEST)
    except (OSError, ValueError):
        return True
    if not any(word in text for word in (paths.EMBEDDED.encode(), b"include", b"\\")):
        return False
    from pytest_prodcheck.gates.toml_values import TomlError, environments

    try:
        return paths.EMBEDDED in environments(root)
    except TomlError:
        return True


def differs(judged: object, asked: str) -> str:
    """Why a verdict or override about one revision does not hold for what was asked, "" where it does.

    No revision is one of its own: it never stands for a named one.
    """
    return "" if judged == asked else f"is about revision {judged or '-'}, but you asked about {asked or '-'}"
