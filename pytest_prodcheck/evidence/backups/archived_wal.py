"""Files of a WAL archive as they were: unpacked by what they are, or by the declared command."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pytest_prodcheck.evidence.backups.wal_names import HISTORY, SEGMENT
from pytest_prodcheck.evidence.tools.compressed_files import BROKEN, SUFFIXES, opened, packing
from pytest_prodcheck.evidence.tools.confinement import bare_environment
from pytest_prodcheck.evidence.tools.subprocesses import end, start
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.deadlines import Deadline

LARGEST = 1024 * 1024 * 1024  # bytes of a WAL segment (initdb --wal-segsize=1024)
HINT = "set backups.unpack to the program that decrypts or unpacks it"
_PACKERS = {".zst": ("zstd", "-dcq"), ".lz4": ("lz4", "-dcq")}
_PIECE = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A folder of archived WAL. unpack: what writes a file of it as it was to its output, "{file}" stands for it."""

    folder: Path
    unpack: tuple[str, ...]
    root: Path

    def copy_to(self, name: str, target: Path, deadline: Deadline) -> bool:
        """Puts a file at a path, False where there is none, or none that is whole.

        Raises EvidenceProblem where it can only be read by a program that is not declared.
        """
        source = self._find(name)
        if source is None:
            return False
        kind = packing(source)
        if kind == "sealed" or (kind == "" and source.suffix not in ("", ".backup", ".history")):
            if not self.unpack:
                what = f"{source.name} in the archive is encrypted, or compressed in an unknown format"
                raise EvidenceProblem(Problem("configuration", what, HINT))
            words = tuple(word.replace("{file}", str(source)) for word in self.unpack)
            if not _written_by(words, target, self.root, None, deadline):
                what = f"{self.unpack[0]} did not unpack {source.name}"
                raise EvidenceProblem(Problem("configuration", what, "run it by hand: backups.unpack"))
            kind = packing(target)
            if kind in ("", "sealed"):
                return kind == ""
            source = target.rename(target.with_name(f"{target.name}.packed"))
        try:
            return self._unpacked(source, kind, target, deadline)
        finally:
            if source.parent == target.parent:
                source.unlink(missing_ok=True)

    def _find(self, name: str) -> Path | None:
        for suffix in ("", *SUFFIXES, *_PACKERS):
            if plain_file(self.folder / f"{name}{suffix}"):
                return self.folder / f"{name}{suffix}"
        for each in sorted(self.folder.glob(f"{name}.*")):
            found = SEGMENT.fullmatch(each.name) or HISTORY.fullmatch(each.name)
            if found is not None and ".partial" not in each.name and plain_file(each):
                return each
        return None

    def _unpacked(self, source: Path, kind: str, target: Path, deadline: Deadline) -> bool:
        if kind in _PACKERS:
            return _written_by((*_PACKERS[kind], str(source)), target, target.parent, bare_environment(), deadline)
        if not kind:
            shutil.copyfile(source, target, follow_symlinks=False)
            return True
        with opened(source, kind) as packed, target.open("xb") as copy:
            return _copy_bounded(packed, copy, target.name, deadline)


def archive_of(settings: Backups, root: Path) -> Archive:
    """The declared archive."""
    return Archive((root / (settings.archive or "")).resolve(), settings.unpack or (), root)


def plain_file(path: Path) -> bool:
    """Whether there is a file that is no link, and no larger than a segment can be."""
    try:
        about = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_size <= LARGEST


def _copy_bounded(packed: IO[bytes], copy: IO[bytes], name: str, deadline: Deadline) -> bool:
    size = 0
    try:
        while part := packed.read(_PIECE):
            deadline.seconds_left()
            size += len(part)
            if size > LARGEST:
                raise EvidenceProblem(Problem("too-large", f"WAL file {name}: unpacks to more than 1 GB"))
            copy.write(part)
    except BROKEN:
        return False
    return True


def _written_by(
    words: tuple[str, ...], target: Path, folder: Path, only: dict[str, str] | None, deadline: Deadline
) -> bool:
    """Whether a program ended well, with all of its output at a path."""
    with _running(words, folder, only) as child, target.open("xb") as copy:
        assert child.stdout is not None
        whole = _copy_bounded(child.stdout, copy, target.name, deadline)
        try:
            return whole and child.wait(max(deadline.time_left(), 0.01)) == 0
        except subprocess.TimeoutExpired:
            return False


@contextmanager
def _running(words: tuple[str, ...], folder: Path, only: dict[str, str] | None) -> Iterator[subprocess.Popen[bytes]]:
    child = start(words, folder=folder, only=only, output=subprocess.PIPE)
    try:
        yield child
    finally:
        if child.stdout is not None:
            child.stdout.close()
        end(child)
