"""The TLS scans of a run: one process of sslyze for all servers, asked line by line, replaced where it crashes."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pytest_prodcheck.child_processes import child_environment, python_path
from pytest_prodcheck.records import EvidenceProblem, Problem, ProblemKind

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

PROGRAM = Path(__file__).with_name("sslyze_process.py")
LONGEST = 4 * 1024 * 1024  # characters of one answer
_KINDS: tuple[ProblemKind, ...] = ("timeout", "refused", "tls", "protocol", "configuration", "internal")
_HINTS = {
    "timeout": "is it overloaded, does it limit connections, or is a firewall in between?",
    "refused": "does it run, and is this its port?",
    "tls": "does this port speak TLS? does it need another STARTTLS protocol or a client certificate?",
}
_ALONE = threading.Semaphore(2)  # processes for single servers at a time


class Scanner:
    """Asks sslyze in a process that is started at the first question."""

    def __init__(self, program: tuple[str, ...] = (sys.executable, "-P", str(PROGRAM))) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def ask(self, request: dict[str, Any], where: str, deadline: Deadline) -> dict[str, Any]:
        """What was found out; raises EvidenceProblem where it could not be.

        Where the process crashes while it works for several, each is asked again alone: the others must not suffer.
        """
        with self._lock:
            if self._process is None or self._process.ended:
                self._process = _Process(self._program)
            shared = self._process
        answer = shared.ask(request, deadline)
        if answer is None:
            with _ALONE:
                single = _Process(self._program)
                try:
                    answer = single.ask(request, deadline)
                finally:
                    single.close()
                if answer is None:
                    what = f"{where}: sslyze ended with {single.exit_text} when it scanned this server"
                    raise EvidenceProblem(Problem("internal", what, "run sslyze by hand against it to see why"))
        if "missing" in answer:
            what, hint = "scanning TLS servers needs sslyze", "pip install 'pytest-prodcheck[tls]'"
            raise EvidenceProblem(Problem("missing-extra", what, hint))
        if "found" in answer:
            found: dict[str, Any] = answer["found"]
            return found
        known: list[ProblemKind] = [each for each in _KINDS if each == answer.get("kind")]
        kind: ProblemKind = known[0] if known else "internal"
        raise EvidenceProblem(Problem(kind, f"{where}: {answer.get('problem')}", _HINTS.get(kind, "")))

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            if self._process is not None:
                self._process.close()


class _Process:
    def __init__(self, program: tuple[str, ...]) -> None:
        # a session of its own: Ctrl-C is for us, and the process ends when its stdin does
        self._child = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            # sslyze writes sets to texts
            env=child_environment(program[0], also={**python_path(), "PYTHONHASHSEED": "0"}),
        )  # fmt: skip
        self._changed = threading.Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self.ended = False
        self._garbled = False
        self._listener = threading.Thread(target=self._read_answers, name="prodcheck-sslyze", daemon=True)
        self._listener.start()

    @property
    def exit_text(self) -> str:
        """How it ended, in words."""
        if self._garbled:
            return "an answer that is none"
        code = self._child.poll()
        if code is None or code >= 0:
            return f"exit code {code}"
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
        return f"signal {-code}"

    def _read_answers(self) -> None:
        output: IO[bytes] | None = self._child.stdout
        assert output is not None
        with output:
            try:
                while line := output.readline(LONGEST):
                    answer = json.loads(line)
                    with self._changed:
                        # what is not about one question (a missing package) answers all
                        self._answers[int(answer.get("id", 0))] = answer
                        self._changed.notify_all()
            except (OSError, ValueError, TypeError, AttributeError):
                self._garbled = True
        with contextlib.suppress(OSError):
            self._child.kill()
        self._child.wait()
        with self._changed:
            self.ended = True
            self._close_stdin()
            self._changed.notify_all()

    def ask(self, request: dict[str, Any], deadline: Deadline) -> dict[str, Any] | None:
        """The answer; None where the process ended first. Raises EvidenceProblem (timeout)."""
        stdin: IO[bytes] | None = self._child.stdin
        assert stdin is not None
        with self._changed:
            self._asked += 1
            number = self._asked
            with contextlib.suppress(OSError, ValueError):
                stdin.write(json.dumps({**request, "id": number}).encode() + b"\n")
                stdin.flush()
            while number not in self._answers and 0 not in self._answers and not self.ended:
                left = deadline.time_left()
                if left <= 0:
                    deadline.seconds_left()  # raises
                self._changed.wait(left)
            return self._answers.pop(number, self._answers.get(0))

    def close(self) -> None:
        """Ends it at once."""
        with contextlib.suppress(OSError, ValueError):
            self._child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(5)
        with self._changed:
            self._close_stdin()
        self._listener.join(5)

    def _close_stdin(self) -> None:
        if self._child.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self._child.stdin.close()
