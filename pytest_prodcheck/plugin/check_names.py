"""Bundled checks by their ids: node ids that can be typed again, arguments that name them, a line for each suite."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_prodcheck import catalogue
from pytest_prodcheck.judging.checks import SUITES
from pytest_prodcheck.outcomes import NO_TARGET
from pytest_prodcheck.plugin.parametrization import NEEDS_PATHS
from pytest_prodcheck.plugin.pytest_internals import set_node_id
from pytest_prodcheck.scope import NamedCheck

if TYPE_CHECKING:
    from pytest_prodcheck.catalogue import Entry
    from pytest_prodcheck.own_checks import OwnCheck
    from pytest_prodcheck.plugin.parametrization import BoundCheck
    from pytest_prodcheck.scope import Scope

_NAME = re.compile(r"([a-z0-9][a-z0-9_.-]*)(?:\[([^\[\]]*)\])?\Z")


def named_in(words: Iterable[str], scope: Scope, own: Iterable[OwnCheck]) -> tuple[NamedCheck, ...]:
    """The arguments that name a check, `smoke.service.health[web]`; raises UsageError for one that does not exist."""
    places = {each.id: str(each.file) for each in own}
    found = []
    for word in words:
        name = _NAME.match(word.rpartition("/")[2])  # below the project's folder pytest shows `../smoke.service.health`
        if name is None or "." not in name[1] or Path(word).exists():
            continue
        entry = None if name[1] in places else _bundled(name[1])
        if entry is not None:
            targets = [each.name for each in scope.of_kind(entry.axis, entry.features)]
            stem = entry.id.removesuffix(".*")
            one = name[1].removeprefix(stem).removeprefix(".")  # the target, where the id itself names it
            if (one and one not in targets) or (name[2] is not None and name[2] not in targets):
                there = ", ".join(targets) if targets != [NO_TARGET] else "none declared"
                raise pytest.UsageError(f"prodcheck: {word}: it has no such target; its targets: {there}")
            meant = name[1] if one else entry.id
            found.append(NamedCheck(word, meant, name[2] or "", str(catalogue.suites_folder() / entry.suite)))
        elif name[1] in places:
            found.append(NamedCheck(word, name[1], name[2] or "", places[name[1]]))
        elif name[1].partition(".")[0] in SUITES:
            close = get_close_matches(name[1], [*(each.id for each in catalogue.entries()), *places], 1)
            hint = f"did you mean {close[0]}?" if close else "`prodcheck checks` lists them"
            raise pytest.UsageError(f"prodcheck: {word}: there is no check with this id; {hint}")
    return tuple(found)


def _bundled(check: str) -> Entry | None:
    families = [entry for entry in catalogue.entries() if entry.id.endswith(".*")]
    exact = (entry for entry in catalogue.entries() if entry.id.removesuffix(".*") == check)
    return next(exact, None) or next((entry for entry in families if check.startswith(entry.id[:-1])), None)


def node_id(bound: BoundCheck) -> str:
    """`smoke.service.health[web]`; without a target where none is declared, or where the id has it already."""
    name = bound.target.name
    return bound.id if name == NO_TARGET or bound.id.endswith(f".{name}") else f"{bound.id}[{name}]"


def show_by_id(item: pytest.Item, bound: BoundCheck) -> None:
    """Gives the item of a bundled check its id as node id and as title of its section."""
    if any(item.config.pluginmanager.hasplugin(each) for each in NEEDS_PATHS):
        return
    name = node_id(bound)
    file, line, _ = item.location
    item.location = (file, line, f"check {name}")
    set_node_id(item, name)


def one_line_a_suite(reporter: pytest.TerminalReporter) -> None:
    """Shows progress by suite, as pytest shows it by file: an id has no file."""
    write: Callable[..., None] = reporter.write_fspath_result

    def by_suite(nodeid: str, res: str, **markup: bool) -> None:
        write(nodeid if "::" in nodeid else f"{reporter.startpath}/{nodeid.partition('.')[0]}", res, **markup)

    reporter.write_fspath_result = by_suite  # type: ignore[method-assign]
