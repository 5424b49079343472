"""What has to fit together in the file as a whole: thresholds, gates, waivers, folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_prodcheck.environments.needs_cycles import cycles
from pytest_prodcheck.environments.project import Environment, Gate, Project, Thresholds
from pytest_prodcheck.environments.rules.monitoring import metrics_without_limit
from pytest_prodcheck.environments.toml.error_collector import Complaint
from pytest_prodcheck.environments.toml.errors import did_you_mean
from pytest_prodcheck.quantities import parse_quantity

SUITES = ("pre_deploy", "smoke", "performance", "security", "data_integrity")
_ID = r"[A-Za-z0-9_.*?!\[\]-]+"


def threshold_complaints(thresholds: Thresholds, path: tuple[str, ...], protected: str) -> Iterator[Complaint]:
    """Patterns and levels that cannot be meant. protected: the protected environment they apply to, "" for none."""
    for pattern, value in thresholds.items():
        here = (*path, pattern)
        yield from _glob(here, pattern, with_target=True)
        if value == "off":
            if protected:
                yield (
                    here,
                    f'"off" is not allowed for protected environments (it applies to {protected})',
                    "set it in other environments only",
                )
        elif value.warn is None and value.fail is None:
            yield here, "expected `warn`, `fail` or both: an empty limit has no effect", ""
        else:
            yield from _levels(here, {"warn": value.warn, "fail": value.fail})


def _levels(path: tuple[str, ...], levels: Mapping[str, str | int | float | None]) -> Iterator[Complaint]:
    dimensions = set()
    for key, level in levels.items():
        if level is None:
            continue
        try:
            dimensions.add(parse_quantity(level).dimension)
        except ValueError as error:
            yield (*path, key), str(error), ""
    if len(dimensions) > 1:
        yield (
            path,
            f"`warn` and `fail` have different units: {' and '.join(sorted(dimensions))}",
            "give both the same unit",
        )


def _glob(path: tuple[str, ...], pattern: str, with_target: bool) -> Iterator[Complaint]:
    ids, at, target = pattern.partition("@")
    if at and not with_target:
        yield path, "expected a check id without a target; globs are allowed", 'such as "smoke.*"'
    elif not re.fullmatch(_ID, ids) or (at and not re.fullmatch(_ID, target)):
        yield (
            path,
            "expected a check id" + (" or id@target" if with_target else "") + "; globs are allowed",
            'such as "smoke.*"',
        )
    elif not _has_balanced_brackets(ids) or not _has_balanced_brackets(target):
        yield path, "unbalanced `[` and `]`", ""


def _has_balanced_brackets(pattern: str) -> bool:
    return not re.search(r"[\[\]]", re.sub(r"\[!?[^\[\]]+\]", "", pattern))


Known = Mapping[str, Environment | None]  # all environments that are not abstract; None for one with mistakes


def project_complaints(project: Project, environments: Known, abstract: set[str], root: Path) -> Iterator[Complaint]:
    """Everything outside of `environments`; key paths are those of the file."""
    protected = next((name for name, each in environments.items() if each is not None and each.protected), "")
    yield from threshold_complaints(project.thresholds, ("thresholds",), protected)
    for position, folder in enumerate(project.checks):
        if not _is_folder(root, folder):
            yield ("checks", f"[{position}]"), f"there is no folder {folder!r} beside prodcheck.toml", ""
    if project.runbooks and ("{runbook}" not in project.runbooks or not re.match(r"https?://", project.runbooks)):
        yield (
            ("runbooks",),
            'expected an address with {runbook} in it, such as "https://runbooks.example/{runbook}"',
            "",
        )
    if project.seal is not None and project.seal.key.command is not None:
        yield ("seal", "key"), "`prodcheck gate` does not run commands: expected { env = … } or { file = … }", ""
    for name, gate in project.gates.items():
        yield from _gate(("gates", name), name, gate, project, environments, abstract)
    for name, channel in project.notify.items():
        for position, environment in enumerate(channel.environments):
            yield from _environment(
                ("notify", name, "environments", f"[{position}]"), environment, environments, abstract
            )
    yield from cycles(project, environments)
    yield from _waivers(project, environments)
    for name, each in environments.items():
        for metric in metrics_without_limit(each, project.thresholds) if each is not None else ():
            hint = f'give `at_most`, or "smoke.metrics.{metric}" in [thresholds]'
            yield ("environments", name, "metrics", metric), "has no limit, so it could never fail", hint


def _is_folder(root: Path, name: str) -> bool:
    try:
        return (root / name).is_dir()
    except (OSError, ValueError):
        return False


def _gate(
    path: tuple[str, ...], name: str, gate: Gate, project: Project, environments: Known, abstract: set[str]
) -> Iterator[Complaint]:
    for position, environment in enumerate(gate.environments):
        yield from _environment((*path, "environments", f"[{position}]"), environment, environments, abstract)
    if gate.select is None and name not in SUITES:
        yield (
            path,
            f"`select` is missing: only the gates of suites have a default ({', '.join(SUITES)})",
            'such as ["smoke.*"]',
        )
    if gate.select == ():
        yield (
            (*path, "select"),
            "selects nothing: a gate that judges nothing would prove nothing",
            'such as ["smoke.*"]',
        )
    for key, patterns in (("select", gate.select or ()), ("without", gate.without)):
        for position, pattern in enumerate(patterns):
            yield from _glob((*path, key, f"[{position}]"), pattern, with_target=False)
    for position, required in enumerate(gate.require):
        here = (*path, "require", f"[{position}]")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+(@[A-Za-z0-9_.-]+)?", required):
            yield here, "expected a check id or id@target without globs", 'such as "smoke.service.version"'
        elif any(fnmatchcase(required.partition("@")[0], pattern) for pattern in gate.without):
            yield here, "is required, but `without` excludes it", ""
    yield from _needs(path, gate, project, environments, abstract)
    for each in gate.environments if gate.slot == "required" else ():
        there = environments.get(each)
        if there is not None and not there.slots:
            yield (*path, "slot"), f"a slot is required, but environment `{each}` declares none", ""


def _environment(path: tuple[str, ...], name: str, environments: Known, abstract: set[str]) -> Iterator[Complaint]:
    if name in abstract:
        yield path, f"environment `{name}` is abstract", did_you_mean(name, environments)
    elif name not in environments:
        yield path, f"there is no environment `{name}`", did_you_mean(name, environments)


def _needs(
    path: tuple[str, ...], gate: Gate, project: Project, environments: Known, abstract: set[str]
) -> Iterator[Complaint]:
    for position, need in enumerate(gate.needs):
        here = (*path, "needs", f"[{position}]", "gate")
        environment, _, name = need.gate.partition(":")
        yield from _environment(here, environment, environments, abstract)
        other = project.gates.get(name)
        if other is None and name not in SUITES:
            yield here, f"there is no gate `{name}`", did_you_mean(name, (*project.gates, *SUITES))
        elif other is not None and other.environments and environment not in other.environments:
            yield here, f"gate `{name}` is not for environment `{environment}`", ""


def _waivers(project: Project, environments: Known) -> Iterator[Complaint]:
    seen: dict[tuple[str, str, str], int] = {}
    for position, waiver in enumerate(project.waivers):
        path = ("waivers", f"[{position}]")
        yield from _glob((*path, "check"), waiver.check, with_target=False)
        if not re.fullmatch(_ID, waiver.target) or not _has_balanced_brackets(waiver.target):
            yield (*path, "target"), "expected the name of a target; globs are allowed", ""
        if not any(fnmatchcase(name, waiver.environment) for name in environments):
            yield (
                (*path, "environment"),
                f"there is no environment `{waiver.environment}`",
                did_you_mean(waiver.environment, environments),
            )
        key = (waiver.check, waiver.target, waiver.environment)
        if key in seen:
            yield path, f"repeats waiver number {seen[key] + 1}", "keep one"
        seen.setdefault(key, position)
