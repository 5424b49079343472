"""What is applied against what is shipped: a truth table for each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.environments.sections.database import Migrations
from pytest_prodcheck.evidence.migrations.model import Row, Script
from pytest_prodcheck.evidence.migrations.states import KINDS

EMPTY = ("failed", "unknown", "pending", "skipped", "changed")


def compare(kind: str, rows: list[Row], scripts: list[Script], **settings: Any) -> dict[str, list[str]]:
    declared = Migrations.model_validate({"kind": kind, "scripts": "x", **settings})
    state = KINDS[kind].compare(rows, {each.version: each for each in scripts}, declared)
    return {name: sorted(getattr(state, name)) for name in EMPTY if getattr(state, name)}


def script(version: str, *parents: str, **more: Any) -> Script:
    return Script(version, Path(f"{version}.sql"), parents, **more)


LINE = [script("a"), script("b", "a"), script("c", "b")]
FORK = [*LINE, script("d", "b"), script("e", "c", "d")]


@pytest.mark.parametrize(
    ("heads", "scripts", "expected"),
    [
        (["c"], LINE, {}),
        (["b"], LINE, {"pending": ["c"]}),
        ([], LINE, {"pending": ["a", "b", "c"]}),
        (["x"], LINE, {"unknown": ["x"], "pending": ["a", "b", "c"]}),
        (["c"], FORK, {"pending": ["d", "e"]}),
        (["c", "d"], FORK, {"pending": ["e"]}),
        (["e"], FORK, {}),
        (["c", "x"], LINE, {"unknown": ["x"]}),
    ],
)
def test_alembic(heads: list[str], scripts: list[Script], expected: dict[str, list[str]]) -> None:
    assert compare("alembic", [(head,) for head in heads], scripts) == expected


def flyway(*rows: tuple[str | None, str, str, str | None, str]) -> dict[str, list[str]]:
    scripts = [
        script("1", title="one", checksum="11"), script("2", title="two", checksum="22"),
        script("3", title="three", checksum="33"), script("view", title="view", checksum="44", repeatable=True),
    ]  # fmt: skip
    return compare("flyway", list(rows), scripts)


ONE, TWO, THREE = ("1", "one", "SQL", "11", "t"), ("2", "two", "SQL", "22", "t"), ("3", "three", "SQL", "33", "t")
VIEW = (None, "view", "SQL", "44", "t")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((ONE, TWO, THREE, VIEW), {}),
        ((ONE, TWO, VIEW), {"pending": ["3"]}),
        ((ONE, THREE, VIEW), {"skipped": ["2"]}),
        ((ONE, TWO, ("3", "three", "SQL", "33", "f"), VIEW), {"failed": ["3"], "pending": ["3"]}),
        ((ONE, ("2", "two", "SQL", "99", "t"), THREE, VIEW), {"changed": ["2"]}),
        ((ONE, ("2", "zwei", "SQL", "22", "t"), THREE, VIEW), {"changed": ["2"]}),
        ((ONE, TWO, THREE, ("4", "four", "SQL", "4", "t"), VIEW), {"unknown": ["4"]}),
        ((ONE, TWO, THREE, (None, "view", "SQL", "1", "t")), {"pending": ["view"]}),
        ((ONE, TWO, THREE, (None, "view", "SQL", "1", "t"), VIEW), {}),  # ran again since
        ((ONE, TWO, THREE, VIEW, (None, "gone", "SQL", "1", "t")), {"unknown": ["gone"]}),
        ((("2", "<< Baseline >>", "BASELINE", None, "t"), THREE, VIEW), {}),  # what is below it never ran here
        ((ONE, TWO, THREE, ("3", "three", "UNDO_SQL", "33", "t"), VIEW), {"pending": ["3"]}),
        ((ONE, TWO, THREE, ("2.5", "java", "JDBC", None, "t"), VIEW), {}),  # its script is none that we see
        ((ONE, TWO, ("3", "three", "SQL", "33", "f"), THREE, VIEW), {}),  # failed, then repaired
        ((("0", "<< Flyway Schema Creation >>", "SCHEMA", None, "t"), ONE, TWO, THREE, VIEW), {}),
        ((), {"pending": ["1", "2", "3", "view"]}),
    ],
)
def test_flyway(rows: tuple[Any, ...], expected: dict[str, list[str]]) -> None:
    assert flyway(*rows) == expected


APP = [script("shop.1"), script("shop.2", "shop.1"), script("shop.3", "shop.2", "auth.1")]
SQUASHED = [*APP, script("shop.1_2", replaces=("shop.1", "shop.2"))]


@pytest.mark.parametrize(
    ("applied", "scripts", "expected"),
    [
        (["1", "2", "3"], APP, {}),
        (["1", "2"], APP, {"pending": ["shop.3"]}),
        (["1", "3"], APP, {"pending": ["shop.2"], "skipped": ["shop.2"]}),
        (["1", "2", "3", "4"], APP, {"unknown": ["shop.4"]}),
        (["1", "2", "3"], SQUASHED, {}),
        (["1_2", "3"], SQUASHED, {}),
        ([], SQUASHED, {"pending": ["shop.1_2", "shop.3"]}),
        (["1_2", "1", "2", "3"], [script("shop.1_2", replaces=("shop.1", "shop.2")), script("shop.3")], {}),
    ],
)
def test_django(applied: list[str], scripts: list[Script], expected: dict[str, list[str]]) -> None:
    rows: list[Row] = [("auth", "1"), *(("shop", name) for name in applied)]  # auth ships nothing here
    assert compare("django", rows, scripts) == expected


NUMBERED = [script("1"), script("2"), script("10")]


@pytest.mark.parametrize(
    ("rows", "settings", "expected"),
    [
        ([("1", "f"), ("2", "f"), ("10", "f")], {}, {}),
        ([("1", "f"), ("2", "f")], {}, {"pending": ["10"]}),
        ([("1", "f"), ("10", "f")], {}, {"skipped": ["2"]}),
        ([("0001", "f"), ("0002", "f"), ("0010", "f")], {}, {}),
        ([("10", "f")], {"holds": "latest"}, {}),
        ([("2", "f")], {"holds": "latest"}, {"pending": ["10"]}),
        ([("2", "t")], {"holds": "latest", "failed": "dirty"}, {"failed": ["2"], "pending": ["10"]}),
        ([("7", "f")], {"holds": "latest"}, {"unknown": ["7"], "pending": ["10"]}),
        # goose notes a version 0 when it makes its table
        ([("0", "f"), ("1", "f"), ("2", "f"), ("10", "f")], {}, {}),
        ([("0", "f"), ("1", "f"), ("10", "f")], {}, {"skipped": ["2"]}),
        ([], {"holds": "latest"}, {"pending": ["1", "10", "2"]}),
    ],
)
def test_version_table(rows: list[Row], settings: dict[str, Any], expected: dict[str, list[str]]) -> None:
    assert compare("table", rows, NUMBERED, **settings) == expected
