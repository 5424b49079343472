"""Binds test functions to targets: parametrizes checks over what is declared and plans their evidence."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pytest

from pytest_prodcheck.catalogue import asked_for, axis_and_features
from pytest_prodcheck.environments.targets import Target
from pytest_prodcheck.evidence.table import find, names
from pytest_prodcheck.judging.checks import Definition, definition_of
from pytest_prodcheck.judging.limits import Limit, limit_for
from pytest_prodcheck.outcomes import NO_TARGET, Severity
from pytest_prodcheck.plugin.pytest_internals import set_node_id

if TYPE_CHECKING:
    from pytest_prodcheck.scope import Scope

_NOT_PLAIN = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
_NEEDS_BRACKETS = "vscode_pytest"  # Visual Studio Code takes node ids apart: path, names, the brackets of parameters
# plugins that look for "::" in node ids; PyCharm and TeamCity have the same one
NEEDS_PATHS = (_NEEDS_BRACKETS, "allure_pytest", "pytest_order", "pytest-teamcity", "teamcity.pytest_plugin")
_STAND_IN = "prodcheck_needed"  # the id of a parameter that is no part of the name
_HIDDEN: Any = getattr(pytest, "HIDDEN_PARAM", _STAND_IN)  # since pytest 8.4
TARGET = "prodcheck_target"  # the fixture that all evidence fixtures share


@dataclass(frozen=True)
class Need:
    """One piece of evidence that a check asks for: by its fixture, or under an own argument name."""

    argument: str
    collector: str  # its name
    target: str

    @property
    def key(self) -> str:
        """The key of the evidence."""
        return f"{self.collector}:{self.target}"


@dataclass(frozen=True)
class BoundCheck:
    """One check on one target: what a result will be about, and the evidence it is owed."""

    id: str
    target: Target
    definition: Definition
    needs: tuple[Need, ...]
    limit: Limit | None
    without: frozenset[str] = frozenset()  # arguments whose evidence is not declared for this target: they are None

    @property
    def identity(self) -> tuple[str, str]:
        """`(check id, target)`."""
        return (self.id, self.target.name)


BOUND = pytest.StashKey[BoundCheck]()


def targets_of(definition: Definition, fixture_names: list[str], scope: Scope, where: str) -> list[Target]:
    """The targets that all the evidence exists for that these fixtures stand for; [] where none does."""
    try:
        axis, features = axis_and_features(definition.id, fixture_names, where)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    return scope.of_kind(axis, features) if axis else []


def parametrize(metafunc: pytest.Metafunc, scope: Scope) -> None:
    """One item for each target of the check's axis, and stand-ins for the arguments named in `needs`."""
    definition = definition_of(metafunc.function)
    if definition is None:
        return
    where = metafunc.definition.nodeid
    if any(test(metafunc.function) for test in _NOT_PLAIN):
        raise pytest.UsageError(f"{where}: a check must be a plain function, without async or yield")
    targets = targets_of(definition, metafunc.fixturenames, scope, where)
    if targets and TARGET in metafunc.fixturenames:
        metafunc.parametrize(TARGET, targets, indirect=True, ids=[target.name for target in targets])
    if not definition.needs:
        return
    missing = sorted(set(definition.needs) - set(inspect.signature(metafunc.function).parameters))
    if missing:
        raise pytest.UsageError(f"{where}: needs names {', '.join(missing)}, but the function has no such argument")
    for argument in definition.needs:
        hidden = _HIDDEN if not metafunc.config.pluginmanager.hasplugin(_NEEDS_BRACKETS) else "needed"
        metafunc.parametrize(argument, [None], ids=[hidden])


def hide_stand_ins(items: object) -> None:
    """Takes the parameters of `needs` out of names and node ids, as pytest does since 8.4."""
    for item in items if isinstance(items, list) else ():
        if isinstance(item, pytest.Function) and _STAND_IN in item.name:
            name, _, ids = item.name.partition("[")
            kept = "-".join(each for each in ids.removesuffix("]").split("-") if each != _STAND_IN)
            item.name = f"{name}[{kept}]" if kept else name
            set_node_id(item, f"{item.nodeid.rpartition('::')[0]}::{item.name}")


