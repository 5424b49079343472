"""Scripts are read as text; what cannot be read so is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.environments.sections.database import Migrations
from pytest_prodcheck.evidence.migrations.scripts import dotted, flyway_checksum, scripts_of, version_key
from tests.evidence.contexts import problem_of

ALEMBIC = '''"""{revision}"""
import os
os.remove("/nonexistent")  # would fail if it ever ran
revision: str = "{revision}"
down_revision = {down}
depends_on = None
def upgrade(): ...
'''
DJANGO = """
from django.db import migrations
class Migration(migrations.Migration):
    replaces = {replaces}
    dependencies = {dependencies}
    operations = []
"""


def settings(kind: str, **more: Any) -> Migrations:
    return Migrations.model_validate({"kind": kind, "scripts": "scripts", **more})


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / "scripts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_alembic_graph(tmp_path: Path) -> None:
    files = {
        "versions/a.py": ALEMBIC.format(revision="aa", down="None"),
        "versions/b.py": ALEMBIC.format(revision="bb", down='"aa"'),
        "versions/deep/c.py": ALEMBIC.format(revision="cc", down='("aa", "bb")'),
        "env.py": "raise SystemExit('never run')",
        "versions/__init__.py": "",
    }
    found = scripts_of(settings("alembic", recursive=True), write(tmp_path, files))
    assert {name: script.parents for name, script in found.items()} == {"aa": (), "bb": ("aa",), "cc": ("aa", "bb")}
    assert set(scripts_of(settings("alembic", recursive=False), tmp_path)) == {
        "aa",
        "bb",
    }  # as Alembic itself reads them
    assert "recursive_version_locations" in problem_of(lambda: scripts_of(settings("alembic"), tmp_path)).hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ALEMBIC.format(revision="aa", down="previous()"), "down_revision is not a literal"),
        (ALEMBIC.format(revision="aa", down='"gone"'), "depends on gone, which is not in the scripts"),
        ("revision = (", "is not valid Python"),
        ("x = 1", "contains no alembic migration"),
    ],
)
def test_alembic_scripts_that_cannot_be_read(tmp_path: Path, text: str, words: str) -> None:
    root = write(tmp_path, {"a.py": text})
    problem = problem_of(lambda: scripts_of(settings("alembic"), root))
    assert problem.kind == "configuration"
    assert words in problem.message


def test_one_revision_twice(tmp_path: Path) -> None:
    text = ALEMBIC.format(revision="aa", down="None")
    problem = problem_of(lambda: scripts_of(settings("alembic"), write(tmp_path, {"a.py": text, "b.py": text})))
    assert "aa is a.py too" in problem.message


def test_no_folder(tmp_path: Path) -> None:
    assert "the folder scripts does not exist" in problem_of(lambda: scripts_of(settings("alembic"), tmp_path)).message


# java.util.zip.CRC32 over the UTF-8 bytes of each line: that of "select 1;" twice, and of nothing
@pytest.mark.parametrize(
    ("text", "checksum"),
    [
        ("", "0"),
        ("\n\n", "0"),
        ("123456789", "-873187034"),  # 0xCBF43926, the check value of CRC-32
        ("123456789\n", "-873187034"),
        ("1234\n56789", "-873187034"),
        ("1234\r\n56789\r", "-873187034"),
        ("\ufeff123456789", "-873187034"),
    ],
)
def test_flyway_checksum(text: str, checksum: str) -> None:
    assert flyway_checksum(text) == checksum


def test_a_line_end_of_unicode_is_none_of_java() -> None:
    assert flyway_checksum("a\u2028b") != flyway_checksum("a\nb")


def test_flyway_names(tmp_path: Path) -> None:
    names = ("V1__one.sql", "sub/V1_2__two_words.sql", "R__view.sql", "U1__undo.sql", "notes.txt")
    found = scripts_of(settings("flyway"), write(tmp_path, dict.fromkeys(names, "x")))
    assert {name: (each.title, each.repeatable) for name, each in found.items()} == {
        "1": ("one", False), "1.2": ("two words", False), "view": ("view", True),
    }  # fmt: skip


def test_versions() -> None:
    assert dotted("001_02.0") == "1.2"
    assert version_key("1.10") > version_key("1.9") > version_key("1")
    assert version_key("2.0") == version_key("2")


def test_django(tmp_path: Path) -> None:
    files = {
        "shop/migrations/0001_initial.py": DJANGO.format(replaces=[], dependencies=[]),
        "shop/migrations/0002_more.py": DJANGO.format(
            replaces=[], dependencies='[("shop", "0001_initial"), migrations.swappable_dependency(USER)]'
        ),
        "shop/migrations/__init__.py": "",
        "shop/models.py": "class Migration: pass",
    }
    found = scripts_of(settings("django"), write(tmp_path, files))
    assert {name: each.parents for name, each in found.items()} == {
        "shop.0001_initial": (), "shop.0002_more": ("shop.0001_initial",),
    }  # fmt: skip


def test_numbered(tmp_path: Path) -> None:
    names = ("000001_init.up.sql", "000001_init.down.sql", "20240131120000-add.sql", "V7__x.sql", "README.md", "1x.sql")
    found = scripts_of(settings("table"), write(tmp_path, dict.fromkeys(names, "")))
    assert sorted(found) == ["1", "20240131120000", "7"]
