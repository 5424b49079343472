"""Whether a backup is what it was before it was restored."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_prodcheck.evidence.restore.source_files import Source
from pytest_prodcheck.records import EvidenceProblem


def _same_size_and_time(path: Path) -> None:
    about = path.stat()
    path.write_bytes(b"y" * about.st_size)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "written to": lambda path: path.write_bytes(b"longer"),
    "written to, with size and time as before": _same_size_and_time,
    "cut": lambda path: os.truncate(path, 1),
    "other rights": lambda path: path.chmod(0o600),
    "gone": lambda path: path.unlink(),
    "another one beside it": lambda path: path.with_name("more").write_bytes(b""),
    "put in its place": lambda path: os.replace(path.parent.parent / "other", path),
}


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    (tmp_path / "backup").mkdir()
    for path in (tmp_path / "backup" / "file", tmp_path / "other"):
        path.write_bytes(b"x" * 10)
        os.utime(path, ns=(10**18, 10**18))
        path.chmod(0o640)
    return tmp_path / "backup"


@pytest.mark.parametrize("what", CHANGES)
def test_a_backup_that_changed(backup: Path, what: str) -> None:
    source = Source(backup, ())
    CHANGES[what](backup / "file")
    with pytest.raises(EvidenceProblem, match="it changed while it was restored"):
        source.unchanged()


def test_a_backup_that_was_read_and_linked_to(backup: Path) -> None:
    """As `cp -al` and rsnapshot do for the next one: its content is not touched."""
    source = Source(backup, ())
    (backup / "file").read_bytes()
    os.link(backup / "file", backup.parent / "snapshot")
    source.unchanged()
