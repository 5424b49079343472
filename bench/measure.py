"""Times whole processes side by side and prints ratios: these machines are noisy, absolute times are not stable."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PYTHON = sys.executable


def clean_environ(**more: str) -> dict[str, str]:
    """This process's environment without what would change pytest or hide compiled files."""
    drop = ("PYTEST", "PRODCHECK", "PYTHONDONTWRITEBYTECODE")
    return {key: value for key, value in os.environ.items() if not key.startswith(drop)} | more


def seconds(words: Sequence[str], folder: Path, ok: Sequence[int] = (0,)) -> float:
    """How long one process takes, start to end; raises for an exit code that is not among `ok`."""
    started = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=clean_environ(), capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    if done.returncode not in ok:
        raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return taken


def side_by_side(folder: Path, runs: int, **commands: Sequence[str]) -> dict[str, float]:
    """The median of each command, run in turn A B A B …, one warm-up each."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, words in commands.items():
            each = seconds(words, folder)
            if number:
                taken[name].append(each)
    return {name: statistics.median(values) for name, values in taken.items()}


def row(what: str, ratio: float, bound: float) -> bool:
    """Prints one line of the table; returns whether the bound is kept."""
    good = ratio <= bound
    print(f"{'ok  ' if good else 'OVER'}  {ratio:6.2f} x  (at most {bound:g} x)  {what}", flush=True)
    return good
