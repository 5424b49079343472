"""Verdicts as files, one a key: withdrawn when a run starts, published only by the newest run."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_prodcheck.gates import paths, seal
from pytest_prodcheck.gates.boot_clock import since_boot
from pytest_prodcheck.gates.files import locked, make_folder, replace_file, sync_folder, write_aside
from pytest_prodcheck.gates.verdict import Verdict


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
            make_folder(file.parent)
            with locked(file.with_suffix(".lock")):
                self._set_aside(file)
                number = self._number(file) + 1
                replace_file(Path(paths.ticket_file(str(file))), _ticket(number, run))
        except OSError as error:
            with suppress(OSError):  # without a lock, if need be: this run is about to judge it anew
                file.unlink(missing_ok=True)
            raise StoreError(f"the verdict of gate {key.gate} cannot be withdrawn: {error}") from None
        previous = self._read(_aside(file), key)
        return Ticket(key, number, run, previous, previous is not None and previous.ticket == number - 1)

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
                    newest = self._number(file)
                    if newest != ticket.number:
                        raise StoreError(
                            f"gate {ticket.key.gate}: another run has started since (ticket {newest}, this run has "
                            f"{ticket.number}): the verdict of this one is not published"
                        )
                    _put(aside, file)
            finally:
                with suppress(OSError):
                    aside.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"the verdict of gate {ticket.key.gate} cannot be written: {error}") from None

    def read(self, key: Key) -> Verdict | str:
        """The newest verdict of a key with a good seal, or why there is none."""
        file = key.file(self.state)
        if not file.exists():
            return "there is no verdict: nothing was judged yet, or a run is in progress or has crashed"
        verdict = self._read(file, key)
        if verdict is None:
            return "its verdict is damaged or its seal does not hold"
        if verdict.ticket != self._number(file):
            return "its verdict is not the one of the newest run"
        return verdict

    def _set_aside(self, file: Path) -> None:
        """Keeps a really open verdict for comparison; removes any other, and what dead publishers left."""
        for left in file.parent.glob(f".{file.name}.*.tmp"):
            left.unlink(missing_ok=True)  # a publisher that still writes it has just been overtaken
        if file.is_dir() and not file.is_symlink():
            raise IsADirectoryError(f"{file} is a folder: remove it")
        if not os.path.lexists(file):
            return
        verdict = self._read(file, None)
        if verdict is not None and verdict.open_since is not None and verdict.ticket == self._number(file):
            os.replace(file, _aside(file))
        else:
            file.unlink()
        sync_folder(file.parent)

    def _number(self, file: Path) -> int:
        """The newest ticket's number; a damaged one counts as the present second, which is newer than any."""
        try:
            number = json.loads(Path(paths.ticket_file(str(file))).read_bytes())["number"]
        except FileNotFoundError:
            return 0
        except (ValueError, KeyError, TypeError, RecursionError):
            return int(time.time())
        return number if type(number) is int and number > 0 else int(time.time())

    def _read(self, file: Path, key: Key | None) -> Verdict | None:
        try:
            document = json.loads(file.read_bytes())
            if not isinstance(document, dict) or not seal.holds(document, self.key):
                return None
            verdict = Verdict.from_document(document)
        except (OSError, ValueError, RecursionError):
            return None
        about = (verdict.environment, verdict.unit, verdict.slot, verdict.gate)
        return verdict if key is None or about == (key.environment, key.unit, key.slot, key.gate) else None


def _put(aside: Path, file: Path) -> None:
    """Renames durably; a rename that cannot be made durable is taken back."""
    try:
        os.replace(aside, file)
        sync_folder(file.parent)
    except OSError:
        with suppress(OSError):
            file.unlink(missing_ok=True)
        raise


def _ticket(number: int, run: str) -> bytes:
    """Who drew a number and where, so that `gate` can tell a run in progress from one that crashed."""
    who = {"number": number, "run": run, "pid": os.getpid(), "host": os.uname().nodename, "at": time.time()}
    return json.dumps(who).encode()


def _aside(file: Path) -> Path:
    return file.with_suffix(".previous")
