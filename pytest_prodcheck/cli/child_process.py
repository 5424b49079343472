"""Runs one child process and passes signals on to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from pytest_prodcheck.child_processes import end_with_us

GRACE = 5.0  # seconds that a child has after the first signal


class Child:
    """A child process; `signalled` is the first SIGINT or SIGTERM that came meanwhile, else 0.

    own_group: the child gets a process group of its own, so that Ctrl-C reaches it once, through us, and nothing of it
    is left behind when it has to be killed, nor where we are killed; such a child has no standard input.
    folder: where it starts, None: here. quiet: what it writes to standard output is dropped.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        own_group: bool,
        env: Mapping[str, str] | None = None,
        folder: str | None = None,
        quiet: bool = False,
    ) -> None:
        self.command, self.own_group, self.env = list(command), own_group, env
        self.folder, self.quiet = folder, quiet
        self.signalled = 0
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Runs it to its end and returns its exit code, negative for a signal; raises OSError where it cannot start."""
        before = {number: signal.signal(number, self._pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.folder,
                stdout=subprocess.DEVNULL if self.quiet else None,
                process_group=0 if self.own_group else None,
                stdin=subprocess.DEVNULL if self.own_group else None,
                pass_fds=_descriptors(self.command),
                preexec_fn=end_with_us(signal.SIGKILL) if self.own_group else None,
            )
            if self.signalled:
                self._send(self.signalled)
            return self._wait(self._process)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        while not self.signalled:
            try:
                return process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                continue
        if not self.own_group:
            return process.wait()
        try:
            return process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        first, self.signalled = not self.signalled, self.signalled or number
        # from a terminal, Ctrl-C has already reached a child of our own group
        by_terminal = number == signal.SIGINT and not self.own_group and sys.stdin is not None and sys.stdin.isatty()
        if first and not by_terminal:
            self._send(number)
        elif not first and number == signal.SIGTERM:  # whoever asks twice means it
            self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def _descriptors(command: Sequence[str]) -> list[int]:
    """The open files that a command names, as `--report=/dev/fd/63` does where a shell reads `>(…)`."""
    found = (re.search(r"/(?:dev|proc/self)/fd/(\d+)$", word) for word in command)
    return [int(each[1]) for each in found if each is not None and int(each[1]) > 2]
