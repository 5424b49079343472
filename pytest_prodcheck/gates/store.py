"""Verdicts as files, one a key: withdrawn when a run starts, published only by the newest run."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_prodcheck.gates import newest_run, paths, seal
from pytest_prodcheck.gates.boot_clock import since_boot
from pytest_prodcheck.gates.files import locked, make_folder_in, replace_file, sync_folder, write_aside
from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.gates.verdict_files import read_ticket
from pytest_prodcheck.trusted_files import read_regular

_PREVIOUS = "prodcheck-previous/1"  # the schema of a verdict that was set aside: it can open nothing any more
_LARGEST = 64 * 1024 * 1024  # bytes


class StoreError(Exception):
    """A verdict that cannot be withdrawn or published; the gate is closed or stays as it truthfully was."""


@dataclass(frozen=True)
class Key:
    """What a verdict is about; "" is no unit, no slot. Raises ValueError for a name that is none."""

    environment: str
    unit: str
    slot: str
    gate: str

    def __post_init__(self) -> None:
        """Refuses names that could lead to another file."""
        paths.verdict_file("", self.environment, self.unit, self.slot, self.gate)

    def __str__(self) -> str:
        """As one word."""
        return paths.key_text(self.environment, self.unit, self.slot, self.gate)

    def file(self, state: Path) -> Path:
        """Where its verdict lies."""
        return Path(paths.verdict_file(str(state), self.environment, self.unit, self.slot, self.gate))


@dataclass(frozen=True)
class Ticket:
    """The right to publish for a key until a newer run takes the next number.

    `previous` is the last verdict of this key that was really open; `unbroken` says that it is of the run just before.
    """

    key: Key
    number: int
    run: str
    previous: Verdict | None = None
    unbroken: bool = False


class VerdictStore:
    """The verdicts of one state folder (`.prodcheck`)."""

    def __init__(self, state: Path, key: bytes) -> None:
        self.state, self.key = state, key

    def withdraw(self, key: Key, run: str) -> Ticket:
        """Takes the verdict away, durably, and draws the next number; raises StoreError with the gate closed."""
        file = key.file(self.state)
        try:
            make_folder_in(self.state, file.parent)
            with locked(file.with_suffix(".lock")):
                before, began = self._number(key)
                self._set_aside(file, key, before)
                noted, last = newest_run.newest_known(str(self.state), str(key))
                number, at = max(before, noted) + 1, max(time.time(), began + 0.001, last + 0.001)
                newest_run.remember(str(self.state), str(key), number, at)
                replace_file(Path(paths.ticket_file(str(file))), self._ticket(key, number, at, run))
        except OSError as error:
            with suppress(OSError):  # without a lock, if need be: this run is about to judge it again
                file.unlink(missing_ok=True)
            raise StoreError(f"the verdict of gate {key.gate} cannot be withdrawn: {error}") from None
        previous = self._previous(file, key)
        return Ticket(key, number, run, previous, previous is not None and previous.ticket == before == number - 1)

    def publish(self, verdict: Verdict, ticket: Ticket) -> None:
        """Puts the sealed verdict in its place, the last act; raises StoreError if it cannot or a newer run began."""
        file = ticket.key.file(self.state)
        boot, uptime = since_boot()
        final = replace(verdict, ticket=ticket.number, boot=boot, uptime=uptime)
        content = seal.canonical(seal.sign(final.to_document(), self.key)) + b"\n"
        try:
            aside = write_aside(file, content)
            try:
                with locked(file.with_suffix(".lock")):
                    newest = self._number(ticket.key)[0]
                    noted = newest_run.newest_known(str(self.state), str(ticket.key))[0]
                    if newest != ticket.number or noted > newest:
                        raise StoreError(
                            f"gate {ticket.key.gate}: another run has started since (ticket {max(newest, noted)}, "
                            f"this run has {ticket.number}), so the verdict of this run is not published"
                        )
                    _rename_durably(aside, file)
            finally:
                with suppress(OSError):
                    aside.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"the verdict of gate {ticket.key.gate} cannot be written: {error}") from None

    def take_back(self, ticket: Ticket) -> None:
        """Removes what this ticket published, where no newer run has begun; raises OSError."""
        file = ticket.key.file(self.state)
        with locked(file.with_suffix(".lock")):
            if self._number(ticket.key)[0] == ticket.number:
                file.unlink(missing_ok=True)
                sync_folder(file.parent)

    def read(self, key: Key) -> Verdict | str:
        """The newest verdict of a key with a good seal, or why there is none."""
        file = key.file(self.state)
        if not file.exists():
            return "there is no verdict: nothing was judged yet, or a run is in progress or has crashed"
        verdict = self._read(file, key)
        if verdict is None:
            return "its verdict is damaged or its seal is not valid"
        number, at = self._number(key)
        try:
            newest = newest_run.newest_known(str(self.state), str(key))[1]
        except OSError as error:
            return f"the note about its newest run, {error.filename}: {error.strerror}"
        if verdict.ticket != number or at < newest:
            return "its verdict is not from the newest run"
        return verdict

    def _set_aside(self, file: Path, key: Key, number: int) -> None:
        """Keeps a really open verdict for comparison; removes any other, and what dead publishers left."""
        for left in file.parent.glob(f".{file.name}.*.tmp"):
            left.unlink(missing_ok=True)  # a publisher that still writes it has just been overtaken
        if file.is_dir() and not file.is_symlink():
            raise IsADirectoryError(f"{file} is a folder: remove it")
        if not os.path.lexists(file):
            return
        verdict = self._read(file, key)
        if verdict is not None and verdict.open_since is not None and verdict.ticket == number:
            kept: dict[str, object] = {"schema": _PREVIOUS, "verdict": verdict.to_document()}
            replace_file(_previous_file(file), seal.canonical(seal.sign(kept, self.key)))
        file.unlink()
        sync_folder(file.parent)

    def _previous(self, file: Path, key: Key) -> Verdict | None:
        kept = self._sealed(_previous_file(file))
        return self._verdict(kept.get("verdict"), key) if kept and kept.get("schema") == _PREVIOUS else None

    def _number(self, key: Key) -> tuple[int, float]:
        """Number and time of the newest ticket; a damaged one counts as the present second, which is newer than any."""
        file = str(key.file(self.state))
        if not os.path.lexists(paths.ticket_file(file)):
            return 0, 0.0
        ticket = read_ticket(file, str(key), self.key)
        number = ticket["number"] if ticket else 0
        if ticket is None or not isinstance(number, int) or number <= 0:
            return int(time.time()), 0.0
        return number, float(str(ticket["at"]))

    def _ticket(self, key: Key, number: int, at: float, run: str) -> bytes:
        """Who drew a number and where, so that `gate` can tell a run in progress from one that crashed; sealed."""
        who = {"key": str(key), "number": number, "run": run, "pid": os.getpid(), "host": os.uname().nodename, "at": at}
        return seal.canonical(seal.sign(who, self.key))

    def _read(self, file: Path, key: Key) -> Verdict | None:
        return self._verdict(self._sealed(file), key)

    def _sealed(self, file: Path) -> dict[str, object] | None:
        try:
            document = json.loads(read_regular(str(file), _LARGEST, follow=False))
        except (OSError, ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) and seal.holds(document, self.key) else None

    def _verdict(self, document: object, key: Key) -> Verdict | None:
        try:
            verdict = Verdict.from_document(document) if isinstance(document, dict) else None
        except (ValueError, RecursionError):
            return None
        about = verdict and (verdict.environment, verdict.unit, verdict.slot, verdict.gate)
        return verdict if about == (key.environment, key.unit, key.slot, key.gate) else None


def _rename_durably(aside: Path, file: Path) -> None:
    """Renames durably; a rename that cannot be made durable is taken back."""
    try:
        os.replace(aside, file)
        sync_folder(file.parent)
    except OSError:
        with suppress(OSError):
            file.unlink(missing_ok=True)
        raise


def _previous_file(file: Path) -> Path:
    return file.with_suffix(".previous")
