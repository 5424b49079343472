"""`prodcheck validate`: reads prodcheck.toml with what it includes, resolves every environment, sends nothing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EXAMPLES = """\
  prodcheck validate                     all mistakes at once, with file and line
  prodcheck validate ops/prodcheck.toml  before it is committed
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck validate`."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="the file (default: prodcheck.toml here or above)")


def main(args: argparse.Namespace) -> int:
    """Says that all is well (0), with notes, or prints every mistake (2). Resolves no secret."""
    from pytest_prodcheck.environments.loading import ConfigurationError, find_configuration, load
    from pytest_prodcheck.plugin.unprovable_percentiles import of_environment
    from pytest_prodcheck.reports.escaping import safe
    from pytest_prodcheck.scope import ScopeError, make_scope

    path = Path(args.file) if args.file else find_configuration(Path.cwd())
    if path is None:
        print(
            "prodcheck validate: there is no prodcheck.toml here or above; `prodcheck init` writes one", file=sys.stderr
        )
        return 2
    try:
        configuration = load(path)
    except ConfigurationError as error:
        print(f"prodcheck validate: {error}", file=sys.stderr)
        return 2
    wrong = []
    for name, environment in configuration.project.environments.items():
        try:
            make_scope(configuration, environment, run="validate")
        except (ConfigurationError, ScopeError) as error:
            wrong.append(f"environment {name}: {error}")
    for line in wrong:
        print(f"prodcheck validate: {line}", file=sys.stderr)
    if wrong:
        return 2
    for name, environment in configuration.project.environments.items():
        for line in of_environment(configuration, environment):
            print(f"note: environment {name}: {safe(line)}")
    named = ", ".join(configuration.project.environments) or "none"
    print(f"{path.name} is valid; environments: {named}")
    return 0
