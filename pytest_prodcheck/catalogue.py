"""The catalogue of bundled checks: generated, shipped, and compared with what pytest collected.

Without it a check that vanished from the suites would simply not be missed.
`python -m pytest_prodcheck.catalogue` writes it again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.table import find, names
from pytest_prodcheck.judging.checks import Definition, definition_of
from pytest_prodcheck.outcomes import PlannedCheck, Severity
from pytest_prodcheck.scope import Scope

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.collectors import Collector
    from pytest_prodcheck.judging.limits import Limit

FILE = Path(__file__).resolve().with_name("catalogue.json")


@dataclass(frozen=True)
class Entry:
    """One bundled check. An id ending in `.*` stands for one id a target."""

    id: str
    suite: str
    severity: str
    title: str
    runbook: str
    axis: str
    features: tuple[str, ...]
    collectors: tuple[str, ...]
    warn: str | int | float | None
    fail: str | int | float | None
    opt_in: str = ""
    fixed: tuple[str, ...] = ()  # limits that `[thresholds]` does not change: "entropy (bits/byte): – / 6.5"

    def definition(self) -> Definition:
        """The part that gives ids to targets."""
        return Definition(self.id, self.suite, Severity(self.severity), opt_in=self.opt_in)


def suites_folder() -> Path:
    """Where the bundled suites lie: inside the installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "suites"
    return inside if inside.is_dir() else package.parent / "suites"


@cache
def entries() -> tuple[Entry, ...]:
    """The shipped catalogue."""
    plain: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    lists = ("features", "collectors", "fixed")
    return tuple(Entry(**{**each, **{name: tuple(each[name]) for name in lists}}) for each in plain)


def planned(scope: Scope) -> Iterator[PlannedCheck]:
    """Every `(check, target)` that the bundled suites owe a run of this scope."""
    for entry in entries():
        for target in scope.of_kind(entry.axis, entry.features):
            severity = Severity(target.severity or entry.severity)
            yield PlannedCheck(entry.definition().id_for(target.name), target.name, severity)


@cache
def digest() -> str:
    """SHA-256 hex of the shipped catalogue."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()


def suites_with_checks() -> tuple[str, ...]:
    """The suites that have at least one bundled check."""
    return tuple(dict.fromkeys(entry.suite for entry in entries()))


def with_opt_in() -> tuple[str, ...]:
    """The ids of the checks that a protected environment has to allow by `--allow-check`."""
    return tuple(entry.id for entry in entries() if entry.opt_in)


def modules() -> Iterator[ModuleType]:
    """All modules of the bundled suites, imported."""
    folder = suites_folder()
    package = "pytest_prodcheck.suites" if folder.parent.name == "pytest_prodcheck" else "suites"
    for file in sorted(folder.glob("*/test_*.py")):
        yield import_module(f"{package}.{file.parent.name}.{file.stem}")


def generate(found: Iterable[ModuleType]) -> list[Entry]:
    """The entries of all checks in these modules, by id; raises ValueError for one that asks for no evidence."""
    made = []
    for module in found:
        for function in vars(module).values():
            definition = definition_of(function)
            if definition is None or function.__module__ != module.__name__:
                continue
            collectors = by_fixture(list(inspect.signature(function).parameters))
            if not collectors:
                raise ValueError(f"{definition.id} asks for no built-in collector: is it new? `make catalogue`")
            limit = definition.limit
            made.append(
                Entry(
                    definition.id,
                    definition.suite,
                    str(definition.severity),
                    definition.title,
                    definition.runbook,
                    axis_of(collectors, definition.id),
                    tuple(sorted({each.feature for each in collectors if each.feature})),
                    tuple(each.name for each in collectors),
                    limit.warn if limit else None,
                    limit.fail if limit else None,
                    definition.opt_in,
                    tuple(f"{what}: {_levels(each)}" for what, each in definition.fixed.items()),
                )
            )
    return sorted(made, key=lambda entry: entry.id)


def _levels(limit: Limit) -> str:
    """The levels that warn and fail, "95% / 91%"."""
    return " / ".join("–" if level is None else str(level) for level in (limit.warn, limit.fail))


def text(found: list[Entry]) -> str:
    """The catalogue file's text."""
    return json.dumps([asdict(entry) for entry in found], indent=1) + "\n"


@cache
def fixtures() -> dict[str, str]:
    """Fixture name -> collector name of every built-in collector."""
    return {name.replace("-", "_"): name for name in names()}


def asked_for(fixture_names: Iterable[str]) -> dict[str, str]:
    """Fixture name -> collector name of those among these names that stand for evidence, in order."""
    table = fixtures()
    return {name: table[name] for name in fixture_names if name in table}


def by_fixture(fixture_names: Iterable[str]) -> list[Collector]:
    """The collectors whose fixtures are among these names, in order."""
    return [find(name) for name in asked_for(fixture_names).values()]


def axis_and_features(check_id: str, fixture_names: Iterable[str], where: str) -> tuple[str, tuple[str, ...]]:
    """What a check with these fixtures is about: kind of target, features; raises ValueError for several kinds.

    For bundled checks it stands in the catalogue, so that collectors which nothing is declared for are not imported.
    """
    asked = asked_for(fixture_names)
    entry = _by_id().get(check_id)
    if entry is not None and set(entry.collectors) == set(asked.values()):
        return entry.axis, entry.features
    collectors = by_fixture(asked)
    return axis_of(collectors, where), tuple(each.feature for each in collectors if each.feature)


@cache
def _by_id() -> dict[str, Entry]:
    return {entry.id: entry for entry in entries()}


def axis_of(collectors: Iterable[Collector], where: str) -> str:
    """The one kind of target that all collectors share, "" for none; raises ValueError for several."""
    axes = sorted({collector.axis for collector in collectors})
    if len(axes) > 1:
        raise ValueError(
            f"{where} asks for evidence about {' and '.join(axes)}: a check is about one kind of target; "
            'ask for particular ones with needs={"name": "http_endpoint:service.endpoint"}'
        )
    return axes[0] if axes else ""


def main(arguments: list[str]) -> int:
    """Writes the catalogue again; with --check only says whether it is up to date."""
    sys.path.insert(0, str(suites_folder().parent))
    made = text(generate(modules()))
    if "--check" not in arguments:
        FILE.write_text(made, encoding="utf-8")
    elif not FILE.is_file() or FILE.read_text(encoding="utf-8") != made:
        print("catalogue.json is not what the suites say: run `make catalogue`", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
