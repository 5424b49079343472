"""What is proposed, and prodcheck.toml made of it; passwords are references that a person fills in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ASKED = ("services", "auth", "workflows", "postgres", "redis")  # what a protected environment declares or calls absent
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class CannotPropose(Exception):
    """A source that nothing can be proposed from; the message says why, and what to do."""


@dataclass
class Proposal:
    """One environment. sections: as in prodcheck.toml, by name. notes: what a person has to look at."""

    project: str
    protected: bool
    sections: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def toml(proposal: Proposal, environment: str, source: str) -> str:
    """The file."""
    lines = [
        f"# Proposed by `prodcheck init` from {_comment(source)}. Review it, then run `prodcheck env {environment}`."
    ]
    lines += [f"# - {_comment(each)}" for each in proposal.notes]
    lines += ["version = 1", f"project = {_value(proposal.project)}", "", f"[environments.{environment}]"]
    if proposal.protected:
        absent = [each for each in ASKED if each not in proposal.sections]
        lines.append("protected = true  # read-only, and a verdict needs a --revision")
        if absent:
            lines += ["# declare what of this there is, and take it out of the list", f"absent = {_value(absent)}"]
    for name, section in proposal.sections.items():
        lines += _tables((f"environments.{environment}", name), section)
    return "\n".join(lines) + "\n"


def _tables(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    """A table with its own keys first; tables of tables get headings, small ones stay on a line."""
    own = {key: value for key, value in table.items() if not _is_deep(value)}
    if own:
        yield from ("", f"[{'.'.join((path[0], *map(_key, path[1:])))}]")
        yield from (f"{_key(key)} = {_value(value)}" for key, value in own.items())
    for key, value in table.items():
        if key not in own:
            yield from _tables((*path, key), value)


def _is_deep(value: Any) -> bool:
    """Whether it gets a heading of its own: "endpoints", or one named target."""
    return isinstance(value, dict) and (
        any(isinstance(each, dict) for each in value.values()) or "url" in value or "nodes" in value
    )


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }"
    return json.dumps(_plain(str(value)), ensure_ascii=False)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _plain(text: str) -> str:
    """Without what no line of TOML may hold."""
    return "".join(each for each in text if each.isprintable())


def _comment(text: str) -> str:
    return _plain(text)[:300]


def name_of(text: str, otherwise: str = "service") -> str:
    """A name as prodcheck.toml takes it."""
    kept = "".join(each if each.isascii() and each.isalnum() else "-" for each in text.strip().lower())
    return "-".join(filter(None, kept.split("-")))[:60] or otherwise
