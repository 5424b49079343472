"""`prodcheck history`: what the event log tells of an environment, or of one check."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.cli.error_messages import complain

if TYPE_CHECKING:
    from pytest_prodcheck.events.log import Event
    from pytest_prodcheck.reports.trends import Trend

EXAMPLES = """\
  prodcheck history --env production                                 runs, closed gates, flaky checks, slowest evidence
  prodcheck history smoke.service.latency@shop --env production      one measurement over time, with its limit
  prodcheck history --env production --since 30d --format json
"""
_FEW = 20
_GATHERED = 100  # runs whose evidence is compared
_SLOWEST = 5
_MOST_BARS = 60  # of a sparkline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck history`."""
    parser.add_argument("check", nargs="?", default="", metavar="CHECK@TARGET", help="show one check on one target")
    parser.add_argument("--env", required=True, metavar="NAME", help="the environment; there is no default")
    parser.add_argument("--since", default="90d", metavar="DURATION", help="show this period up to now (default: 90d)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def main(args: argparse.Namespace) -> int:
    """Prints it; 2 for what is not there."""
    from pytest_prodcheck.environments.loading import ConfigurationError
    from pytest_prodcheck.events.log import LogProblem
    from pytest_prodcheck.quantities import parse_duration

    try:
        since = time.time() - parse_duration(args.since)
        with _log() as log:
            runs = log.find(environment=args.env, kind="run", since=since)
            verdicts = log.find(environment=args.env, kind="verdict", since=since)
            overrides = log.find(environment=args.env, kind="override", since=since)
        if not runs:
            raise ValueError(f"the event log has no run of {args.env} in the last {args.since}")
        return _one(runs, args) if args.check else _all(runs, verdicts, overrides, args)
    except (ConfigurationError, LogProblem, ValueError) as error:
        complain("history", error)
        return 2


def _log() -> Any:
    from pytest_prodcheck.environments.loading import find_configuration, load
    from pytest_prodcheck.environments.secrets import SecretResolver
    from pytest_prodcheck.events.configured_log import open_log
    from pytest_prodcheck.events.log import FILE, LogProblem
    from pytest_prodcheck.gates.paths import state_folder

    state = Path(state_folder(str(Path.cwd())))
    path = find_configuration(Path.cwd())
    project = load(path).project if path is not None else None
    declared = project.events if project is not None else None
    if declared is None and not (state / FILE).exists():
        raise LogProblem(f"there is no event log in {state} yet: the first run creates it")
    passed = project.pass_environment if project is not None else ()
    return open_log(state, declared, SecretResolver(state.parent, passed).resolve)


def _one(runs: list[Event], args: argparse.Namespace) -> int:
    from difflib import get_close_matches

    from pytest_prodcheck.events.history import identities, trend
    from pytest_prodcheck.reports.escaping import safe, safe_json
    from pytest_prodcheck.reports.measurement_text import value_text
    from pytest_prodcheck.reports.sparkline import sparkline
    from pytest_prodcheck.reports.verdict_documents import moment

    found = trend(runs, args.check)
    if found is None:
        close = get_close_matches(args.check, identities(runs), n=3, cutoff=0.4)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise ValueError(f"no run judged {args.check!r}{hint}")
    if args.format == "json":
        print(safe_json(json.dumps([asdict(each) for each in found.points], indent=1)))
        return 0
    if found.measured:
        bars = sparkline(found.values[-_MOST_BARS:], found.points[-1].limit)
        print(safe(f"{bars}  {_extremes(found)}{found.told()}"))
    for each in found.points[-_FEW:]:
        shown = "" if each.value is None else value_text(each.value, each.unit)
        print(safe(f"{moment(each.at)}  {each.outcome:8}{shown:14}{each.revision}".rstrip()))
    return 0


def _extremes(found: Trend) -> str:
    from pytest_prodcheck.reports.measurement_text import value_text

    ordered = sorted(found.measured)
    named = {"least": ordered[0], "median": ordered[len(ordered) // 2], "most": ordered[-1]}
    return "".join(f"{name} {value_text(each, found.unit)}, " for name, each in named.items())


def _all(runs: list[Event], verdicts: list[Event], overrides: list[Event], args: argparse.Namespace) -> int:
    from pytest_prodcheck.events.history import closed_periods, flaky, slowest
    from pytest_prodcheck.quantities import format_quantity
    from pytest_prodcheck.reports.escaping import safe, safe_json
    from pytest_prodcheck.reports.verdict_documents import moment

    shut, unsteady, slow = closed_periods(verdicts), flaky(runs), slowest(runs[:_GATHERED])
    if args.format == "json":
        told = {
            "runs": [asdict(each) for each in runs],
            "shut": [asdict(each) for each in shut],
            "overrides": [asdict(each) for each in overrides],
            "flaky": dict(unsteady),
            "slowest_evidence": [asdict(each) for each in slow],
        }
        print(safe_json(json.dumps(told, indent=1)))
        return 0
    for each in runs[:_FEW]:
        counted = each.body.get("counts") or {}
        numbers = ", ".join(f"{number} {safe(name)}" for name, number in counted.items() if number)
        print(f"{moment(each.at)}  {safe(each.subject)}  {safe(each.revision)}  {numbers}")
    for one in shut[-_FEW:]:
        end = "still closed" if one.ended is None else f"opened after {format_quantity(one.ended - one.began, 's')}"
        print(f"{moment(one.began)}  gate {safe(one.gate)} closed, {end}")
    for each in overrides[:_FEW]:
        by, reason, ticket = (safe(each.body.get(name, "")) for name in ("by", "reason", "ticket"))
        print(f"{moment(each.at)}  gate {safe(each.subject)} overridden by {by}: {reason} ({ticket})")
    for name, number in unsteady[:_FEW]:
        print(f"flaky: {safe(name)} changed its outcome {number} times without a new revision")
    for piece in slow[:_SLOWEST]:
        median, worst = (format_quantity(each, "s") for each in (piece.median, piece.worst))
        about = f"{safe(piece.collector)} of {safe(piece.target)}" if piece.target else safe(piece.collector)
        print(f"slowest evidence: {about} took {median} (worst {worst}, {piece.runs} runs)")
    return 0
