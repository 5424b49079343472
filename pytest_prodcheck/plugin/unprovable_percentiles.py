"""Percentiles that too few planned requests cannot prove: told by `validate`, `env`, `plan`, and a run at first."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.reports.escaping import safe

if TYPE_CHECKING:
    import pytest

    from pytest_prodcheck.environments.configuration import Configuration
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.plugin.run_start import RunContext

PERCENTILES = (50, 95, 99)


def unprovable(environment: Environment, targets: set[str], judged: Callable[[str], bool]) -> Iterator[str]:
    """One line a percentile of a load that would be errored. judged: whether a check, by its id, is judged at all.

    targets: of the loads that are planned; "light" is latency without load.
    """
    from pytest_prodcheck.judging.statistics import samples_needed

    for name in sorted(targets):
        load = environment.load.get(name)
        count = environment.light.requests if load is None else sum(
            max(1, round(seconds * (start + end) / 2)) for seconds, start, end in load.segments
        )  # fmt: skip
        for percent in PERCENTILES:
            needed = samples_needed(percent)
            checks = [f"performance.{kind}.p{percent}" for kind in ("latency", "regression")]
            lost = [each for each in checks if judged(each) and not (load is None and "regression" in each)]
            if 0 < count < needed and lost:
                more = "raise light.requests" if load is None else "raise rate or duration"
                yield (f"load {name}: {count} requests cannot prove P{percent}, which needs {needed}: "
                       f"{' and '.join(lost)} would be errored; {more}, or switch them off")  # fmt: skip


def of_environment(configuration: Configuration, environment: Environment) -> Iterator[str]:
    """The lines of all loads that an environment declares."""
    loads = {*environment.load, *(("light",) if environment.light.enabled and environment.services else ())}
    off = switched_off(configuration, environment)
    return unprovable(environment, loads, lambda check: not off(check))


def switched_off(configuration: Configuration, environment: Environment) -> Callable[[str], bool]:
    """Whether a check, by its id, is switched off by a threshold."""
    off = [pattern for _, pattern, limit in configuration.thresholds(environment) if limit == "off"]
    return lambda check: any(fnmatchcase(check, pattern) for pattern in off)


def tell_unprovable(
    opened: RunContext, keys: Iterable[str], planned: Container[str], reporter: pytest.TerminalReporter
) -> None:
    """Shows the lines of a run that is about to gather `keys` ("load-run:checkout"). planned: ids of its checks."""
    split = [key.partition(":") for key in keys]
    loads = {target for name, _, target in split if find(name).axis == "load"}
    off = switched_off(opened.configuration, opened.environment)
    for line in unprovable(opened.environment, loads, lambda check: check in planned and not off(check)):
        reporter.ensure_newline()
        reporter.write_line(f"note: {safe(line)}")
