"""`prodcheck plan`: what would be sent to whom. Sends nothing."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.cli.scope import ALLOW_CHECK, ALLOW_WRITE
from pytest_prodcheck.reports.safe import safe, safe_json

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.collectors import Collector
    from pytest_prodcheck.scope import Scope

EXAMPLES = """\
  prodcheck plan -m smoke --env production
  prodcheck plan -m smoke --env production --unit buying --slot green --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck plan`."""
    parser.add_argument("-m", dest="suite", metavar="SUITE", help="only this suite (default: all of them)")
    parser.add_argument("--env", required=True, metavar="NAME", help="the environment; there is no default")
    parser.add_argument("--unit", default="", metavar="NAME", help="only this unit (what is deployed together)")
    parser.add_argument("--slot", default="", metavar="NAME", help="with the addresses of this slot")
    parser.add_argument(
        "--vantage", default="outside", metavar="NAME", help="where the run looks from (default: outside)"
    )
    parser.add_argument("--allow-write", action="append", default=[], metavar="NAME", help=ALLOW_WRITE)
    parser.add_argument("--allow-check", action="append", default=[], metavar="ID", help=ALLOW_CHECK)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="for people (default) or programs")


def main(args: argparse.Namespace) -> int:
    """Prints the plan of the bundled suites; 2 for what cannot be read."""
    from pytest_prodcheck.catalogue import suites_with_checks, with_opt_in
    from pytest_prodcheck.environments.loading import ConfigurationError
    from pytest_prodcheck.evidence.plan import sendings
    from pytest_prodcheck.judging.checks import SUITES
    from pytest_prodcheck.scope import ScopeError, read_scope, refuse_unknown_opt_ins

    if args.suite and args.suite not in suites_with_checks():
        print(f"prodcheck plan: no suite {args.suite!r}; there are {', '.join(suites_with_checks())}", file=sys.stderr)
        return 2
    try:
        scope, environment = read_scope(
            args.env,
            Path.cwd(),
            unit=args.unit,
            slot=args.slot,
            vantage=args.vantage,
            allow_write=set(args.allow_write),
            allow_check=set(args.allow_check),
        )
        own = [each for each in args.allow_check if each.partition(".")[0] not in SUITES]  # not known here
        refuse_unknown_opt_ins(scope, with_opt_in(), own)
    except (ConfigurationError, ScopeError) as error:
        print(f"prodcheck plan: {error}", file=sys.stderr)
        return 2
    plan, left_out = evidence_of(scope, args.suite)
    lines = sendings(plan, environment)
    if args.format == "json":
        print(safe_json(json.dumps([vars(line) for line in lines], indent=1)))
        return 0
    width = max((len(line.to) for line in lines), default=0)
    for line in lines:
        times = f" x {line.times}" if line.times > 1 else ""
        print(f"{line.to:{width}}  {safe(line.what)}{times}{'  (writes)' if line.writes else ''}")
    requests = sum(line.times for line in lines)
    whom = ", ".join(sorted({line.to for line in lines})) or "nobody"
    print(f"\n{requests} requests would be sent to {whom}; nothing was sent.")
    for name, why in left_out:
        print(f"not: {name}: {why}")
    print("Own checks' evidence is known when pytest collects them; it is not listed here.")
    return 0


def evidence_of(scope: Scope, suite: str | None) -> tuple[list[tuple[Collector, str]], list[tuple[str, str]]]:
    """The evidence that the bundled checks ask for, each piece once; the targets that are left out, with the reason."""
    from pytest_prodcheck.catalogue import entries
    from pytest_prodcheck.evidence.table import find

    plan: dict[tuple[str, str], tuple[Collector, str]] = {}
    left_out: dict[str, str] = {}
    for entry in entries():
        if suite and entry.suite != suite:
            continue
        for one in scope.of_kind(entry.axis, entry.features):
            target = scope.for_check(entry.definition(), one)
            if target.skip and target.skip != "not-configured":
                what = entry.id if target is not one else f"{target.kind} {target.name}"
                left_out[what] = f"{target.skip}: {target.detail}"
            for name in () if target.skip else entry.collectors:
                plan.setdefault((name, target.name), (find(name), target.name))
    return list(plan.values()), sorted(left_out.items())
