"""The bundled runbooks: what a check judges, why it fails, how to fix it; one Markdown file a check."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path


def folder() -> Path:
    """Where the runbooks lie: inside the installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "runbook_pages"
    return inside if inside.is_dir() else package.parent / "docs" / "runbooks"


@cache
def names() -> tuple[str, ...]:
    """What there is a runbook for: ids of bundled checks, and incidents such as "high-cpu"."""
    return tuple(sorted(each.stem for each in folder().glob("*.md") if each.stem != "index"))


@cache
def _known_names() -> frozenset[str]:
    return frozenset(names())


def find(name: str) -> str | None:
    """The name of the runbook for a check or an incident; checks of one id a target ("….rows.totals") share one."""
    while name and name not in _known_names():
        name = name.rpartition(".")[0]
    return name or None


def close_to(name: str) -> list[str]:
    """Names that somebody who mistyped may have meant."""
    known = names()
    meant = [each for each in known if name.lower() in each]
    return meant[:5] or difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)


def first_step(name: str) -> str:
    """The first command of the runbook's "Diagnose", several lines where it goes on."""
    _, _, after = read(name).partition("\n## Diagnose\n")
    _, _, block = after.partition("```sh\n")
    taken: list[str] = []
    for line in block.partition("```")[0].splitlines():
        taken.append(line)
        whole = "\n".join(taken)
        if not line.endswith("\\") and not (" do" in whole and "done" not in whole):
            break
    return "\n".join(taken)


def read(name: str) -> str:
    """The Markdown of the runbook of that name (of `names`)."""
    return (folder() / f"{name}.md").read_text(encoding="utf-8")
