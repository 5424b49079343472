"""Files of settings: environment files, JSON, TOML, YAML; as a flat table, nothing guessed."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from pytest_prodcheck.evidence.tools.bounded_data import refuse_bombs
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*=(.*)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def parse(content: bytes, form: str, name: str) -> dict[str, Any]:
    """Setting -> value; tables within tables as "outer.inner" too. Raises EvidenceProblem (configuration).

    form: "env", "json", "toml" or "yaml". Values of an environment file are texts.
    """
    try:
        text = content.decode("utf-8-sig")
        if form == "env":
            return dict(_assignments(text))
        document = json.loads(text) if form == "json" else tomllib.loads(text) if form == "toml" else _yaml(text)
    except EvidenceProblem:
        raise
    except (ValueError, RecursionError) as error:  # their messages may quote a value
        where = re.search(r"line \d+|at line \d+", str(error))
        what = f"{name} is no {form.upper()} file" + (f" ({where[0]})" if where else "")
        raise EvidenceProblem(Problem("configuration", what)) from None
    try:
        refuse_bombs(document)
    except ValueError as error:
        raise EvidenceProblem(Problem("too-large", f"{name}: {error}")) from None
    if not isinstance(document, dict):
        raise EvidenceProblem(Problem("configuration", f"{name} holds no table of settings"))
    return dict(_flat(document, ""))


def _flat(table: dict[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        hint = "pip install 'pytest-prodcheck[yaml]'"
        raise EvidenceProblem(Problem("missing-extra", "reading YAML needs PyYAML", hint)) from None
    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ValueError(f"line {mark.line + 1}" if mark is not None else "") from None


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """NAME=VALUE lines as shells, Docker and systemd take them; raises ValueError that names the line alone."""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"line {number}")
        value = found[2].strip()
        if value[:1] in ("'", '"'):
            value = _quoted_value(value, number, lines)
        else:
            value = re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()
        yield found[1], value


def _quoted_value(value: str, number: int, lines: Iterator[tuple[int, str]]) -> str:
    """The text in quotes, which may go on for several lines; after it only a comment may stand."""
    quote = value[0]
    whole = re.compile(r"'([^']*)'(.*)" if quote == "'" else r'"((?:[^"\\]|\\.)*)"(.*)', re.DOTALL)
    while (found := whole.fullmatch(value)) is None:
        following = next(lines, None)
        if following is None:
            raise ValueError(f"line {number}")
        value += f"\n{following[1]}"
    if found[2].strip() and not found[2].strip().startswith("#"):
        raise ValueError(f"line {number}")
    if quote == "'":
        return found[1]
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), found[1], flags=re.DOTALL)


def value_text(value: object) -> str:
    """A value that is no secret, short enough for a message."""
    return plain(repr(value) if isinstance(value, str) else str(value), 40)
