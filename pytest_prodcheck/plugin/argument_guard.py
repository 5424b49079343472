"""The last check of what a test is given, right before its body."""

from __future__ import annotations

import pytest

from pytest_prodcheck.plugin.item_results import ITEM_STATE
from pytest_prodcheck.records import EvidenceProblem, Problem

NAME = "prodcheck-last-look"


class ArgumentGuard:
    """Registered before any conftest is loaded: of two hooks alike, pytest calls the one that came first last."""

    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> None:
        """Raises EvidenceProblem where what was handed over no longer says what was gathered."""
        reading = pyfuncitem.stash.get(ITEM_STATE, None)
        if reading is not None and (changed := reading.changed()):
            what = f"{', '.join(changed)} was changed after it was gathered: a fixture or a conftest changed it"
            raise EvidenceProblem(Problem("internal", what))
