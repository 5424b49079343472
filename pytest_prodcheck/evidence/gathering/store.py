"""Where evidence lies: in memory, in a folder shared with xdist workers, in the saved run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.gathering import codec
from pytest_prodcheck.records import Evidence, EvidenceProblem, Problem
from pytest_prodcheck.trusted_files import open_own

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Redacts

EXPECTED = "expected.json"


class EvidenceFilesError(Exception):
    """Saved evidence that cannot be read; the message names the file."""


class EvidenceStore:
    """The evidence of one run, put by the gatherer and waited for by checks. Thread-safe.

    shared: where each piece is also written for xdist workers. redactor: blanks what is written to files.
    read: the keys that were asked for and handed out.
    """

    def __init__(self, shared: SharedFolder | None = None, redactor: Redacts | None = None) -> None:
        self.read: set[str] = set()
        self._shared = shared
        self._redactor = redactor
        self._changed = threading.Condition()
        self._pieces: dict[str, Evidence[Any]] = {}
        self._expected: set[str] | None = None

    def expect(self, keys: Iterable[str]) -> None:
        """Tells which keys will come; anything else is unread from now on."""
        with self._changed:
            self._expected = set(keys) | (self._expected or set())
            self._changed.notify_all()
        if self._shared is not None:
            self._shared.expect(sorted(self._expected))

    def put(self, evidence: Evidence[Any]) -> None:
        """Adds one piece and wakes those who wait for it; the first one of a key stays."""
        with self._changed:
            if evidence.key in self._pieces:
                return
            self._pieces[evidence.key] = evidence
            self._changed.notify_all()
        if self._shared is not None:
            self._shared.put(evidence, self._redactor)

    def get(self, key: str, timeout: float) -> Evidence[Any]:
        """Waits for one piece, at most `timeout` seconds; raises EvidenceProblem (unread, timeout)."""
        found = self._pieces.get(key)
        if found is not None:
            self.read.add(key)
            return found

        def settled() -> bool:
            return key in self._pieces or (self._expected is not None and key not in self._expected)

        with self._changed:
            if not self._changed.wait_for(settled, timeout):
                raise EvidenceProblem(Problem("timeout", f"{key}: was not gathered within {timeout:g} s"))
            if key not in self._pieces:
                raise codec.unread_problem(key, "was not in the plan of this run, so it was not gathered")
            self.read.add(key)
            return self._pieces[key]

    def all(self) -> tuple[Evidence[Any], ...]:
        """All pieces so far, by key."""
        with self._changed:
            return tuple(self._pieces[key] for key in sorted(self._pieces))

    def save(self, folder: Path, keep_bodies: bool) -> None:
        """Writes one file a piece into `folder`, redacted; answers' bodies only where they are to be kept."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for evidence in self.all():
            _write(f"{folder}/{codec.file_name(evidence.key)}", _text(evidence, self._redactor, keep_bodies))


def _text(evidence: Evidence[Any], redactor: Redacts | None, keep_bodies: bool) -> str:
    try:
        plain = codec.dump(evidence, keep_bodies=keep_bodies)
        text = codec.text(plain)
    except Exception as error:  # a team's own record may hold anything
        problem = Problem(
            "internal", f"{evidence.key}: its record cannot be saved: {type(error).__name__}: {error}"[:500]
        )
        plain = codec.dump(replace(evidence, record=None, problem=problem))
        text = codec.text(plain)
    if redactor is None:
        return text
    # not the frame: a secret that happens to equal a target's name must not make the file unreadable
    inner = {name: plain[name] for name in ("record", "problem", "notes")}
    clean = redactor.redact_data(inner)
    return text if clean == inner else codec.text({**plain, **clean})


def _write(file: str, text: str) -> None:
    descriptor = open_own(file, os.O_WRONLY | os.O_TRUNC)
    try:
        content = memoryview(text.encode("utf-8"))
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


