"""A migration that is shipped, and how a database compares with those that are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_prodcheck.records import EvidenceProblem, Problem

MOST_FILES = 20_000
LARGEST_FILE = 4 * 1024 * 1024  # bytes
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Script:
    """One migration. version: its name in the database. parents: what it builds on. checksum: Flyway's, "" for none.

    repeatable: runs again whenever it changed. replaces: what it stands for when squashed. title: its description.
    replaced: Flyway's checksum of the text with placeholders replaced, "" where values are missing: see `untold`.
    baseline: Flyway's, that stands for all versions up to its own. labels: Alembic's, of branches. line: of the parents
    those that are no mere dependencies.
    """

    version: str
    file: Path
    parents: tuple[str, ...] = ()
    checksum: str = ""
    title: str = ""
    repeatable: bool = False
    replaces: tuple[str, ...] = ()
    replaced: str = ""
    untold: tuple[str, ...] = ()
    baseline: bool = False
    labels: tuple[str, ...] = ()
    line: tuple[str, ...] = ()


Scripts = Mapping[str, Script]


@dataclass
class State:
    """How the two compare; versions as the tool names them."""

    applied: list[str]
    applied_heads: list[str]
    shipped_heads: list[str]
    failed: list[str]
    unknown: list[str]
    pending: list[str]
    skipped: list[str]
    changed: list[str]
    untold: list[str] = field(default_factory=list)  # what cannot be computed, and what would tell
    unverified: list[str] = field(default_factory=list)  # why it is not known whether what is applied is unchanged


def read_text(path: Path) -> str:
    """A script as text; raises EvidenceProblem (configuration) where it is none, or too large."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise broken(path, f"larger than {LARGEST_FILE // 1024} kB")
        return content.decode("utf-8")
    except (OSError, UnicodeError) as error:
        raise broken(path, str(error)) from None


def broken(path: Path, why: str, hint: str = "") -> EvidenceProblem:
    """What is wrong with one script."""
    return EvidenceProblem(Problem("configuration", f"migrations: {path.name}: {why}", hint))
