"""Runs programs under the keeper (`shim`): bounded in time and output, ended with the deployer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_prodcheck.deploy.survivors import TICKET, CannotLook, end_survivors, new_ticket

_SHIM = str(Path(__file__).with_name("shim.py"))
_KEPT = 64 * 1024  # bytes of output that are kept, of its end
_MOST = 64 * 1024 * 1024  # bytes of output; a program that says more is ended
_LOOK = 1.0  # seconds between two looks at how much it said
_GRACE = 40.0  # seconds for the keeper to end a program
_NOT_STARTED = 127


class StillRunning(BaseException):
    """A program that could not be ended, as one of another user: nothing may be done beside it, not even going back."""


@dataclass(frozen=True)
class Done:
    """How a program ended. code: 128 + N for signal N, None where its time was over; text: the end of what it said."""

    code: int | None
    text: str


class Runner:
    """Starts programs in a folder. lock: the descriptor of the deployer's lock, -1 for none."""

    def __init__(self, folder: Path, lock: int = -1) -> None:
        self.folder, self.lock = folder, lock

    def run(self, command: Sequence[str], seconds: float, env: Mapping[str, str]) -> Done:
        """Runs one to its end; to be called by the main thread, whose death is what the kernel tells the keeper."""
        try:
            return self._run(command, seconds, env)
        except OSError as error:
            return Done(_NOT_STARTED, f"{command[0]} cannot be started: {error.strerror or error}")

    def _run(self, command: Sequence[str], seconds: float, env: Mapping[str, str]) -> Done:
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", _SHIM, str(os.getpid()), str(self.lock), *command],
                cwd=self.folder,
                env={**env, TICKET: new_ticket(self.lock)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(self.lock,) if self.lock >= 0 else (),
                process_group=0,  # Ctrl-C reaches us alone
            )
            try:
                code, why = _ended(process, seconds, output.fileno())
            finally:
                if process.poll() is None:
                    process.terminate()
                    _wait_for(process, command[0])
                _refuse_survivors(self.lock, command[0])
            size = output.seek(0, os.SEEK_END)
            output.seek(max(0, size - _KEPT))
            return Done(code, output.read().decode("utf-8", "replace") + why)


def _refuse_survivors(lock: int, name: str) -> None:
    """Ends what its keeper could not, for it was killed itself."""
    with suppress(CannotLook):
        if end_survivors(lock):
            return
    raise StillRunning(f"{name} may still run: end it by hand, until then no other deployer may begin")


def _wait_for(process: subprocess.Popen[bytes], name: str) -> None:
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        raise StillRunning(f"{name} cannot be ended: end it by hand, until then no other deployer may begin") from None


def _ended(process: subprocess.Popen[bytes], seconds: float, output: int) -> tuple[int | None, str]:
    """Its exit code, None where its time is over, and why it has to be ended if it said too much."""
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        try:
            return process.wait(max(0.0, min(left, _LOOK))), ""
        except subprocess.TimeoutExpired:
            if left <= _LOOK:
                return None, ""
        if os.fstat(output).st_size > _MOST:
            return 128 + signal.SIGTERM, f"\nit printed more than {_MOST >> 20} MiB"
