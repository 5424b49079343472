"""Programs that collectors run: without a shell, bounded in time and output, ended with all they started.

The kernel ends them too where we are killed (Linux): PR_SET_PDEATHSIG follows the thread that started the child, which
here waits for it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from pytest_prodcheck.child_processes import child_environment, end_with_us
from pytest_prodcheck.evidence.tools import program_errors
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

MOST_OUTPUT = 16 * 1024 * 1024  # bytes of one program: a catalogue of ten thousand backups is smaller


class User(Protocol):
    """Whom a program runs as."""

    @property
    def pw_uid(self) -> int:
        """Its user's number."""

    @property
    def pw_gid(self) -> int:
        """Its group's number."""


@dataclass(frozen=True)
class CompletedProgram:
    """How a program ended. words: what was run. output, errors: as text, at most `MOST_OUTPUT` bytes each."""

    words: tuple[str, ...]
    code: int
    output: str
    errors: str

    @property
    def error_text(self) -> str:
        """What it complains of: the end of its error output, else of its output, on one line, without rows."""
        return program_errors.last_words(self.errors.strip() or self.output) or f"ended with {self.code}"


def environment(program: str = "") -> dict[str, str]:
    """Ours without what would lead PostgreSQL's programs elsewhere (PGHOST, …) or change the language of answers."""
    return child_environment(program, also={"LC_ALL": "C", "TZ": "UTC"})


def servers_user() -> pwd.struct_passwd | None:
    """Whom a PostgreSQL server runs as: None (ourselves) unless we are root, whom it refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    what = "running as root, and there is neither a user postgres nor nobody to run PostgreSQL as"
    raise EvidenceProblem(Problem("configuration", what, "run prodcheck as an ordinary user"))


def start(
    words: Sequence[str], *, folder: Path, user: User | None = None, death: int = signal.SIGKILL,
    output: int | IO[bytes] = subprocess.DEVNULL, errors: int | IO[bytes] = subprocess.DEVNULL,
    environ: Mapping[str, str] | None = None, only: Mapping[str, str] | None = None,
    given: int | IO[bytes] = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:  # fmt: skip
    """Starts a program in a session of its own; raises EvidenceProblem where it is not there.

    environ: variables beside those of `environment`. only: its whole environment. given: its standard input.
    """
    identity: dict[str, Any] = {}
    if user is not None:
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        return subprocess.Popen(
            list(words), cwd=folder, stdin=given, stdout=output, stderr=errors, start_new_session=True,
            env=dict(only) if only is not None else {**environment(words[0]), **(environ or {})},
            preexec_fn=end_with_us(death), **identity,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "not a usable command"
        hint = "install it, or give its full path"
        raise EvidenceProblem(Problem("configuration", f"{words[0]} cannot be started: {said}", hint)) from None


def end(child: subprocess.Popen[bytes], number: int = signal.SIGKILL, seconds: float = 5.0) -> None:
    """Ends a program and its whole process group."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            child.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(seconds)


def run(
    words: Sequence[str], deadline: Deadline, *, folder: Path, user: User | None = None,
    environ: Mapping[str, str] | None = None, discard: bool = False, only: Mapping[str, str] | None = None,
    given: int | IO[bytes] = subprocess.DEVNULL,
) -> CompletedProgram:  # fmt: skip
    """Runs a program to its end; raises EvidenceProblem (timeout, too-large, configuration).

    discard: its standard output is of no interest and may be of any size.
    """
    out = subprocess.DEVNULL if discard else subprocess.PIPE
    child = start(
        words, folder=folder, user=user, output=out, errors=subprocess.PIPE, environ=environ, only=only,
        given=given,
    )  # fmt: skip
    try:
        output, errors = _read(child, words[0], deadline)
        child.wait(max(deadline.time_left(), 0.01))
    except subprocess.TimeoutExpired:
        raise EvidenceProblem(_timeout_problem(words[0], deadline)) from None
    finally:
        end(child)
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()
    return CompletedProgram(
        tuple(words), child.returncode, output.decode(errors="replace"), errors.decode(errors="replace")
    )


def _timeout_problem(program: str, deadline: Deadline) -> Problem:
    return Problem("timeout", f"{program} did not end within {deadline.seconds:.3g} s", "run it by hand to see why")


def _read(child: subprocess.Popen[bytes], program: str, deadline: Deadline) -> tuple[bytes, bytes]:
    parts: dict[Any, bytearray] = {each: bytearray() for each in (child.stdout, child.stderr) if each is not None}
    with selectors.DefaultSelector() as selector:
        for stream in parts:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(deadline.time_left(), 0.0))
            if not ready and deadline.expired:
                raise EvidenceProblem(_timeout_problem(program, deadline))
            for key, _ in ready:
                part = os.read(key.fd, 65536)
                if not part:
                    selector.unregister(key.fileobj)
                parts[key.fileobj] += part
                if len(parts[key.fileobj]) > MOST_OUTPUT:
                    what = f"{program} printed more than {MOST_OUTPUT // 1024 // 1024} MB"
                    raise EvidenceProblem(Problem("too-large", what))
    return bytes(parts.get(child.stdout, b"")), bytes(parts.get(child.stderr, b""))


def wait_until(condition: Callable[[], bool], deadline: Deadline, pause: float = 0.02) -> Iterator[None]:
    """Yields between looks until the condition holds; raises EvidenceProblem (timeout) at the deadline."""
    while not condition():
        yield
        deadline.seconds_left()
        time.sleep(pause)
        pause = min(pause * 1.2, 0.25)
