"""`prodcheck gate`: may I? Nothing here but what that question needs; argparse only for help and mistakes."""

from __future__ import annotations

import os
import sys
import time

from pytest_prodcheck.cli.gate_answer import print_answer
from pytest_prodcheck.gates import paths
from pytest_prodcheck.gates.decision import decide
from pytest_prodcheck.gates.verdict_files import CANNOT_TELL, VerdictQuery

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  prodcheck gate smoke --env production --revision "$GIT_SHA" --max-age 15m && ./switch-traffic.sh
  prodcheck gate slot --env production --unit buying --slot green --revision "$GIT_SHA"
  prodcheck gate smoke --env staging --verdict smoke.json     a verdict from another machine (set PRODCHECK_KEY)
  prodcheck gate smoke --env production --explain             every check, and the files that the verdict depends on
"""
_VALUES = ("env", "unit", "slot", "revision", "max-age", "verdict", "format")
_FLAGS = ("strict", "explain", "quiet")


def fast(argv: list[str]) -> int | None:
    """Answers an ordinary question; None for help, and for mistakes, which argparse tells better."""
    split = _split(argv)
    if split is None:
        return None
    options, names = split
    if len(names) != 1 or "env" not in options or options.get("format", "text") not in ("text", "json"):
        return None
    limit = None
    if "max-age" in options:
        from pytest_prodcheck.quantities import parse_duration

        try:
            limit = parse_duration(options["max-age"])
        except ValueError:
            return None
    ask = VerdictQuery(
        names[0],
        options["env"],
        unit=options.get("unit", ""),
        slot=options.get("slot", ""),
        revision=options.get("revision"),
        max_age=limit,
        verdict=options.get("verdict", ""),
        strict="strict" in options,
    )
    return answer(ask, options.get("format", "text"), explain="explain" in options, quiet="quiet" in options)


def _split(argv: list[str]) -> tuple[dict[str, str], list[str]] | None:
    """Options by name and other words; None for what is no option of ours. getopt would cost a tenth of the time."""
    options: dict[str, str] = {}
    names: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("-"):
            names.append(word)
        elif not word.startswith("--") or name not in (_FLAGS if not equals else ()) + _VALUES:
            return None
        elif name in _FLAGS:
            options[name] = ""
        else:
            if not equals:
                value = next(words, "-")
                if value.startswith("-"):
                    return None
            if not value.strip():
                return None
            options[name] = value
    return options, names


def answer(ask: VerdictQuery, form: str, *, explain: bool, quiet: bool) -> int:
    """Decides, tells, and returns the exit code."""
    now = time.time()
    decision = decide(ask, now, os.getcwd())
    if decision.code == CANNOT_TELL and decision.document is None and not ask.verdict:
        wrong = misnamed(ask)
        if wrong:
            if not quiet:
                print(f"prodcheck gate: {wrong}", file=sys.stderr)
            return 2
    if not quiet:
        print_answer(decision, ask, now, form=form, explain=explain)
    return decision.code


def misnamed(ask: VerdictQuery) -> str:
    """Why there can be no verdict: the gate, environment, unit or slot is not there; "" where all are."""
    if paths.find_root(os.getcwd()) is None:
        return ""
    from pytest_prodcheck.cli.declared_names import UnknownName, refuse_unknown

    try:
        refuse_unknown(ask)
    except UnknownName as error:
        from pytest_prodcheck import resource_exhaustion

        return "" if resource_exhaustion.shortage_of(error) else str(error)
    return ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck gate`."""
    from pytest_prodcheck.cli.gate_options import MAX_AGE, add_scope, duration

    parser.add_argument("gate", metavar="NAME", help="the gate: a suite's name, or one of [gates] in prodcheck.toml")
    add_scope(parser)
    parser.add_argument("--max-age", type=duration, metavar="DURATION", help=MAX_AGE)
    parser.add_argument("--verdict", default="", metavar="FILE", help="ask this verdict file instead of the stored one")
    parser.add_argument("--strict", action="store_true", help="warnings block too")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")
    parser.add_argument(
        "--explain", action="store_true", help="show every check, and the files that the verdict depends on"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing; the exit code is the answer")


def main(args: argparse.Namespace) -> int:
    """The same as `fast`, for a command line that argparse has read."""
    from pytest_prodcheck.cli.gate_options import query_of

    ask = query_of(args, args.gate)
    ask.max_age, ask.verdict, ask.strict = args.max_age, args.verdict, args.strict
    return answer(ask, args.format, explain=args.explain, quiet=args.quiet)
