"""The journal of one deployment: sealed, chained JSON lines, each on the disk before the next thing happens.

Only its last line may be torn, as a power loss leaves it; such a line was not acknowledged, so nothing followed it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_prodcheck.deploy.plan import PlanProblem
from pytest_prodcheck.deploy.survivors import CannotInspectProcesses, end_survivors
from pytest_prodcheck.gates import paths
from pytest_prodcheck.gates.files import make_folder_in, make_private, sync_folder
from pytest_prodcheck.gates.seal import find_key
from pytest_prodcheck.sealed_lines import SealedLines, key_of_lines
from pytest_prodcheck.trusted_files import open_own, read_regular

_MAX_BYTES = 64 * 1024 * 1024  # bytes
Line = dict[str, Any]


class JournalDamaged(ValueError):
    """A journal that differs from what was written: the progress of the deployment is unknown."""


class DeploymentInProgress(Exception):
    """Another deployment holds the lock."""


class Journal:
    """One file. lines: what it says, the oldest first; `add` returns when the line is on the disk.

    path: names it in seals, also where it does not lie in a file.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self._sealer = SealedLines(key_of_lines(key), "/".join(path.parts[-3:]))
        self.lines: list[Line] = []
        self._sealed_lines: list[str] = []
        self._size = 0  # bytes that are whole
        content = self._read()
        if content is not None:
            self._parse(content)

    def _read(self) -> bytes | None:
        """All of it, None where there is none yet."""
        try:
            there = self.path.exists() or self.path.is_symlink()
            return read_regular(str(self.path), _MAX_BYTES, follow=False) if there else None
        except PermissionError as error:  # of another user, who began it
            raise _read_problem(error) from None

    def _parse(self, content: bytes) -> None:
        *whole, torn = content.split(b"\n")
        found = [line.decode("utf-8", "replace") for line in whole]
        if found and not torn and "\0" in found[-1] and self._sealer.chained(found[:-1]):
            found.pop()  # the file grew before its content was written
        if not self._sealer.chained(found):
            raise JournalDamaged(f"the journal {self.path} is damaged, or sealed with another key")
        self.lines = [json.loads(self._sealer.text(line) or "{}") for line in found]
        self._sealed_lines = found
        self._size = sum(len(line.encode()) + 1 for line in found)

    def add(self, event: str, **fields: Any) -> None:
        """Appends a line and syncs it; raises OSError, with the file as it was or torn at its end."""
        line = {"event": event, "at": time.time(), **fields}
        before = self._sealed_lines[-1] if self._sealed_lines else ""
        text = self._sealer.line(json.dumps(line, sort_keys=True, allow_nan=False), before)
        content = text.encode() + b"\n"
        self._append(content)
        self.lines.append(line)
        self._sealed_lines.append(text)
        self._size += len(content)

    def _append(self, content: bytes) -> None:
        new = not self.path.exists()
        handle = open_own(str(self.path), os.O_WRONLY)
        try:
            os.ftruncate(handle, self._size)
            written = os.pwrite(handle, content, self._size)
            if written != len(content):
                raise OSError(28, "no room for a whole line", str(self.path))
            os.fsync(handle)
        finally:
            os.close(handle)
        if new:
            sync_folder(self.path.parent)


class Store:
    """The journals, the lock and the approval of one unit of an environment, in the state folder.

    lock: a file beside what is deployed to, where deployers of other folders would find it too.
    """

    def __init__(self, start: str, environment: str, unit: str, lock: Path | None = None) -> None:
        self.root = paths.find_root(start)
        self.state_folder = Path(paths.state_folder(start))
        paths.verdict_file("", environment, unit, "", "deploy")  # raises ValueError for names that are none
        self.folder = self.state_folder / "deployments" / environment / (unit or "_")
        self.lock = lock or self.folder / "lock"

    def key(self, *, create: bool = False) -> bytes | None:
        """What seals journals and approvals; raises KeyProblem."""
        if create:
            make_private(self.state_folder)
        return find_key(str(self.state_folder), self.root, create=create)

    @property
    def approval(self) -> Path:
        """Where an approval is looked for."""
        return self.folder / "approval.json"

    def newest(self, key: bytes | None) -> Journal | None:
        """The journal of the newest deployment, None if there was none; raises JournalDamaged."""
        return next(self.journals(key), None)

    def journals(self, key: bytes | None) -> Iterator[Journal]:
        """The journals that are not empty, the newest first; raises JournalDamaged."""
        numbers = self._numbers()
        if numbers and key is None:
            raise JournalDamaged(f"there is no key to read the journals in {self.folder} with: set PRODCHECK_KEY")
        for number in reversed(numbers):
            found = self._journal(number, key or b"")
            if found.lines:
                yield found

    def new(self, key: bytes) -> Journal:
        """An empty journal, behind all that are there."""
        numbers = self._numbers()
        return self._journal((numbers[-1] if numbers else 0) + 1, key)

    def prune(self, key: bytes) -> str:
        """Removes journals that nobody needs any more; returns why it could not. Files stay."""
        return ""

    def _journal(self, number: int, key: bytes) -> Journal:
        return Journal(self._path_of(number), key)

    def _path_of(self, number: int) -> Path:
        return self.folder / f"{number:06}.jsonl"

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        except PermissionError as error:
            raise _read_problem(error) from None
        return journal_numbers(name.removesuffix(".jsonl") for name in names if name.endswith(".jsonl"))

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Holds the lock, raises DeploymentInProgress; yields its descriptor, which the `supervisor` inherits.

        So the next deployment waits until nothing of a killed one can act.
        """
        try:
            make_private(self.state_folder)
            make_folder_in(self.state_folder, self.folder)
            handle = open_own(str(self.lock), os.O_RDWR)
        except OSError as error:
            raise _read_problem(error) from None
        try:
            _acquire_lock(handle)
            _refuse_survivors(handle, self.lock)
            yield handle
        finally:
            os.close(handle)

    @property
    def busy(self) -> bool:
        """Whether a deployment is in progress; changes nothing."""
        try:
            handle = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except PermissionError as error:
            raise _read_problem(error) from None
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False


def _read_problem(error: OSError) -> PlanProblem:
    hint = ": run as the user who deploys here" if isinstance(error, PermissionError) else ""
    return PlanProblem(f"{error.filename}: {error.strerror}{hint}", 3)


def journal_numbers(names: Iterable[str]) -> list[int]:
    """Those of deployments, the oldest first."""
    return sorted(int(each) for each in names if each.isascii() and each.isdigit() and f"{int(each):06}" == each)


def _refuse_survivors(handle: int, path: Path) -> None:
    """Ends what a killed deployment's program left; raises DeploymentInProgress if it cannot, PlanProblem (21)."""
    try:
        if not end_survivors(handle):
            raise DeploymentInProgress
    except CannotInspectProcesses:
        text = "a program of a killed deployment may still be running, which this system cannot tell"
        raise PlanProblem(f"{text}: end it, then empty {path}", 21) from None


def _acquire_lock(handle: int, seconds: float = 2.0) -> None:
    """Takes the lock; what a killed deployer left behind is gone within moments, another deployer is not."""
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise DeploymentInProgress from None
            time.sleep(0.05)
