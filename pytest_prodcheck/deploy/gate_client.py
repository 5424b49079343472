"""Asks gates by `prodcheck run`, in a process of its own: the same checks, verdict and admission as everywhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_prodcheck.gates.decision import decide
from pytest_prodcheck.gates.verdict_files import VerdictQuery

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.plan import Plan
    from pytest_prodcheck.deploy.programs import ProgramRunner

OPEN, BLOCKED, USAGE, CANNOT_TELL, REFUSED = range(5)
CODE_NAMES = {0: "open", 1: "blocked", 2: "usage error", 3: "cannot tell", 4: "refused"}
_TIMEOUT_SECONDS = 3600.0  # seconds of one run; its own deadlines end it long before
_MAX_LINES = 40  # lines of what a closed gate said


@dataclass(frozen=True)
class GateAnswer:
    """A gate's code (0 open, 1 blocked, 2 usage, 3 cannot tell, 4 refused), and what it said.

    observed: what an open gate would be if it were not only observed (`observe_until`), "" where it is open.
    """

    code: int
    text: str = ""
    observed: str = ""


class GateClient(Protocol):
    """Runs gates."""

    def ask(self, gate: str, slot: str, revision: str, wait: float = 0.0) -> GateAnswer:
        """The answer of a gate about a slot ("" for what is live), from evidence gathered now."""


class SubprocessGateClient:
    """By `prodcheck run`, from the project's folder. wait: seconds that a copy has to become ready."""

    def __init__(self, plan: Plan, runner: ProgramRunner) -> None:
        self._plan, self._runner = plan, runner

    def ask(self, gate: str, slot: str, revision: str, wait: float = 0.0) -> GateAnswer:
        """Whatever is no code of a gate (a killed process, a time-out) cannot tell."""
        command = [sys.executable, "-m", "pytest_prodcheck", "run", gate, f"--env={self._plan.environment}"]
        command += [f"--unit={self._plan.unit}"] if self._plan.unit else []
        command += [f"--slot={slot}"] if slot else []
        command += [f"--wait={wait:.3f}"] if wait else []
        command += [f"--revision={revision}", *self._plan.allow]
        package_root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(path for path in (os.environ.get("PYTHONPATH", ""), package_root) if path)
        env = {**os.environ, "PYTHONPATH": paths, "PRODCHECK_REVISION": revision}
        result = self._runner.run(command, _TIMEOUT_SECONDS + wait, env)
        code = result.code if result.code in CODE_NAMES else CANNOT_TELL
        lines = result.text.rstrip().splitlines()
        observed = self._observed(gate, slot, revision) if code == OPEN else ""
        return GateAnswer(code if code is not None else CANNOT_TELL, "\n".join(lines[-_MAX_LINES:]), observed)

    def _observed(self, gate: str, slot: str, revision: str) -> str:
        ask = VerdictQuery(gate, self._plan.environment, unit=self._plan.unit, slot=slot, revision=revision)
        decision = decide(ask, time.time(), str(self._runner.folder))
        found = decision.document.get("observation") if decision.document and not decision.overrides else None
        return str(found["status"]) if isinstance(found, dict) and found["code"] != OPEN else ""


class UnchangedGateClient:
    """Has another one answer, as long as the settings are those of the plan: gates read them anew each time.

    Whether the old revision is good may be asked with any settings: a way back has to be possible.
    """

    def __init__(self, client: GateClient, plan: Plan, digest_now: Callable[[], str]) -> None:
        self._client, self._plan, self._digest_now = client, plan, digest_now

    def ask(self, gate: str, slot: str, revision: str, wait: float = 0.0) -> GateAnswer:
        """Cannot tell where somebody changed prodcheck.toml since the plan was made."""
        if revision == self._plan.revision and self._digest_now() != self._plan.configuration:
            return GateAnswer(CANNOT_TELL, "prodcheck.toml was changed since the plan was made: deploy again")
        return self._client.ask(gate, slot, revision, wait)
