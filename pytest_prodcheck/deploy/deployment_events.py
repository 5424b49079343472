"""Records the result of a deployment in the event log."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.child_processes import child_environment
from pytest_prodcheck.deploy.deployer import DONE, ROLLED_BACK

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.plan import Plan
    from pytest_prodcheck.environments.loading import Configuration


def record_event(
    configuration: Configuration, state_folder: Path, plan: Plan, code: int | None, journal: str, ended_at: float
) -> str:
    """Adds "deployed" or "rolled-back"; returns why it could not, "" where it could or there is nothing to note.

    ended_at: UTC epoch seconds; the same event is added once.
    """
    kind = {DONE: "deployed", ROLLED_BACK: "rolled-back"}.get(-1 if code is None else code)
    if kind is None or not plan.changes_something:
        return ""
    from pytest_prodcheck.environments.secrets import SecretResolver
    from pytest_prodcheck.events.configured_log import open_log
    from pytest_prodcheck.events.log import Event

    project = configuration.project
    body: dict[str, Any] = {"old": plan.old, "strategy": plan.strategy, "plan": plan.digest}
    if (committed := commit_time(configuration.root, plan.revision)) is not None:
        body["committed_at"] = committed
    event = Event(
        f"{kind}:{plan.environment}:{plan.unit}:{journal}:{ended_at:.3f}", ended_at, kind, plan.environment, plan.unit,
        plan.revision, subject=plan.unit or plan.environment, body=body,
    )  # fmt: skip
    try:
        resolve = SecretResolver(configuration.root, project.pass_environment).resolve
        with open_log(state_folder, project.events, resolve) as log:
            log.add(event)
    except Exception as error:  # a deployment is over by now, whatever its note comes to
        return " ".join(str(error).split())[:300] or type(error).__name__
    return ""


def commit_time(root: Path, revision: str) -> float | None:
    """When a revision was committed (UTC epoch seconds), None where git does not know it."""
    if revision.startswith("-"):
        return None
    command = ["git", "-C", str(root), "-c", "log.showSignature=false", "log", "-1", "--format=%ct"]
    command += ["--end-of-options", f"{revision}^{{commit}}", "--"]
    env = child_environment("git", also={"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"})
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False, env=env
        )
        return float(result.stdout) if result.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
