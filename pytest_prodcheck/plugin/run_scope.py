"""What a run is about: the gates that it concerns, their policies and waivers, the folders that pytest collects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck import catalogue
from pytest_prodcheck.judging.checks import SUITES
from pytest_prodcheck.plugin.markers import only_suites_in, suites_selected_by
from pytest_prodcheck.scope import ScopeError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pytest_prodcheck.environments.loading import Configuration
    from pytest_prodcheck.gates.policy import Policy
    from pytest_prodcheck.gates.waivers import Waiver
    from pytest_prodcheck.own_checks import OwnCheck


def gates_of_run(options: argparse.Namespace, own: list[OwnCheck]) -> list[str]:
    """Those named, else those of the suites that `-m` selects, of checks given by id, or of all suites with checks."""
    if options.gate:
        return list(dict.fromkeys(options.gate))
    if options.markexpr:
        return suites_selected_by(options.markexpr)
    if named := _suites_of_ids(options.file_or_dir, own):
        return [suite for suite in SUITES if suite in named]
    return [suite for suite in SUITES if suite in {*catalogue.suites_with_checks(), *(each.suite for each in own)}]


def _suites_of_ids(words: Sequence[str], own: list[OwnCheck]) -> set[str]:
    """The suites of the checks that arguments name, by id or by file; empty where one of them is something else."""
    suites = {each.id: {each.suite} for each in own}
    for each in own:
        suites.setdefault(str(each.file.resolve()), set()).add(each.suite)
    found: set[str] = set()
    for word in words:
        path = Path(word.partition("::")[0])
        name = str(path.resolve()) if path.exists() else word.rpartition("/")[2].partition("[")[0]
        meant = (suites.get(name) or {name.partition(".")[0]}) & set(SUITES)
        if not meant:
            return set()
        found |= meant
    return found


def suites_asked_for(options: argparse.Namespace) -> list[str]:
    """The suites that `-m` names, where it names nothing else and no gate asks for more; [] for all."""
    return only_suites_in(options.markexpr) if not options.gate else []


def to_collect(folders: list[Path], suites: list[str]) -> tuple[str, ...]:
    """The folders for pytest: those of these bundled suites ([]: of all), and those of own checks, whole."""
    bundled, *own = folders
    return tuple(str(folder) for folder in (*(bundled / suite for suite in suites or [""]), *own))


def policies_of(options: argparse.Namespace, configuration: Configuration, names: list[str]) -> list[Policy]:
    """The policies of these gates; raises ScopeError for a gate that is not there or not for this run."""
    from pytest_prodcheck.gates.policy import Policy, suite_policy
    from pytest_prodcheck.gates.policy_settings import PolicyError

    defaults = configuration.project.gate_defaults.model_dump()
    declared = configuration.project.gates
    made = []
    for name in names:
        try:
            if name in declared:
                settings = {key: value for key, value in declared[name].model_dump().items() if value is not None}
                policy = Policy.from_settings(name, settings, defaults)
            elif name in SUITES:
                policy = suite_policy(name, defaults)
            else:
                known = ", ".join([*SUITES, *declared])
                raise ScopeError(f"--gate {name}: there is no such gate; there are {known}")
        except PolicyError as error:
            raise ScopeError(str(error)) from None
        if policy.environments and options.prodcheck_env not in policy.environments:
            raise ScopeError(f"gate {name} is for {', '.join(policy.environments)}, not for {options.prodcheck_env}")
        if policy.slot == "required" and not options.slot:
            raise ScopeError(f"gate {name} is about one slot: name it with --slot")
        made.append(policy)
    windows = {policy.window: policy.name for policy in made if policy.window is not None}
    if len(windows) > 1:
        raise ScopeError(f"gates {' and '.join(windows.values())} have different windows: run them one by one")
    return made


def waivers_of(configuration: Configuration) -> list[Waiver]:
    """All declared waivers."""
    from pytest_prodcheck.gates.waivers import Waiver

    return [Waiver(**waiver.model_dump()) for waiver in configuration.project.waivers]
