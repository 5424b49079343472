"""A folder with prodcheck.toml and the key in the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gates.published import SECRET


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with prodcheck.toml and the key in the environment."""
    monkeypatch.setenv("PRODCHECK_KEY", SECRET)
    monkeypatch.delenv("PRODCHECK_REVISION", raising=False)
    return tmp_path
