"""A folder that costs nothing to sync, and a project over the model in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.model_project import Here


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder where syncing costs nothing: thousands of lines are synced here."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def here(memory: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(memory, monkeypatch)
