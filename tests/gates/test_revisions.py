"""Which revision is meant where nobody names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.demo.files.configuration import REVISION
from pytest_prodcheck.gates import paths, revisions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, REVISION),
        ("version = 1\n", REVISION),
        ("version = 1\n[environments.demo]\n", ""),
        ('version = 1\n[environments.demo]\nrevision = "r7"\n', "r7"),
    ],
)
def test_the_embedded_demo_and_a_declared_one(text: str | None, expected: str, tmp_path: Path) -> None:
    """`prodcheck run smoke --env demo` asks for what the demo runs, unless prodcheck.toml declares a demo itself."""
    if text is not None:
        (tmp_path / "prodcheck.toml").write_text(text)
    root = None if text is None else str(tmp_path)
    assert revisions.resolve(None, "demo", root) == expected
    assert revisions.resolve("given", "demo", root) == "given"


def test_what_the_demo_runs_is_known_here_too() -> None:
    assert paths.EMBEDDED_REVISION == REVISION