def bind(item: pytest.Item, scope: Scope) -> BoundCheck | None:
    """Finds out which check on which target an item is and keeps it in the item's stash; None for a plain test."""
    definition = definition_of(getattr(item, "function", None))
    if definition is None:
        return None
    params = item.callspec.params if hasattr(item, "callspec") else {}
    about = params.get(TARGET)
    by_fixture = asked_for(getattr(item, "fixturenames", ()))
    without = frozenset(each for each, name in by_fixture.items() if about and _nothing_declared(name, about))
    about_name = about.name if about else NO_TARGET
    needs = [Need(each, name, about_name) for each, name in by_fixture.items() if each not in without]
    named = [_needed_evidence(argument, text, definition, scope) for argument, text in definition.needs.items()]
    needs += [need for need, _ in named]
    target = scope.for_check(definition, about or _own_target(definition, [target for _, target in named], scope))
    if target.severity:
        definition = replace(definition, severity=Severity(target.severity))
    check_id = definition.id_for(target.name)
    limit = limit_for(check_id, target.name, scope.thresholds, definition.limit)
    bound = BoundCheck(check_id, target, definition, tuple(needs), limit, without)
    item.stash[BOUND] = bound
    return bound


def _nothing_declared(name: str, target: Target) -> bool:
    """Whether a collector has nothing to gather about a target; of a skipped one nothing is gathered anyway."""
    if target.skip:
        return False  # imports no collector for it
    only = find(name).only
    return bool(only) and only not in target.features


def _needed_evidence(argument: str, text: str, definition: Definition, scope: Scope) -> tuple[Need, Target]:
    name, _, wanted = text.partition(":")
    try:
        collector = find(name)
    except KeyError:
        close = get_close_matches(name, names(), 1)
        hint = f"did you mean {close[0]!r}?" if close else "write collectors of your own in conftest.py, or import them"
        raise pytest.UsageError(f"check {definition.id}: needs {argument}: no collector {name!r} yet; {hint}") from None
    if wanted:
        target = scope.find(collector.axis, wanted)
        if target is None:
            _refuse_unknown(f"check {definition.id}: needs {argument}", collector.axis, wanted, scope)
    else:
        candidates = scope.of_kind(collector.axis, [collector.feature])
        target = candidates[0] if len(candidates) == 1 else None
        if target is None:
            raise pytest.UsageError(
                f'check {definition.id}: needs {argument}: name the {collector.axis}, as in "{name}:NAME"'
            )
    if target is None or (collector.feature and collector.feature not in target.features):
        detail = f"{collector.axis} {wanted or name} is not declared"
        target = Target(collector.axis, wanted or NO_TARGET, skip="not-configured", detail=detail)
    return Need(argument, collector.name, target.name), target


def _refuse_unknown(where: str, kind: str, name: str, scope: Scope) -> None:
    """Raises UsageError for what no environment declares: misspelt, it would be skipped everywhere and never missed."""
    if f"{kind}:{name}" in scope.elsewhere:
        return
    known = [each.partition(":")[2] for each in scope.elsewhere if each.startswith(f"{kind}:")]
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"declared are {', '.join(known) or 'none'}"
    raise pytest.UsageError(f"{where}: no environment declares the {kind} {name!r}; {hint}")


def _own_target(definition: Definition, needed: list[Target], scope: Scope) -> Target:
    skipped = next((target for target in needed if target.skip), None)
    single = needed[0] if len(needed) == 1 else None
    name = definition.target or (single.name if single and single.name != NO_TARGET else scope.environment)
    owner = next((target.owner for target in needed if target.owner), "")
    if skipped:
        return Target("environment", name, skip=skipped.skip, detail=skipped.detail, owner=owner)
    return Target("environment", name, owner=owner)
