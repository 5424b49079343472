"""Judges a whole environment in this process: real collectors and real checks, without pytest around each run.

Fifty runs then cost what one costs by the command; that the command finds the same is a test of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from pytest_prodcheck.catalogue import by_fixture, modules
from pytest_prodcheck.environments.loading import load
from pytest_prodcheck.environments.redaction import Redactor
from pytest_prodcheck.environments.secrets import SecretResolver
from pytest_prodcheck.environments.targets import Target
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.judging.checks import Definition, definition_of
from pytest_prodcheck.judging.ledger import close_ledger, open_ledger
from pytest_prodcheck.judging.limits import limit_for
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.scope import Scope, make_scope
from tests.project import Project

WINDOW = 60.0  # seconds, as the gate of the file says


def checks(patterns: tuple[str, ...]) -> Iterator[tuple[Definition, Callable[..., None]]]:
    """The bundled checks whose ids fit."""
    for module in modules():
        for function in vars(module).values():
            definition = definition_of(function)
            if definition is not None and any(fnmatchcase(definition.id, each) for each in patterns):
                yield definition, function


def colours(
    home: Project, patterns: tuple[str, ...], revision: str = "good", env: str = "live", seconds: float = 10,
    window: float = WINDOW,
) -> dict[str, str]:
    """Check id -> "outcome: reasons" of what is not green; raises AssertionError where nothing was judged.

    seconds: for each piece of evidence.
    """
    configuration = load(home.folder / "prodcheck.toml")
    environment = configuration.environment(env)
    scope = make_scope(configuration, environment, run="", revision=revision)
    context = Context(
        environment, home.folder, secrets=SecretResolver(home.folder), redactor=Redactor(), revision=revision,
        window=window,
    )  # fmt: skip
    found: dict[str, str] = {}
    judged = 0
    for definition, function in checks(patterns):
        collectors = by_fixture(list(inspect.signature(function).parameters))
        for target in scope.of_kind(collectors[0].axis, [each.feature for each in collectors]):
            if target.skip:
                continue
            judged += 1
            check = definition.id_for(target.name)
            outcome, reasons = _judge(function, check, definition, target, scope, context, seconds)
            if outcome != "passed" and not found.get(check, "").startswith("failed"):
                found[check] = f"{outcome}: {reasons}"
    context.close()
    assert judged
    return found


def _judge(
    function: Callable[..., None], check: str, definition: Definition, target: Target, scope: Scope, context: Context,
    seconds: float,
) -> tuple[str, str]:
    wanted = list(inspect.signature(function).parameters)
    arguments: dict[str, Any] = {}
    if "limit" in wanted:
        arguments["limit"] = limit_for(check, target.name, scope.thresholds, definition.limit)
    if "declared" in wanted:
        arguments["declared"] = scope.settings[f"{target.kind}:{target.name}"]
    ledger = open_ledger()
    try:
        for each in by_fixture(wanted):
            arguments[each.fixture] = each.gather(target.name, context, Deadline(seconds))
        function(**arguments)
    except EvidenceProblem as error:
        return "errored", str(error)
    finally:
        close_ledger()
    return str(ledger.outcome), "; ".join(ledger.reasons()) if ledger.outcome != "passed" else ""
