"""Times whole processes side by side and prints ratios: these machines are noisy, absolute times are not stable."""

from __future__ import annotations

import atexit
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
PYTEST = (PYTHON, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Taken:
    """What a whole process took: seconds by the clock, seconds of processor (user and system), megabytes at most."""

    wall: float
    cpu: float
    memory: float


def clean_environ() -> dict[str, str]:
    """This process's environment without what would change pytest or hide compiled files, and with `as_installed`."""
    drop = ("PYTEST", "PRODCHECK", "PYTHONDONTWRITEBYTECODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
    return {**kept, "PYTHONPATH": as_installed()}


@cache
def as_installed() -> str:
    """A folder with what a wheel holds: beside the checkout's suites lies a conftest, for which each check pays."""
    folder = tempfile.mkdtemp(prefix="prodcheck-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for package in ("pytest_prodcheck", "suites"):
        shutil.copytree(CHECKOUT / package, Path(folder) / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def measure(words: Sequence[str], folder: Path) -> Taken:
    """One process, start to end; raises RuntimeError where it does not end with 0."""
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(words, cwd=folder, env=clean_environ(), stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            text = said.read().decode(errors="replace")[-3000:]
            raise RuntimeError(f"{' '.join(words)}: exit {process.returncode}\n{text}")
    return Taken(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def side_by_side(folder: Path, runs: int, **commands: Sequence[str]) -> dict[str, Taken]:
    """The medians of each command, run in turn A B A B …, one warm-up each."""
    taken: dict[str, list[Taken]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, words in commands.items():
            each = measure(words, folder)
            if number:
                taken[name].append(each)
    return {name: _medians(each) for name, each in taken.items()}


def _medians(all_taken: Sequence[Taken]) -> Taken:
    wall, cpu, memory = ([getattr(each, name) for each in all_taken] for name in ("wall", "cpu", "memory"))
    return Taken(statistics.median(wall), statistics.median(cpu), statistics.median(memory))


def row(what: str, ratio: float, bound: float, aside: str = "") -> bool:
    """Prints one line of the table; returns whether the bound is kept."""
    good = ratio <= bound
    print(f"{'ok  ' if good else 'OVER'}  {ratio:6.2f} x  (at most {bound:g} x)  {what}{aside}", flush=True)
    return good
