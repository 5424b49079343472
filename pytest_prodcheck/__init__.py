"""pytest-prodcheck: validation for production as pytest tests, whose outcomes become gates.

The public names for checks and collectors are loaded at first use, so that `prodcheck gate` starts quickly.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers read it; importing typing would cost `prodcheck gate` a tenth of its time
__version__ = "0.1.0"

_PUBLIC = {
    "check": "pytest_prodcheck.judging.checks",
    "judge": "pytest_prodcheck.judging.judge",
    "Limit": "pytest_prodcheck.judging.limits",
    "collector": "pytest_prodcheck.evidence.own_collectors",
    "Deadline": "pytest_prodcheck.evidence.deadlines",
    "Exchange": "pytest_prodcheck.records",
}

if TYPE_CHECKING:
    from typing import Any

    from pytest_prodcheck.evidence.deadlines import Deadline as Deadline
    from pytest_prodcheck.evidence.own_collectors import collector as collector
    from pytest_prodcheck.judging.checks import check as check
    from pytest_prodcheck.judging.judge import judge as judge
    from pytest_prodcheck.judging.limits import Limit as Limit
    from pytest_prodcheck.records import Exchange as Exchange

__all__ = ["Deadline", "Exchange", "Limit", "__version__", "check", "collector", "judge"]


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)
