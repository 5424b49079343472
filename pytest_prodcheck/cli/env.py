"""`prodcheck env`: an environment as resolved, and where each value comes from. Resolves no secret, sends nothing."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.cli.error_messages import complain
from pytest_prodcheck.reports.escaping import safe, safe_json

if TYPE_CHECKING:
    from pytest_prodcheck.environments.configuration import Configuration
    from pytest_prodcheck.environments.project import Environment

EXAMPLES = """\
  prodcheck env                              list the environments
  prodcheck env production                   all values, each with its file and line
  prodcheck env production --slot green --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck env`."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="the environment (default: list all environments)")
    parser.add_argument("--unit", default="", metavar="NAME", help="only this unit's services and workflows")
    parser.add_argument("--slot", default="", metavar="NAME", help="use the addresses of this slot")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def main(args: argparse.Namespace) -> int:
    """Prints one environment or the list of them; 2 with all mistakes on standard error."""
    from pytest_prodcheck.environments.loading import ConfigurationError, find_configuration, load

    path = find_configuration(Path.cwd())
    if path is None:
        print(
            "prodcheck env: there is no prodcheck.toml in this folder or above it; `prodcheck init` writes one",
            file=sys.stderr,
        )
        return 2
    if not args.name and (args.unit or args.slot):
        print("prodcheck env: --unit and --slot need the NAME of an environment", file=sys.stderr)
        return 2
    try:
        configuration = load(path)
        rows = _values(configuration, args.name, args.unit, args.slot) if args.name else _environments(configuration)
    except ConfigurationError as error:
        complain("env", error)
        return 2
    if args.format == "json":
        print(safe_json(json.dumps(rows, indent=1, ensure_ascii=False)))
    elif args.name:
        _print_values(rows)
        _print_notes(configuration, configuration.environment(args.name, unit=args.unit, slot=args.slot))
    else:
        _print_environments(rows)
    return 0


def _environments(configuration: Configuration) -> list[dict[str, Any]]:
    from pytest_prodcheck.environments.targets import targets

    return [
        {
            "name": name,
            "protected": environment.protected,
            "units": list(environment.units),
            "slots": list(environment.slots),
            "targets": len(targets(environment, configuration)) - 1,  # the environment is one itself
        }
        for name, environment in configuration.project.environments.items()
    ]


def _print_environments(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("prodcheck.toml declares no environment; declare one as [environments.NAME].")
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        targets = "1 target" if row["targets"] == 1 else f"{row['targets']} targets"
        parts = [targets, "protected" if row["protected"] else ""]
        parts += [f"{key} {', '.join(row[key])}" for key in ("units", "slots") if row[key]]
        print(f"{row['name']:{width}}  {'; '.join(part for part in parts if part)}")


def _values(configuration: Configuration, name: str, unit: str, slot: str) -> list[dict[str, Any]]:
    """One row a value: key path, value, where from. Secrets stay references; what looks like one is blanked."""
    from pytest_prodcheck.environments.redaction import Redactor
    from pytest_prodcheck.environments.toml.errors import dotted

    environment = configuration.environment(name, unit=unit, slot=slot)
    origins = configuration.provenance(environment)
    redact = Redactor().redact_data
    plain = environment.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"name", "unit", "slot"})
    live = configuration.environment(name).services
    rows = []
    for path, value in _flattened(plain):
        if unit and _is_of_another_unit(path, environment.units[unit].services, environment.workflows, unit):
            continue
        around = (dotted(path[:end]) for end in range(len(path), 0, -1))
        source = next((origins[key] for key in around if key in origins), "")
        if path[0] == "services" and path[2:] == ("connect_to",) and live[path[1]].connect_to != value:
            source = f"slot {slot}"
        rows.append({"key": dotted(path), "value": redact(value), "from": source})
    for layer, pattern, limit in configuration.thresholds(environment):
        if layer == 0:
            shown = limit if isinstance(limit, str) else limit.model_dump(exclude_none=True)
            rows.append({"key": dotted(("thresholds", pattern)), "value": shown, "from": "for all environments"})
    return rows


def _is_of_another_unit(path: tuple[str, ...], services: tuple[str, ...], workflows: dict[str, Any], unit: str) -> bool:
    if path[0] == "services":
        return len(path) > 1 and path[1] not in services
    return path[0] == "workflows" and len(path) > 1 and workflows[path[1]].unit not in (None, unit)


def _flattened(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Key paths with their values; lists and secret references are shown whole."""
    if isinstance(value, dict) and value and not set(value) <= {"env", "file", "command"}:
        for key, inner in value.items():
            yield from _flattened(inner, (*path, key))
    else:
        yield path, value


def _print_values(rows: list[dict[str, Any]]) -> None:
    shown = [(f"{row['key']} = {_toml(row['value'])}", row["from"]) for row in rows]
    width = min(max((len(text) for text, _ in shown), default=0), 90)
    for text, source in shown:
        print(f"{text:{width}}  # {source}")


def _print_notes(configuration: Configuration, environment: Environment) -> None:
    """What can be read and yet cannot do what it is for."""
    from pytest_prodcheck.plugin.unprovable_percentiles import of_environment

    for line in of_environment(configuration, environment):
        print(f"# note: {safe(line)}")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return safe_json(json.dumps(value, ensure_ascii=False))  # TOML has the same escapes
