"""Secrets: references to where they lie, resolved at first use and only in the process that gathers evidence."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.child_processes import child_environment, end_with_us

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.base import SecretRef

SHORTEST = 6  # characters; redacting anything shorter would blank the report
LONGEST = 64 * 1024  # bytes


class SecretError(ValueError):
    """A reference that gives no usable secret; says which reference and how to fix it, never the value."""


def describe(ref: SecretRef) -> str:
    """The reference in words: `environment variable NAME`, `file PATH` or `command PROGRAM`."""
    if ref.env is not None:
        return f"environment variable {ref.env}"
    if ref.file is not None:
        return f"file {ref.file}"
    return f"command {ref.command[0] if ref.command else '(none)'}"  # arguments may hold what nobody should read


def readable(places: Iterable[tuple[str, str]], root: Path) -> Iterator[str]:
    """The secrets at these places, `(env or file, name)`; what is not there or no usable secret is left out."""
    from pytest_prodcheck.environments.sections.base import SecretRef

    for kind, name in places:
        if kind == "file" and not (root / name).is_file():  # a pipe would be waited for
            continue
        with contextlib.suppress(SecretError):
            yield SecretResolver(root).resolve(SecretRef.model_validate({kind: name}))


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: str | None = None
    error: str = ""


class SecretResolver:
    """Resolves references once each; safe for use by several threads.

    root: folder of prodcheck.toml, which relative files and commands are taken from. passed: names of environment
    variables, globs allowed, that commands may see beside the usual ones.
    """

    def __init__(self, root: Path, passed: tuple[str, ...] = ()) -> None:
        self._root, self._passed = root, passed
        self._slots: dict[tuple[object, ...], _Slot] = {}
        self._lock = threading.Lock()

    def resolve(self, ref: SecretRef, timeout: float = 10.0) -> str:
        """The secret's value; raises SecretError. timeout: seconds that a command may take."""
        with self._lock:
            slot = self._slots.setdefault((ref.env, ref.file, ref.command), _Slot())
        with slot.lock:  # one lock a reference: a slow command holds up only those who wait for it
            if slot.value is None and not slot.error:
                try:
                    slot.value = _checked(self._read(ref, timeout), ref)
                except SecretError as error:
                    slot.error = str(error)
            if slot.value is None:
                raise SecretError(slot.error)
            return slot.value

    def _read(self, ref: SecretRef, timeout: float) -> bytes:
        if ref.env is not None:
            return _from_environment(ref.env)
        if ref.file is not None:
            return _from_file(self._root / ref.file, describe(ref))
        return _from_command(ref.command or (), self._root, timeout, describe(ref), self._passed)


def _checked(raw: bytes, ref: SecretRef) -> str:
    if len(raw) > LONGEST:
        raise SecretError(f"{describe(ref)} returns more than {LONGEST // 1024} KiB, which is too long for a secret")
    try:
        value = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError(f"{describe(ref)} returns bytes that are not UTF-8 text") from None
    value = value[:-1] if value.endswith("\n") else value
    value = value[:-1] if value.endswith("\r") else value
    if not value:
        raise SecretError(f"{describe(ref)} is empty")
    if "\0" in value:
        raise SecretError(f"{describe(ref)} returns a NUL character, which a password cannot contain")
    if len(value) < SHORTEST:
        raise SecretError(
            f"{describe(ref)} returns a secret of fewer than {SHORTEST} characters, "
            "which cannot be redacted safely in reports: use a longer one"
        )
    return value


def _from_environment(name: str) -> bytes:
    value = os.environb.get(os.fsencode(name)) if name and "\0" not in name else None
    if value is None:
        raise SecretError(f"environment variable {name} is not set: export it in the shell or job that runs prodcheck")
    return value


def _from_file(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST + 1)
    except FileNotFoundError:
        raise SecretError(f"{what} does not exist: create or mount it (expected at {path})") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
        raise SecretError(f"{what} cannot be read: {reason} ({path})") from None


def _from_command(
    command: tuple[str, ...], root: Path, timeout: float, what: str, passed: tuple[str, ...] = ()
) -> bytes:
    """Standard output of a program run without a shell; its standard error is not shown: it may hold the secret."""
    try:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=child_environment(command[0], passed),
            preexec_fn=end_with_us(signal.SIGKILL),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError, IndexError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable command"
        raise SecretError(f"{what} cannot be started: {reason}; install it or give its full path") from None
    with process:
        try:
            output = _read(process, time.monotonic() + timeout)
        finally:  # also what it started: a grandchild that holds the pipe open would hang us
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    if output is None:
        raise SecretError(f"{what} did not finish within {timeout:g} s; run it by hand to see why")
    if process.returncode != 0 and len(output) <= LONGEST:
        raise SecretError(f"{what} ended with exit code {process.returncode}; run it by hand to see why")
    return output


def _read(process: subprocess.Popen[bytes], deadline: float) -> bytes | None:
    """All that a process writes, until it ended or wrote too much; None after the deadline."""
    assert process.stdout is not None
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(output) <= LONGEST:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            part = os.read(process.stdout.fileno(), LONGEST)
            if not part:
                break
            output += part
        else:
            return output
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None
    return output
