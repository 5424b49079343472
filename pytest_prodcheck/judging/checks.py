"""The `check` decorator: one test function with a stable id that judges evidence against one limit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.outcomes import Severity

SUITES = ("pre_deploy", "smoke", "performance", "security", "data_integrity")
ATTRIBUTE = "__prodcheck__"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]*(\.([a-z0-9][a-z0-9_-]*|\*))+\Z")

Test = TypeVar("Test", bound=Callable[..., None])


@dataclass(frozen=True)
class Definition:
    """What `@check(...)` says about a test function.

    An id ending in `.*` stands for one id a target: `smoke.workflow.*` becomes `smoke.workflow.order`.
    needs: argument name -> evidence, "http_endpoint:catalog.product" or the name of an own collector.
    opt_in: what it would do to a protected environment; there it runs only with `--allow-check ID`. "" for nothing.
    fixed: what else is judged -> its limit, which `[thresholds]` does not change.
    """

    id: str
    suite: str
    severity: Severity
    limit: Limit | None = None
    runbook: str = ""
    target: str = ""
    owner: str = ""
    title: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    opt_in: str = ""
    fixed: Mapping[str, Limit] = field(default_factory=dict)

    def id_for(self, target: str) -> str:
        """The id of the result about one target; `-` (nothing declared) has the bare id."""
        if not self.id.endswith(".*"):
            return self.id
        stem = self.id.removesuffix(".*")
        return stem if target == "-" else f"{stem}.{target}"


def check(
    id: str,
    *,
    severity: str,
    limit: Limit | None = None,
    runbook: str = "",
    suite: str = "",
    target: str = "",
    needs: Mapping[str, str] | None = None,
    owner: str = "",
    opt_in: str = "",
    fixed: Mapping[str, Limit] | None = None,
) -> Callable[[Test], Test]:
    """Makes a check of a test function and applies its suite's marker.

    id: dotted, its first segment the suite unless `suite` names it ("shop.smoke.price", suite="smoke").
    severity: "critical", "high", "medium" or "low". limit: the default, which `[thresholds]` may change.
    runbook: name of the page that says how to fix it. target: what results are about, where the evidence does not say.
    needs: evidence handed over under names of one's own. opt_in: what it would do that a protected environment has to
    allow by `--allow-check ID`, such as "sends ten bad logins". fixed: what else is judged -> its limit, which
    `[thresholds]` does not change and the catalogue shows. Raises ValueError for what cannot be.
    """
    chosen = suite or id.partition(".")[0]
    if not _ID.match(id):
        raise ValueError(f'check id {id!r}: expected dotted lower-case words such as "shop.smoke.price-agreement"')
    if chosen not in SUITES:
        raise ValueError(f"check {id!r}: no suite {chosen!r}; give suite=, one of {', '.join(SUITES)}")
    try:
        level = Severity(severity)
    except ValueError:
        raise ValueError(f"check {id!r}: severity {severity!r} is not one of {', '.join(Severity)}") from None

    def make(function: Test) -> Test:
        import pytest

        title = (function.__doc__ or "").strip().partition("\n")[0]
        definition = Definition(
            id, chosen, level, limit, runbook, target, owner, title, dict(needs or {}), opt_in, dict(fixed or {})
        )
        setattr(function, ATTRIBUTE, definition)
        marked: Test = getattr(pytest.mark, chosen)(function)
        return marked

    return make


def definition_of(function: Any) -> Definition | None:
    """What `@check` said about a function, None where it is no check."""
    found = getattr(function, ATTRIBUTE, None)
    return found if isinstance(found, Definition) else None
