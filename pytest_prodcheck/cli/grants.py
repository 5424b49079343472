"""`prodcheck grants`: the SQL for the PostgreSQL roles that prodcheck logs in as. Sends nothing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_prodcheck.reports.safe import safe

EXAMPLES = """\
  prodcheck grants --env production
  prodcheck grants --env production --target shop
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck grants`."""
    parser.add_argument("--env", required=True, metavar="NAME", help="the environment; there is no default")
    parser.add_argument("--target", default="", metavar="NAME", help="only this cluster of `postgres`")


def main(args: argparse.Namespace) -> int:
    """Prints SQL for each declared cluster; 2 for what cannot be read."""
    from pytest_prodcheck.environments.grants import grants
    from pytest_prodcheck.environments.loading import ConfigurationError
    from pytest_prodcheck.scope import ScopeError, read_scope

    try:
        _, environment, _ = read_scope(args.env, Path.cwd())
    except (ConfigurationError, ScopeError) as error:
        print(f"prodcheck grants: {error}", file=sys.stderr)
        return 2
    wanted = [args.target] if args.target else list(environment.postgres)
    unknown = [name for name in wanted if name not in environment.postgres]
    if unknown or not wanted:
        there = ", ".join(environment.postgres) or "none"
        what = f"there is no PostgreSQL cluster {unknown[0]!r}" if unknown else "no PostgreSQL cluster is declared"
        print(f"prodcheck grants: {what} in {args.env}; declared: {there}", file=sys.stderr)
        return 2
    for name in wanted:
        for line in grants(name, environment.postgres[name]):
            print(safe(line))
        print()
    return 0
