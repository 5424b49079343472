"""A backup's files as they come to us: never written to, never followed out of the backup, and none but plain files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from pytest_prodcheck.evidence.tools.confinement import bare_environment
from pytest_prodcheck.evidence.tools.subprocesses import User, run
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

MOST_FILES = 5_000_000  # of one backup
_SPACES = "pg_tblspc"


class _Snapshot(NamedTuple):
    """Digests of names, kinds, sizes, owners and times; of when the kernel says each was changed; hard links."""

    names: str
    changes: str
    links: int


class Source:
    """A backup as it lies there: a folder, or a file. allowed: folders that its links may lead into.

    place: without links. size: bytes that it takes up. Raises EvidenceProblem where it is none of both.
    """

    def __init__(self, place: Path, allowed: Sequence[Path]) -> None:
        try:
            self.place = place.resolve(strict=True)
            kind = self.place.stat().st_mode
        except (OSError, RuntimeError) as error:
            said = getattr(error, "strerror", None) or "its links lead in a circle"
            raise EvidenceProblem(Problem("configuration", f"{place}: {said}")) from None
        if not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
            raise EvidenceProblem(Problem("configuration", f"{place}: is neither a folder nor a plain file"))
        self._allowed = [self.place, *(each.resolve() for each in allowed)]
        self.spaces = self._tablespaces()
        self.size, self.before = self._snapshot()

    def _tablespaces(self) -> dict[str, Path]:
        """The links of pg_tblspc -> where they lead; raises EvidenceProblem for one that leaves what is allowed."""
        folder = self.place / _SPACES
        if not stat.S_ISDIR(self.place.stat().st_mode) or folder.is_symlink() or not folder.is_dir():
            return {}
        found = {}
        for link in sorted(each for each in folder.iterdir() if each.is_symlink()):
            there = Path(os.path.realpath(link))
            if not link.name.isdigit() or not any(there.is_relative_to(each) for each in self._allowed):
                hint = "name the folder that it may lead into: backups.restore.links"
                raise EvidenceProblem(Problem("configuration", f"{link}: leads out of the backup, to {there}", hint))
            found[link.name] = there
        return found

    def _snapshot(self) -> tuple[int, _Snapshot]:
        """Bytes on the disk, and what it looks like."""
        size, count, links = 0, 0, 0
        names, changes = hashlib.sha256(), hashlib.sha256()
        for root in (self.place, *self.spaces.values()):
            for path, about in _walk(root):
                size, count = size + max(about.st_blocks * 512, 0), count + 1
                links += about.st_nlink if stat.S_ISREG(about.st_mode) else 0
                seen = (path, about.st_ino, about.st_mode, about.st_size, about.st_mtime_ns, about.st_uid, about.st_gid)
                names.update(repr(seen).encode())
                changes.update(str(about.st_ctime_ns).encode())
                if count > MOST_FILES:
                    raise EvidenceProblem(Problem("too-large", f"{root}: more than {MOST_FILES} files"))
        return size, _Snapshot(names.hexdigest(), changes.hexdigest(), links)

    def unchanged(self) -> None:
        """Raises EvidenceProblem where it is not what it was.

        The kernel notes when a file was last written to or changed, and nobody can set that back; a further hard link,
        as some make for the next backup, changes it too.
        """
        now = self._snapshot()[1]
        if now.names != self.before.names or (now.changes != self.before.changes and now.links == self.before.links):
            what = f"{self.place}: it changed while it was restored"
            raise EvidenceProblem(Problem("configuration", what, "who writes to a finished backup?"))

    def copy(self, target: Path, spaces: Path, deadline: Deadline) -> None:
        """Copies it, its tablespaces too; raises EvidenceProblem for a link or anything else that is no plain file."""
        _copy(self.place, target, deadline)
        refuse_odd_files(target, except_in=target / _SPACES)
        for name, there in self.spaces.items():
            spaces.mkdir(exist_ok=True)
            _copy(there, spaces / name, deadline)
            refuse_odd_files(spaces / name)
            link = target / _SPACES / name
            link.unlink()
            link.symlink_to(spaces / name)


def _copy(source: Path, target: Path, deadline: Deadline) -> None:
    words = ("cp", "-a", "--reflink=auto", "--", str(source), str(target))
    done = run(words, deadline, folder=target.parent, only=bare_environment())
    if done.code:
        raise EvidenceProblem(Problem("configuration", f"the backup cannot be copied: {done.error_text}"))


def refuse_odd_files(folder: Path, except_in: Path | None = None) -> None:
    """Raises EvidenceProblem for a link, a device, a pipe or a socket below a folder that is ours alone.

    except_in: a folder whose own links are left, for they are looked at elsewhere.
    """
    for path, about in _walk(folder):
        if stat.S_ISDIR(about.st_mode) or stat.S_ISREG(about.st_mode):
            continue
        if stat.S_ISLNK(about.st_mode) and except_in is not None and Path(path).parent == except_in:
            continue
        kind = "a link" if stat.S_ISLNK(about.st_mode) else "no plain file"
        what = f"{os.path.relpath(path, folder)} in the backup is {kind}: it is not restored"
        raise EvidenceProblem(Problem("configuration", what, "take backups with pg_basebackup, which copies no links"))


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything at and below a place, in order; links are not followed."""
    yield str(root), os.lstat(root)
    for place, folders, files in os.walk(root):
        folders.sort()
        for name in sorted((*folders, *files)):
            path = os.path.join(place, name)
            yield path, os.lstat(path)


def private_file(path: Path) -> IO[bytes]:
    """A new file that is ours alone, whatever the umask, opened for writing."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def share_with(path: Path, user: User | None) -> None:
    """Lets a user read what stays ours, and nobody else, whatever the umask."""
    if user is not None:
        os.chown(path, -1, user.pw_gid, follow_symlinks=False)
    folder, file = (0o700, 0o600) if user is None else (0o750, 0o640)
    path.chmod(folder if path.is_dir() else file)


def give_to(folder: Path, user: User | None) -> None:
    """Makes a folder and all below it a user's; links are not followed."""
    if user is None:
        return
    for path, about in _walk(folder):
        if (about.st_uid, about.st_gid) != (user.pw_uid, user.pw_gid):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
