"""`python -m MODULE …` as a process forked from one that has loaded it already: a second of processor less each time.

It has arguments, a folder, an environment, output and an exit code of its own, as a new interpreter has. `make soak`
starts new ones.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.forked_children import fork_pytest_of_runs, fork_workers_of, read_by_python
from tests.soak import SOAK

# one server for all tests of a process: a second list of what it loads would replace the first
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["tests.warm"])


def run(
    module: str, words: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run([python, "-m", module, *words])` returns; raises TimeoutExpired after so many seconds."""
    command = [sys.executable, "-m", module, *words]
    if SOAK or read_by_python(env) != read_by_python(os.environ):
        return subprocess.run(
            command,
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=timeout,
            check=False,
        )
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        names = [f"/proc/{os.getpid()}/fd/{each.fileno()}" for each in (out, err)]
        process = FORKING.Process(target=_become, args=(module, list(words), str(cwd), dict(env), *names), daemon=False)
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command, timeout)
        texts = []
        for each in (out, err):
            each.seek(0)
            texts.append(each.read().decode(errors="backslashreplace"))
        return subprocess.CompletedProcess(command, process.exitcode, *texts)


def _become(module: str, words: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    """Makes this forked process look like a new one, and runs the module in it."""
    os.environ.clear()
    os.environ.update(env)
    sys.dont_write_bytecode = bool(env.get("PYTHONDONTWRITEBYTECODE"))
    for name, descriptor in ((out, 1), (err, 2)):
        opened = os.open(name, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(cwd)
    sys.path[0:0] = [cwd]  # as `-m` does
    sys.argv = [module, *words]
    if module == "pytest":
        fork_workers_of(words)
    else:
        fork_pytest_of_runs()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
