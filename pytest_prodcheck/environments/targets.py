"""What a run is about: the declared targets of one environment, as plain data that also travels to xdist workers.

Kinds are found by a loop over the sections that an environment declares, in the order of its fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.kinds import (
    NAMED_OTHERWISE,
    EnvironmentView,
    KeyPath,
    Kind,
    Target,
    declared_at,
    kind_of,
)
from pytest_prodcheck.environments.queries import OUTSIDE, declared, endpoints_of, writes
from pytest_prodcheck.environments.toml.errors import ConfigurationError, Mistake, did_you_mean

if TYPE_CHECKING:
    from pytest_prodcheck.environments.loading import Configuration
    from pytest_prodcheck.environments.project import Environment

__all__ = ["Target", "is_built_in", "key_path", "kinds_in", "settings_of", "targets", "undeclared_kinds"]


def kinds_in(environment: Environment) -> list[Kind]:
    """The kinds of what an environment declares, and of what follows from it; imports no others."""
    from pytest_prodcheck.environments.project import section_modules

    there = [section for section in section_modules() if declared(environment, section)]
    found = {kind.section: kind for section in there for kind in _kinds_of_section(section)}
    for kind in list(found.values()):
        sections = (*kind.brings, *(section for section, where in kind.brings_where.items() if where(environment)))
        found |= {each.section: each for section in sections for each in _kinds_of_section(section)}
    return [found[section] for section in section_modules() if section in found]


def _kinds_of_section(section: str) -> list[Kind]:
    """The kind of a section; () for a section that only bounds others."""
    from pytest_prodcheck.environments.project import section_modules

    return [kind for kind in import_module(section_modules()[section]).KINDS if kind.section == section]


def is_built_in(name: str) -> bool:
    """Whether a kind of target of prodcheck itself has this name."""
    from pytest_prodcheck.environments.project import section_modules

    known = name in section_modules() and any(name in kind.awaited for kind in _kinds_of_section(name))
    return known or name in NAMED_OTHERWISE


def targets(
    environment: Environment,
    configuration: Configuration,
    *,
    unit: str = "",
    vantage: str = OUTSIDE,
    allow_write: set[str] | frozenset[str] = frozenset(),
    allow_load: set[str] | frozenset[str] = frozenset(),
    revision: str = "",
) -> tuple[Target, ...]:
    """All targets in scope. A unit narrows services with their endpoints, and workflows; the rest stays.

    Raises ConfigurationError for a vantage, or a name in `allow_write` or `allow_load`, that nothing declared has.
    Without a revision `version` stays a feature: the check itself says that it has nothing to compare with.
    """
    looking = EnvironmentView(environment, unit, vantage, frozenset(allow_write), frozenset(allow_load))
    found = [target for kind in kinds_in(environment) for target in kind.targets(looking)]
    for name, table in environment.own.items():
        reach, owner = looking.reach(str(table.get("vantage", OUTSIDE))), str(table.get("owner", ""))
        found.append(Target(name, name, frozenset(), *reach, owner=owner))
    found.append(Target("environment", environment.name))
    _refuse_unknown(configuration.path.name, environment, vantage, allow_write, allow_load)
    return tuple(found)


def undeclared_kinds(environment: Environment) -> tuple[str, ...]:
    """The kinds that a protected environment neither declares nor lists under `absent`; () for others."""
    from pytest_prodcheck.environments.project import ASKED_OF_PROTECTED

    if not environment.protected:
        return ()
    absent = environment.absent
    return tuple(kind for kind in ASKED_OF_PROTECTED if not declared(environment, kind) and kind not in absent)


def settings_of(environment: Environment, target: Target) -> dict[str, Any]:
    """The declared table of a target as JSON data, keys as in the file, secrets as references; {} for `environment`."""
    if target.kind == "environment":
        return {}
    if kind_of(target) is None and target.kind in environment.own:
        return dict(environment.own.get(target.name, {}))
    found = declared_at(environment, key_path(environment, target))
    plain: dict[str, Any] = found.model_dump(mode="json", by_alias=True) if found is not None else {}
    return plain


def key_path(environment: Environment, target: Target) -> KeyPath:
    """Where a target is declared, below its environment; () where it is the environment itself."""
    if target.kind == "environment":
        return ()
    kind = kind_of(target)
    if kind is not None:
        return kind.path(environment, target)
    return ("own" if target.kind in environment.own else target.kind, target.name)


def _refuse_unknown(
    file: str, environment: Environment, vantage: str, allow_write: Iterable[str], allow_load: Iterable[str]
) -> None:
    """Raises ConfigurationError for a vantage from where nothing is reached, and for names of nothing there is."""
    vantages = _vantages(environment)
    problems = []
    if vantage not in vantages:
        problems.append(
            Mistake(file, None, "--vantage", f"no target has the vantage `{vantage}`", did_you_mean(vantage, vantages))
        )
    writing = {name for name, each in environment.workflows.items() if writes(each)}
    writing |= {name for name, (_, endpoint) in endpoints_of(environment).items() if not endpoint.changes_nothing}
    for name in sorted(set(allow_write) - writing):
        problems.append(
            Mistake(file, None, "--allow-write", ("no writing workflow or endpoint "
                f"is named `{name}`"), did_you_mean(name, writing))
        )
    for name in sorted(set(allow_load) - set(environment.load)):
        problems.append(
            Mistake(
                file, None, "--allow-load", f"no load is named `{name}`", did_you_mean(name, set(environment.load))
            )
        )
    if problems:
        raise ConfigurationError(problems)


def _vantages(environment: Environment) -> set[str]:
    """From where anything that is declared is reached."""
    found = {OUTSIDE}
    for field in type(environment).model_fields:
        value = getattr(environment, field)
        for each in value.values() if isinstance(value, dict) else (value,):
            named = each.get("vantage") if isinstance(each, dict) else getattr(each, "vantage", None)
            found |= {str(named)} if named else set()
    return found
