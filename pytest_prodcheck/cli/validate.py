"""`prodcheck validate`: reads prodcheck.toml with what it includes, resolves every environment, sends nothing."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

EXAMPLES = """\
  prodcheck validate                     report all mistakes at once, with file and line
  prodcheck validate ops/prodcheck.toml  check a file before you commit it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck validate`."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="the file (default: prodcheck.toml here or above)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def main(args: argparse.Namespace) -> int:
    """Says that all is well (0), with notes, or prints every mistake (2). Resolves no secret."""
    from pytest_prodcheck.environments.loading import ConfigurationError, find_configuration, load
    from pytest_prodcheck.plugin.unprovable_percentiles import of_environment
    from pytest_prodcheck.reports.escaping import safe
    from pytest_prodcheck.scope import ScopeError, make_scope

    path = Path(args.file) if args.file else find_configuration(Path.cwd())
    if path is None:
        print(
            "prodcheck validate: there is no prodcheck.toml in this folder or above it; `prodcheck init` writes one",
            file=sys.stderr,
        )
        return 2
    try:
        configuration = load(path)
    except ConfigurationError as error:
        return _print_result(args, list(map(str, error.problems)) if args.format == "json" else [str(error)], [])
    wrong = []
    for name, environment in configuration.project.environments.items():
        try:
            make_scope(configuration, environment, run="validate")
        except (ConfigurationError, ScopeError) as error:
            wrong.append(f"environment {name}: {error}")
    notes = [
        f"environment {name}: {safe(line)}"
        for name, environment in configuration.project.environments.items()
        for line in ([] if wrong else of_environment(configuration, environment))
    ]
    return _print_result(args, wrong, list(configuration.project.environments), path.name, notes)


def _print_result(
    args: argparse.Namespace, wrong: list[str], environments: list[str], file: str = "", notes: Sequence[str] = ()
) -> int:
    if args.format == "json":
        from pytest_prodcheck.reports.escaping import safe_json

        found = {"valid": not wrong, "environments": environments, "mistakes": wrong, "notes": list(notes)}
        print(safe_json(json.dumps(found, indent=1)))
        return 2 if wrong else 0
    for line in wrong:
        print(f"prodcheck validate: {line}", file=sys.stderr)
    for line in notes:
        print(f"note: {line}")
    if not wrong:
        print(f"{file} is valid; environments: {', '.join(environments) or 'none'}")
    return 2 if wrong else 0
