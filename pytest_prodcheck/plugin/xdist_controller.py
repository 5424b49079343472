"""What the controller does under xdist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_prodcheck.outcomes import PlannedCheck, Severity
from pytest_prodcheck.plugin.gathering import import_own
from pytest_prodcheck.plugin.xdist_worker import LOADED, PLAN, STRAY

if TYPE_CHECKING:
    from pytest_prodcheck.plugin.controller import RunController


class Distributed:
    """What the controller does under xdist: gathers for the workers, and notices when one dies."""

    def __init__(self, controller: RunController, shared: Path) -> None:
        self.controller = controller
        self.shared = shared

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Gathers what the first worker to finish its collection asks for: all ask for the same."""
        plan = json.loads((self.shared / PLAN).read_text(encoding="utf-8"))
        for check, target, severity, suite in plan["planned"]:
            self.controller.planned[(check, target)] = PlannedCheck(check, target, Severity(severity), suite)
        self.controller.places.update(plan["places"])
        self.controller.problems.extend([*plan["mistakes"], *self.controller.opened.unforeseen(plan["places"])])
        import_own(plan["own"])
        self.controller.gather(plan["wanted"])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker that died took results with it that nobody can vouch for."""
        output = getattr(node, "workeroutput", {})
        self.controller.opened.bound.add_loaded(output.get(LOADED, ()))
        self.controller.problems.extend(output.get(STRAY, ()))
        if error:
            self.controller.problems.append(f"worker {node.gateway.id} died: {error}")
