"""What a forked run starts is forked as well: the workers of pytest-xdist, and the pytest of `prodcheck run`.

A worker is forked before the run begins, and waits until execnet wants one: it has nothing of the run. Half a second of
processor less each.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import IO, Any

MOST = 4  # workers that wait; more are new interpreters
_READ_BY_PYTHON = ("PYTHON", "LC_", "LANG", "COV")  # what an interpreter reads once, when it starts
_HARMLESS = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")


def read_by_python(environ: Mapping[str, str]) -> dict[str, str]:
    """Where these differ, only a new interpreter will do."""
    return {key: value for key, value in environ.items() if key.startswith(_READ_BY_PYTHON) and key not in _HARMLESS}


class ForkedWorker:
    """As much of a `subprocess.Popen` as execnet uses."""

    def __init__(self, others: list[ForkedWorker]) -> None:
        their_input, our_output = os.pipe()
        our_input, their_output = os.pipe()
        self.returncode: int | None = None
        self.stdin: IO[bytes] = os.fdopen(our_output, "wb", 0)
        self.stdout: IO[bytes] = os.fdopen(our_input, "rb", 0)
        self.pid = os.fork()
        if self.pid:
            os.close(their_input)
            os.close(their_output)
            return
        for each in (self, *others):  # else it would not notice that the run is over
            each.close()
        _wait_and_serve(their_input, their_output)

    def close(self) -> None:
        self.stdin.close()
        self.stdout.close()

    def begin(self) -> ForkedWorker:
        """Lets it go on, with the environment and the folder of now."""
        state = pickle.dumps((dict(os.environ), os.getcwd(), sys.path))
        self.stdin.write(len(state).to_bytes(8, "big") + state)
        return self

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def _wait_and_serve(source: int, sink: int) -> None:
    """Never returns."""

    def serve() -> None:
        with os.fdopen(os.dup(source), "rb", 0) as waiting:
            size = int.from_bytes(_exactly(waiting, 8), "big")
            if not size:
                os._exit(0)  # nobody wanted it
            environ, folder, path = pickle.loads(_exactly(waiting, size))
        os.environ.clear()
        os.environ.update(environ)
        os.chdir(folder)
        sys.path[:] = path
        for descriptor, place in ((source, 0), (sink, 1)):
            os.dup2(descriptor, place)
            os.close(descriptor)
        sys.argv = ["-c"]
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        exec("import sys;exec(eval(sys.stdin.readline()))", {"__name__": "__main__"})  # as execnet's new ones do

    _end_after(serve)


def _end_after(act: Callable[[], object]) -> None:
    """Ends this process as an interpreter ends when its program has run."""
    code = 1
    try:
        act()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _exactly(source: IO[bytes], size: int) -> bytes:
    found = b""
    while len(found) < size and (more := source.read(size - len(found))):
        found += more
    return found


def fork_workers_of(words: Sequence[str]) -> None:
    """Forks as many as `-n N` among the arguments asks for, and has execnet take them."""
    asked = [after for word, after in pairwise(words) if word == "-n"]
    if not asked or not asked[-1].isdigit():
        return
    from execnet import gateway_base, gateway_io

    before = read_by_python(os.environ)
    waiting: list[ForkedWorker] = []
    for _ in range(min(int(asked[-1]), MOST)):
        waiting.append(ForkedWorker(waiting))
    begin = gateway_io.Popen2IOMaster.__init__

    def taken(self: gateway_io.Popen2IOMaster, args: Any, execmodel: Any) -> None:
        if not waiting or gateway_io.popen_bootstrapline not in args or read_by_python(os.environ) != before:
            begin(self, args, execmodel)
            return
        self.popen = worker = waiting.pop().begin()
        gateway_base.Popen2IO.__init__(self, worker.stdin, worker.stdout, execmodel=execmodel)

    gateway_io.Popen2IOMaster.__init__ = taken  # type: ignore[method-assign]


class ForkedPytest:
    """As much of a `subprocess.Popen` of `python -m pytest …` as `prodcheck run` uses."""

    def __init__(
        self, command: Sequence[str], *, stdout: int | None, process_group: int | None, pass_fds: Sequence[int],
        preexec_fn: Callable[[], object] | None, **_same: object,
    ) -> None:  # fmt: skip
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid:
            return
        atexit._clear()
        os.setpgid(0, process_group or 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for place in (0, 1) if stdout == subprocess.DEVNULL else (0,):
            os.dup2(nothing, place)
        for each in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, *pass_fds}:
            with contextlib.suppress(OSError):
                os.close(each)
        if preexec_fn is not None:
            preexec_fn()
        _, _, module, *words = command
        sys.argv = [module, *words]
        fork_workers_of(words)
        _end_after(lambda: runpy.run_module(module, run_name="__main__", alter_sys=True))

    def poll(self) -> int | None:
        if self.returncode is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def wait(self, timeout: float = float("inf")) -> int:
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("pytest", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def fork_pytest_of_runs() -> None:
    """Has `prodcheck run` fork its pytest."""
    from pytest_prodcheck.cli import child_process

    class Forking:
        """The module `subprocess`, as that one uses it."""

        DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

        @staticmethod
        def Popen(command: Sequence[str], **more: Any) -> Any:
            forked = command[:3] == [sys.executable, "-m", "pytest"] and more["env"] is None and more["cwd"] is None
            return (ForkedPytest if forked else subprocess.Popen)(command, **more)

    vars(child_process)["subprocess"] = Forking
