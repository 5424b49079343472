"""What an xdist worker does: collects and judges like the one process, reads evidence from the shared folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_prodcheck.environments.redaction import Redactor
from pytest_prodcheck.environments.secrets import readable
from pytest_prodcheck.evidence.gathering.store import SharedFolder
from pytest_prodcheck.judging.ledger import STRAYS
from pytest_prodcheck.plugin.binding import loaded_here, tops_of
from pytest_prodcheck.plugin.fixtures import evidence_fixtures
from pytest_prodcheck.plugin.gathering import own_modules
from pytest_prodcheck.plugin.item_hooks import CheckHooks
from pytest_prodcheck.plugin.logs import mute_logs, redact_records
from pytest_prodcheck.plugin.parametrization import BOUND
from pytest_prodcheck.plugin.report_redaction import Redact
from pytest_prodcheck.plugin.result_transport import encodable
from pytest_prodcheck.plugin.threads import ThreadErrors
from pytest_prodcheck.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

PLAN = "plan.json"
STRAY = "prodcheck_strays"
LOADED = "prodcheck_loaded"  # key of a worker's output: the files of the project's modules that it has loaded
SCOPE = "scope.json"
SHARED = "PRODCHECK_SHARED"  # in the environment of workers: the folder that the controller made for this run


def scope_here() -> Scope | None:
    """What the controller says this worker's run is about; None in a process that is no xdist worker."""
    shared = os.environ.get(SHARED)
    if not shared or "PYTEST_XDIST_WORKER" not in os.environ:
        return None
    return Scope.parse((Path(shared) / SCOPE).read_text(encoding="utf-8"))


class Worker:
    """Tells the controller which evidence the selected tests ask for, and what was planned."""

    def __init__(self, scope: Scope, judging: CheckHooks, redact: Redact) -> None:
        self.scope = scope
        self.judging = judging
        self.redact = redact
        self.threads = ThreadErrors()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Leaves logging to the controller, which knows what must not be read: it has it from the reports."""
        mute_logs(session.config)
        self._give_back = redact_records(self.redact)
        self.threads.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Writes the plan that the controller gathers by, before xdist tells it that collection is done."""
        write_plan(Path(self.scope.shared), session.items, self.judging)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, Any, Any]:
        """Sends whatever a check said."""
        return encodable((yield))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tells the controller which of the project's files decided here, and what no check could see."""
        self.threads.stop()
        self._give_back()
        tops = tops_of(self.scope, session.config.rootpath, session.config.inipath)
        output: dict[str, object] = session.config.workeroutput  # type: ignore[attr-defined]
        output[LOADED], output[STRAY] = loaded_here(tops), STRAYS.take()
        if sys.flags.optimize:
            output[STRAY] = ["a worker's Python skips `assert` (PYTHONOPTIMIZE or -O), so checks could not fail"]
        STRAYS.end()


def write_plan(folder: Path, items: Iterable[pytest.Item], judging: CheckHooks) -> None:
    """Writes which evidence is asked for, atomically: every worker writes the same."""
    wanted = evidence_keys_of(items)
    planned = [[each.check, each.target, each.severity, each.suite] for each in judging.planned.values()]
    plan = {"wanted": wanted, "planned": planned, "mistakes": judging.mistakes, "places": judging.places}
    text = json.dumps({**plan, "own": own_modules()})
    temporary = folder / f"{PLAN}.{os.getpid()}"
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(folder / PLAN)


def evidence_keys_of(items: Iterable[pytest.Item]) -> list[str]:
    """The keys of the evidence that these items will read, each once; what is judged first comes first."""
    return list(dict.fromkeys(key for item in items for key in keys_of(item)))


def keys_of(item: pytest.Item) -> list[str]:
    """The keys of the evidence that one item will read; none for one that is going to be skipped."""
    bound = item.stash.get(BOUND, None)
    if bound is None or bound.target.skip:
        return []
    return [need.key for need in bound.needs]


def register_worker(config: pytest.Config, scope: Scope) -> None:
    """Registers the judging hooks in a worker."""
    redactor = Redactor()
    for secret in readable(scope.secrets, Path(scope.root)):
        redactor.add(secret)
    judging = CheckHooks(scope, SharedFolder(Path(scope.shared)), redact=redactor.redact)
    config.pluginmanager.register(judging, "prodcheck-judging")
    config.pluginmanager.register(evidence_fixtures(judging), "prodcheck-fixtures")
    config.pluginmanager.register(Worker(scope, judging, redactor.redact), "prodcheck-worker")
