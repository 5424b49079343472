"""Runs an installed scanner: bounded in time and output, ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.child_processes import child_environment, end_with_us
from pytest_prodcheck.evidence.tools import program_errors
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.vulnerabilities import Vulnerabilities
    from pytest_prodcheck.evidence.deadlines import Deadline

# how prodcheck runs the scanner of a format; "{image}" is where the image goes, further arguments stand before it
KNOWN = {
    "trivy": ("trivy", "image", "--quiet", "--format", "json", "--list-all-pkgs", "{image}"),
    "grype": ("grype", "--quiet", "--output", "json", "{image}"),
    "pip-audit": ("pip-audit", "--progress-spinner", "off", "--format", "json"),
    "kube-bench": ("kube-bench", "--json"),
    "gatekeeper": ("gator", "test", "--output=json", "--stats"),
}
# exit codes beside 0 that go with a whole report: pip-audit and gator say by 1 that they found something
FINDS: dict[str, tuple[int, ...]] = {"pip-audit": (0, 1), "gatekeeper": (0, 1)}
_TAIL = 2000  # bytes of its standard error that are kept


def command_of(report: Vulnerabilities) -> tuple[str, ...]:
    """Program and arguments, placeholders not filled in."""
    if report.command is not None:
        return report.command
    known, further = KNOWN[report.format], report.run or ()
    at = known.index("{image}") if "{image}" in known else len(known)
    return (*known[:at], *further, *(report.image or "" for _ in known[at:]))


def run(
    command: Sequence[str], codes: Sequence[int], most: int, folder: Path, deadline: Deadline,
    clean: Callable[[str], str], passed: Sequence[str] = (),
) -> bytes:  # fmt: skip
    """Its standard output; raises EvidenceProblem where it is not installed, fails, hangs or says too much.

    clean: takes secrets out of what it said, before that is cut to what a message holds. passed: environment variables
    that it may see beside its own.
    """
    name = command[0]
    try:
        child = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env=child_environment(name, passed),
            preexec_fn=end_with_us(signal.SIGKILL),
        )  # fmt: skip
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable command"
        hint = "install it where prodcheck runs, or let the pipeline write a report and declare `report`"
        raise EvidenceProblem(Problem("configuration", f"{name} cannot be started: {why}", hint)) from None
    with child:
        try:
            output, said = _read(child, most, deadline, name)
            code = child.wait(deadline.seconds_left())
        except subprocess.TimeoutExpired:
            raise EvidenceProblem(Problem("timeout", f"{name}: not done within {deadline.seconds:.3g} s")) from None
        finally:  # also what it started, which may hold the pipes open
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
    if code not in codes:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = program_errors.last_words(clean(said.decode("utf-8", "replace")))
        raise EvidenceProblem(Problem("protocol", f"{name} {how}" + (f": {last}" if last else "")))
    return output


def _read(child: subprocess.Popen[bytes], most: int, deadline: Deadline, name: str) -> tuple[bytes, bytes]:
    """All of its standard output and the end of its standard error."""
    pieces: list[bytes] = []
    size, tail = 0, b""
    with selectors.DefaultSelector() as selector:
        for stream in (child.stdout, child.stderr):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            if deadline.expired:
                raise subprocess.TimeoutExpired(name, deadline.seconds)
            for key, _ in selector.select(deadline.seconds_left()):
                stream_: Any = key.fileobj
                piece = os.read(stream_.fileno(), 65_536)
                if not piece:
                    selector.unregister(stream_)
                elif stream_ is child.stderr:
                    tail = (tail + piece)[-_TAIL:]
                else:
                    pieces.append(piece)
                    size += len(piece)
                if size > most:
                    hint = "raise `largest`"
                    raise EvidenceProblem(Problem("too-large", f"{name} wrote more than {most} bytes", hint))
    return b"".join(pieces), tail
