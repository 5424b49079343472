"""Asks gates by `prodcheck run`, in a process of its own: the same checks, verdict and admission as everywhere."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.plan import Plan
    from pytest_prodcheck.deploy.programs import Runner

OPEN, BLOCKED, USAGE, CANNOT_TELL, REFUSED = range(5)
WORDS = {0: "open", 1: "blocked", 2: "usage error", 3: "cannot tell", 4: "refused"}
_LONGEST = 3600.0  # seconds of one run; its own deadlines end it long before
_SHOWN = 40  # lines of what a closed gate said


@dataclass(frozen=True)
class Answer:
    """A gate's code (0 open, 1 blocked, 2 usage, 3 cannot tell, 4 refused), and what it said."""

    code: int
    text: str = ""


class Gates(Protocol):
    """Whoever answers for gates."""

    def ask(self, gate: str, slot: str, revision: str, wait: float = 0.0) -> Answer:
        """The answer of a gate about a slot ("" for what is live), from evidence gathered now."""


class RunGates:
    """By `prodcheck run`, from the project's folder. wait: seconds that a copy has to become ready."""

    def __init__(self, plan: Plan, runner: Runner) -> None:
        self._plan, self._runner = plan, runner

    def ask(self, gate: str, slot: str, revision: str, wait: float = 0.0) -> Answer:
        """Whatever is no code of a gate (a killed process, a time-out) cannot tell."""
        words = [sys.executable, "-m", "pytest_prodcheck", "run", gate, f"--env={self._plan.environment}"]
        words += [f"--unit={self._plan.unit}"] if self._plan.unit else []
        words += [f"--slot={slot}"] if slot else []
        words += [f"--wait={wait:.3f}"] if wait else []
        words += [f"--revision={revision}", *self._plan.allow]
        package = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(each for each in (os.environ.get("PYTHONPATH", ""), package) if each)
        env = {**os.environ, "PYTHONPATH": paths, "PRODCHECK_REVISION": revision}
        done = self._runner.run(words, _LONGEST + wait, env)
        code = done.code if done.code in WORDS else CANNOT_TELL
        lines = done.text.rstrip().splitlines()
        return Answer(code if code is not None else CANNOT_TELL, "\n".join(lines[-_SHOWN:]))