class SavedEvidence:
    """The evidence of an earlier run, for judging it again."""

    def __init__(self, envelopes: dict[str, dict[str, Any]]) -> None:
        self.read: set[str] = set()
        self._envelopes = envelopes

    def get(self, key: str, timeout: float = 0.0) -> Evidence[Any]:
        """One saved piece; raises EvidenceProblem (unread) where it was not saved."""
        if key not in self._envelopes:
            raise codec.unread_problem(key, "is not in the saved evidence")
        try:
            evidence = codec.load(self._envelopes[key])
        except ValueError as error:
            raise codec.unread_problem(key, f"the saved evidence cannot be read: {error}") from None
        self.read.add(key)
        return evidence

    def keys(self) -> tuple[str, ...]:
        """The keys that were saved."""
        return tuple(sorted(self._envelopes))


def load(folder: Path) -> SavedEvidence:
    """The evidence saved in `folder`; raises EvidenceFilesError naming the first file that cannot be read."""
    envelopes: dict[str, dict[str, Any]] = {}
    if not folder.is_dir():
        raise EvidenceFilesError(f"{folder} contains no saved evidence")
    for file in sorted(folder.glob("*.json")):
        try:
            if not file.is_file() or file.is_symlink() or file.stat().st_size > codec.LARGEST:
                raise ValueError("it is not a regular file, or too large")
            plain = codec.parse(file.read_bytes())
            if plain["key"] in envelopes:
                raise ValueError(f"{plain['key']} exists twice")
            from pytest_prodcheck.evidence.table import COLLECTORS

            if plain["collector"] in COLLECTORS:
                codec.load(plain)
        except (OSError, ValueError) as error:
            raise EvidenceFilesError(f"{file}: {str(error)[:300]}") from None
        envelopes[plain["key"]] = plain
    return SavedEvidence(envelopes)


class SharedFolder:
    """A private folder through which xdist workers read what the controller gathers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read: set[str] = set()
        self._known: dict[str, Evidence[Any]] = {}

    @classmethod
    def create(cls) -> SharedFolder:
        """A new folder of mode 0700."""
        return cls(Path(tempfile.mkdtemp(prefix="prodcheck-")))

    def remove(self) -> None:
        """Deletes the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def expect(self, keys: list[str]) -> None:
        """Tells workers which keys will come."""
        temporary = self.path / f".{EXPECTED}.{threading.get_ident()}"
        temporary.write_text(json.dumps(keys), encoding="utf-8")
        temporary.rename(self.path / EXPECTED)

    def put(self, evidence: Evidence[Any], redactor: Redacts | None = None) -> None:
        """Writes one piece atomically, whole and redacted."""
        with contextlib.suppress(FileNotFoundError):  # the run ended meanwhile and the folder is gone
            name = codec.file_name(evidence.key)
            temporary = self.path / f".{name}.{os.getpid()}.{threading.get_ident()}"
            _write(str(temporary), _text(evidence, redactor, keep_bodies=True))
            temporary.rename(self.path / name)

    def get(self, key: str, timeout: float) -> Evidence[Any]:
        """Waits for one piece, at most `timeout` seconds; raises EvidenceProblem (unread, timeout)."""
        until = time.monotonic() + timeout
        pause = 0.005
        file = self.path / codec.file_name(key)
        while key not in self._known:
            if file.exists():
                try:
                    self._known[key] = codec.load(codec.parse(file.read_bytes()))
                except ValueError as error:
                    raise codec.unread_problem(key, str(error)) from None
            elif not self._is_expected(key):
                raise codec.unread_problem(key, "was not in the plan of this run, so it was not gathered")
            elif time.monotonic() > until:
                raise EvidenceProblem(Problem("timeout", f"{key}: was not gathered within {timeout:g} s"))
            else:
                time.sleep(pause)
                pause = min(pause * 1.5, 0.1)
        self.read.add(key)
        return self._known[key]

    def _is_expected(self, key: str) -> bool:
        file = self.path / EXPECTED
        return not file.exists() or key in json.loads(file.read_text(encoding="utf-8"))
