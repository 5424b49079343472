"""`prodcheck checks`: the catalogue, with the limits in force."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pytest_prodcheck.cli.error_messages import complain
from pytest_prodcheck.reports.escaping import safe_json

EXAMPLES = """\
  prodcheck checks                        all bundled checks with their default limits
  prodcheck checks --env production       the limits in force there, for each target
  prodcheck checks --suite security
  prodcheck checks smoke.postgres.* --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck checks`."""
    parser.add_argument("pattern", nargs="?", default="*", help="only checks with these ids (globs allowed)")
    parser.add_argument("--suite", metavar="NAME", help="only this suite")
    parser.add_argument("--env", metavar="NAME", help="show the targets and limits of this environment")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def main(args: argparse.Namespace) -> int:
    """Prints the catalogue; 2 for a configuration that cannot be read or a pattern that fits nothing."""
    rows = _checks_in_force(args) if args.env else _defaults(args)
    if rows is None:
        return 2
    if args.suite:
        rows = [row for row in rows if str(row["id"]).partition(".")[0] == args.suite]
    if not rows:
        suite = f" in the suite {args.suite!r}" if args.suite else ""
        print(f"prodcheck checks: no check matches {args.pattern!r}{suite}", file=sys.stderr)
        return 2
    if args.format == "json":
        print(safe_json(json.dumps(rows, indent=1)))
        return 0
    for row in rows:
        limit = " / ".join(str(row[level]) for level in ("warn", "fail") if row[level] is not None)
        where = f"  {row['target']}" if row.get("target") else ""
        print(f"{row['id']:34}{where:24}{row['severity']:10}{limit or 'yes or no':18}{row['title']}")
    return 0


def _defaults(args: argparse.Namespace) -> list[dict[str, object]]:
    from fnmatch import fnmatchcase

    from pytest_prodcheck.catalogue import entries

    return [
        {"id": each.id, "severity": each.severity, "warn": each.warn, "fail": each.fail, "title": each.title}
        for each in entries()
        if fnmatchcase(each.id, args.pattern)
    ]


def _checks_in_force(args: argparse.Namespace) -> list[dict[str, object]] | None:
    from fnmatch import fnmatchcase

    from pytest_prodcheck.catalogue import entries
    from pytest_prodcheck.environments.loading import ConfigurationError
    from pytest_prodcheck.judging.limits import Limit, limit_for
    from pytest_prodcheck.scope import ScopeError, read_scope

    try:
        scope, _, _ = read_scope(args.env, Path.cwd())
    except (ConfigurationError, ScopeError) as error:
        complain("checks", error)
        return None
    rows: list[dict[str, object]] = []
    for entry in entries():
        default = Limit(entry.warn, entry.fail) if entry.warn is not None or entry.fail is not None else None
        for target in scope.of_kind(entry.axis, entry.features):
            check = entry.definition().id_for(target.name)
            if not fnmatchcase(check, args.pattern):
                continue
            limit = limit_for(check, target.name, scope.thresholds, default)
            off = limit is not None and limit.off
            rows.append(
                {
                    "id": check,
                    "target": target.name,
                    "severity": target.severity or entry.severity,
                    "warn": "off" if off else (limit.warn if limit else None),
                    "fail": None if off else (limit.fail if limit else None),
                    "skip": target.skip,
                    "title": f"({target.skip}: {target.detail})" if target.skip else entry.title,
                }
            )
    return rows
