"""`prodcheck plan`: the requests that a run would send. Sends none."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.cli.error_messages import complain
from pytest_prodcheck.cli.gate_options import ALLOW_CHECK, ALLOW_LOAD, ALLOW_WRITE
from pytest_prodcheck.reports.escaping import safe, safe_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_prodcheck.environments.loading import Configuration
    from pytest_prodcheck.evidence.collectors import Collector, Sending
    from pytest_prodcheck.own_checks import OwnCheck
    from pytest_prodcheck.scope import Scope

    Selects = Callable[[str, str], bool]  # (check id, suite) -> whether it is part of the plan
    Pieces = list[tuple[Collector, str]]

EXAMPLES = """\
  prodcheck plan before --env production           the requests that a run for this gate would send
  prodcheck plan --suite security --env production
  prodcheck plan --suite smoke --env production --unit buying --slot green --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck plan`."""
    parser.add_argument("gates", nargs="*", metavar="GATE", help="only what these gates select (default: all checks)")
    parser.add_argument("--suite", "-m", metavar="NAME", help="only this suite (default: all of them)")
    parser.add_argument("--env", required=True, metavar="NAME", help="the environment; there is no default")
    parser.add_argument("--unit", default="", metavar="NAME", help="only this unit (services deployed together)")
    parser.add_argument("--slot", default="", metavar="NAME", help="use the addresses of this slot")
    parser.add_argument(
        "--vantage", default="outside", metavar="NAME", help="network location to probe from (default: outside)"
    )
    parser.add_argument("--allow-write", action="append", default=[], metavar="NAME", help=ALLOW_WRITE)
    parser.add_argument("--allow-check", action="append", default=[], metavar="ID", help=ALLOW_CHECK)
    parser.add_argument("--allow-load", action="append", default=[], metavar="NAME", help=ALLOW_LOAD)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def main(args: argparse.Namespace) -> int:
    """Prints the plan; 2 for what cannot be read, or is not there."""
    from pytest_prodcheck.catalogue import with_opt_in
    from pytest_prodcheck.environments.loading import ConfigurationError
    from pytest_prodcheck.evidence.gathering.plan import sendings
    from pytest_prodcheck.own_checks import OwnCheckError, scan
    from pytest_prodcheck.plugin.unprovable_percentiles import switched_off, unprovable
    from pytest_prodcheck.scope import ScopeError, read_scope, refuse_unknown_opt_ins

    try:
        scope, environment, configuration = read_scope(
            args.env,
            Path.cwd(),
            unit=args.unit,
            slot=args.slot,
            vantage=args.vantage,
            allow_write=set(args.allow_write),
            allow_check=set(args.allow_check),
            allow_load=set(args.allow_load),
        )
        own = scan([configuration.root / each for each in configuration.project.checks])
        refuse_unknown_opt_ins(scope, with_opt_in(), [each.id for each in own])
        selects = _selection(args, configuration, own)
    except (ConfigurationError, OwnCheckError, ScopeError) as error:
        complain("plan", error)
        return 2
    plan, left_out = evidence_of(scope, selects)
    further, unknown = _own_evidence(scope, [each for each in own if selects(each.id, each.suite)])
    lines = sendings([*plan, *further], environment)
    if args.format == "json":
        print(safe_json(json.dumps([_line_as_json(line) for line in lines], indent=1)))
        return 0
    _print_plan(lines, left_out, unknown)
    loads = {target for collector, target in plan if collector.axis == "load"}
    off = switched_off(configuration, environment)
    for line in unprovable(environment, loads, lambda check: selects(check, "performance") and not off(check)):
        print(f"note: {safe(line)}")
    return 0


def _selection(args: argparse.Namespace, configuration: Configuration, own: Iterable[OwnCheck]) -> Selects:
    """Which checks are part of the plan; raises ScopeError for a gate or suite that is not there."""
    from pytest_prodcheck.catalogue import suites_with_checks
    from pytest_prodcheck.gates.policy import Policy, suite_policy
    from pytest_prodcheck.gates.policy_settings import PolicyError
    from pytest_prodcheck.judging.checks import SUITES
    from pytest_prodcheck.scope import ScopeError

    suites = sorted({*suites_with_checks(), *(each.suite for each in own)})
    if args.suite and args.suite not in suites:
        raise ScopeError(f"no suite {args.suite!r}; there are {', '.join(suites)}")
    defaults, declared = configuration.project.gate_defaults.model_dump(), configuration.project.gates
    policies = []
    for name in args.gates:
        if name not in declared and name not in SUITES:
            raise ScopeError(f"there is no gate {name!r}; there are {', '.join([*SUITES, *declared])}")
        try:
            table = declared[name].model_dump() if name in declared else {}
            settings = {key: value for key, value in table.items() if value is not None}
            policy = Policy.from_settings(name, settings, defaults) if settings else suite_policy(name, defaults)
        except PolicyError as error:
            raise ScopeError(str(error)) from None
        if policy.environments and args.env not in policy.environments:
            raise ScopeError(f"gate {name} is for {', '.join(policy.environments)}, not for {args.env}")
        policies.append(policy)

    def selects(check: str, suite: str) -> bool:
        in_gate = not policies or any(policy.selects(check, suite) for policy in policies)
        return in_gate and args.suite in (None, suite)

    return selects


def evidence_of(scope: Scope, selects: Selects) -> tuple[Pieces, list[tuple[str, str]]]:
    """The evidence that the bundled checks ask for, each piece once; the targets that are left out, with the reason."""
    from pytest_prodcheck.catalogue import entries
    from pytest_prodcheck.evidence.table import find

    plan: dict[tuple[str, str], tuple[Collector, str]] = {}
    left_out: dict[str, str] = {}
    for entry in entries():
        definition = entry.definition()
        for one in scope.of_kind(entry.axis, entry.features):
            if not selects(definition.id_for(one.name), entry.suite):
                continue
            target = scope.for_check(definition, one)
            if target.skip and target.skip != "not-configured":
                what = entry.id if target is not one else f"{target.kind} {target.name}"
                left_out[what] = f"{target.skip}: {target.detail}"
            for name in () if target.skip else entry.collectors:
                plan.setdefault((name, target.name), (find(name), target.name))
    return list(plan.values()), sorted(left_out.items())


def _own_evidence(scope: Scope, own: Iterable[OwnCheck]) -> tuple[Pieces, list[str]]:
    """The bundled evidence that a team's own checks ask for, and the names of what only their code knows."""
    from pytest_prodcheck.catalogue import by_fixture
    from pytest_prodcheck.evidence.table import find

    plan: Pieces = []
    unknown: set[str] = set()
    for check in own:
        if check.opt_in and scope.protected and check.id not in scope.allowed:
            continue
        for collector in by_fixture(check.arguments):
            found = scope.of_kind(collector.axis, [collector.feature])
            plan += [(collector, each.name) for each in found if not each.skip]
        for need in check.needs:
            name, _, wanted = need.partition(":")
            try:
                collector = find(name)
            except KeyError:
                unknown.add(name)  # of their own: what it sends is in its code
                continue
            found = scope.of_kind(collector.axis, [collector.feature])
            plan += [(collector, each.name) for each in found if not each.skip and wanted in ("", each.name)]
    return plan, sorted(unknown)


def _line_as_json(line: Sending) -> dict[str, object]:
    return {"to": line.to, "what": line.what, "times": line.times, "writes": line.writes}


def _print_plan(lines: list[Sending], left_out: list[tuple[str, str]], unknown: list[str]) -> None:
    from pytest_prodcheck.evidence.collectors import THIS_MACHINE

    width = max((len(safe(line.to)) for line in lines), default=0)
    for line in lines:
        times = f" x {line.times}" if line.times > 1 else ""
        print(f"{safe(line.to):{width}}  {safe(line.what)}{times}{'  (writes)' if line.writes else ''}")
    sent = [line for line in lines if line.to != THIS_MACHINE]
    whom = ", ".join(sorted({safe(line.to) for line in sent})) or "nobody"
    here = len(lines) - len(sent)
    local = f" {here} local files would be read or programs run;" if here else ""
    print(f"\n{sum(line.times for line in sent)} requests would be sent to {whom};{local} nothing was sent.")
    for name, why in left_out:
        print(f"not: {safe(name)}: {safe(why)}")
    for name in unknown:
        print(f"own evidence {safe(name)}: its own code decides what it sends")
