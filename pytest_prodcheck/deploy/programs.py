"""Runs programs under the `supervisor`: bounded in time and output, ended with the deployer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_prodcheck.deploy.survivors import TICKET, CannotInspectProcesses, end_survivors, new_ticket

_SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))
_MAX_KEPT_BYTES = 64 * 1024  # bytes of output that are kept, of its end
_MAX_OUTPUT_BYTES = 64 * 1024 * 1024  # bytes of output; a program that says more is ended
_POLL_INTERVAL = 1.0  # seconds between two looks at how much it said
_TERMINATION_TIMEOUT = 40.0  # seconds for the supervisor to end a program
_NOT_STARTED = 127


class StillRunning(BaseException):
    """A program that could not be ended, as one of another user: nothing may be done beside it, not even going back."""


@dataclass(frozen=True)
class ProgramResult:
    """How a program ended. code: 128 + N for signal N, None where its time was over; text: the end of what it said."""

    code: int | None
    text: str


class ProgramRunner:
    """Starts programs in a folder. lock: the descriptor of the deployer's lock, -1 for none.

    is_replaced: whether another deployer took over, elsewhere: then a program that runs is ended.
    """

    def __init__(self, folder: Path, lock: int = -1, is_replaced: Callable[[], bool] = lambda: False) -> None:
        self.folder, self.lock, self.is_replaced = folder, lock, is_replaced

    def run(self, command: Sequence[str], seconds: float, env: Mapping[str, str]) -> ProgramResult:
        """Runs one to its end; to be called by the main thread, whose death the kernel reports to the supervisor."""
        try:
            return self._run(command, seconds, env)
        except OSError as error:
            return ProgramResult(_NOT_STARTED, f"{command[0]} cannot be started: {error.strerror or error}")

    def _run(self, command: Sequence[str], seconds: float, env: Mapping[str, str]) -> ProgramResult:
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", _SUPERVISOR, str(os.getpid()), str(self.lock), *command],
                cwd=self.folder,
                env={**env, TICKET: new_ticket(self.lock)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(self.lock,) if self.lock >= 0 else (),
                process_group=0,  # Ctrl-C reaches us alone
            )
            try:
                code, reason = _wait_for_exit(process, seconds, output.fileno(), self.is_replaced)
            finally:
                if process.poll() is None:
                    process.terminate()
                    _wait_for_termination(process, command[0])
                _refuse_survivors(self.lock, command[0])
            size = output.seek(0, os.SEEK_END)
            output.seek(max(0, size - _MAX_KEPT_BYTES))
            return ProgramResult(code, output.read().decode("utf-8", "replace") + reason)


def _refuse_survivors(lock: int, name: str) -> None:
    """Ends what the supervisor left running, because it was killed itself."""
    with suppress(CannotInspectProcesses):
        if end_survivors(lock):
            return
    raise StillRunning(f"{name} may still be running: end it; until then, no other deployment can start")


def _wait_for_termination(process: subprocess.Popen[bytes], name: str) -> None:
    try:
        process.wait(_TERMINATION_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise StillRunning(f"{name} could not be ended: end it; until then, no other deployment can start") from None


def _wait_for_exit(
    process: subprocess.Popen[bytes], seconds: float, output: int, is_replaced: Callable[[], bool]
) -> tuple[int | None, str]:
    """Its exit code, None where its time is over, and why it has to be ended before, if it has to."""
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        try:
            return process.wait(max(0.0, min(left, _POLL_INTERVAL))), ""
        except subprocess.TimeoutExpired:
            if left <= _POLL_INTERVAL:
                return None, ""
        if os.fstat(output).st_size > _MAX_OUTPUT_BYTES:
            return 128 + signal.SIGTERM, f"\nended: it printed more than {_MAX_OUTPUT_BYTES >> 20} MiB"
        if is_replaced():
            return 128 + signal.SIGTERM, "\nended: another deployment took over"
