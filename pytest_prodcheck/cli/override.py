"""`prodcheck override`: a person opens a closed gate for a while, with a reason."""

from __future__ import annotations

import argparse
import os
import sys
import time

from pytest_prodcheck.cli.scope import add_scope, ask_of, duration, who
from pytest_prodcheck.gates import overrides, paths, seal

EXAMPLES = """\
  prodcheck override rollback --env production --unit buying --reason "checkout is down" --ticket INC-7 --for 30m
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck override`."""
    parser.add_argument("gate", metavar="GATE", help="the gate to open; a usage error (2) stays one")
    add_scope(parser)
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why; shown to whoever asks the gate")
    parser.add_argument("--ticket", required=True, metavar="ID", help="where it is written up; shown too")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        required=True,
        metavar="DURATION",
        help="how long, such as 30m; at most 24h",
    )


def main(args: argparse.Namespace) -> int:
    """Records the override; 2 for a mistake or a folder that cannot be written."""
    root = paths.find_root(os.getcwd())
    state = paths.state_folder(os.getcwd())
    ask = ask_of(args, args.gate)
    wrong = refusal(args)
    if wrong:
        print(f"prodcheck override: {wrong}", file=sys.stderr)
        return 2
    try:
        document = overrides.make(
            ask, reason=args.reason, ticket=args.ticket, seconds=args.seconds, now=time.time(), by=who()
        )
        key = seal.find_key(state, root, create=True)
        assert key is not None
        overrides.record(state, document, key)
    except (ValueError, OSError) as error:
        print(f"prodcheck override: {error}", file=sys.stderr)
        return 2
    print(f"gate {args.gate} of {args.env}: {overrides.told(document)}")
    print("it is recorded, shown by every verdict while it holds, and ends by itself")
    return 0


def refusal(args: argparse.Namespace) -> str:
    """Why there is nothing to override: no such gate, environment, unit or slot, or no revision where protected."""
    from pathlib import Path

    from pytest_prodcheck.environments.loading import ConfigurationError, find_configuration, load
    from pytest_prodcheck.judging.checks import SUITES

    path = find_configuration(Path.cwd())
    gates, protected = list(SUITES), False
    try:
        configuration = load(path) if path is not None else None
        if configuration is not None and (args.env != "demo" or "demo" in configuration.project.environments):
            environment = configuration.environment(args.env, unit=args.unit or "", slot=args.slot or "")
            gates, protected = [*SUITES, *configuration.project.gates], environment.protected
        elif args.env != "demo":
            return "there is no prodcheck.toml here or above"
    except ConfigurationError as error:
        return str(error)
    if args.gate not in gates:
        return f"there is no gate {args.gate!r}; there are {', '.join(gates)}"
    if protected and not (args.revision or os.environ.get("PRODCHECK_REVISION")):
        return f"{args.env} is protected: say which revision may pass, with --revision or PRODCHECK_REVISION"
    return ""
