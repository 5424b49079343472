"""`prodcheck override`: a person opens a closed gate for a while, with a reason."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from pytest_prodcheck import resource_exhaustion
from pytest_prodcheck.cli.declared_names import UnknownName, refuse_unknown
from pytest_prodcheck.cli.error_messages import complain
from pytest_prodcheck.cli.gate_options import add_scope, duration, query_of, who
from pytest_prodcheck.gates import overrides, paths, revisions, seal
from pytest_prodcheck.gates.verdict_files import Document

EXAMPLES = """\
  prodcheck override rollback --env production --unit buying --reason "checkout is down" --ticket INC-7 --for 30m
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck override`."""
    parser.add_argument(
        "gate", metavar="GATE", help="the gate to open; an override cannot change a usage error (exit code 2)"
    )
    add_scope(parser)
    parser.add_argument("--reason", required=True, metavar="TEXT", help="the reason; every answer of the gate shows it")
    parser.add_argument(
        "--ticket",
        required=True,
        metavar="ID",
        help="the ticket of the incident or change; every answer shows it too",
    )
    parser.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        required=True,
        metavar="DURATION",
        help="how long the override is valid, such as 30m; at most 24h",
    )


def main(args: argparse.Namespace) -> int:
    """Records the override; 2 for a mistake or a folder that cannot be written, 3 where the disk is full."""
    root = paths.find_root(os.getcwd())
    state = paths.state_folder(os.getcwd())
    ask = query_of(args, args.gate)
    try:
        environment = refuse_unknown(ask)
        ask.revision = revisions.resolve(ask.given, ask.environment, root)
        if environment is not None and environment.protected and not ask.revision:
            wanted = "give the revision that may pass with --revision or PRODCHECK_REVISION"
            raise UnknownName(f"{args.env} is protected: {wanted}")
        document = overrides.make(
            ask, reason=args.reason, ticket=args.ticket, seconds=args.seconds, now=time.time(), by=who(), root=root
        )
        key = seal.find_key(state, root, create=True)
        assert key is not None
        overrides.record(state, document, key)
        unrecorded = _add_to_event_log(state, document)
    except (ValueError, OSError) as error:
        complain("override", error)
        return 3 if resource_exhaustion.shortage_of(error) else 2
    print(f"gate {args.gate} of {args.env}: {overrides.override_line(document)}")
    print("the override is recorded, every verdict shows it while it is valid, and it ends by itself")
    if unrecorded:
        print(
            f"prodcheck override: the override is valid, but could not be written to the event log: {unrecorded}",
            file=sys.stderr,
        )
    return 0


def _add_to_event_log(state: str, document: Document) -> str:
    """Adds it to the event log; returns what went wrong, "" where nothing did."""
    from pytest_prodcheck.environments.loading import ConfigurationError, find_configuration, load
    from pytest_prodcheck.environments.secrets import SecretResolver
    from pytest_prodcheck.events.configured_log import open_log
    from pytest_prodcheck.events.log import Event, LogProblem

    told = {name: document[name] for name in ("slot", "reason", "ticket", "by", "expires_at")}
    environment, unit, revision, gate = (str(document[name]) for name in ("environment", "unit", "revision", "gate"))
    at = float(str(document["made_at"]))
    name = f"override:{environment}:{unit}:{gate}:{at:.6f}"
    event = Event(name, at, "override", environment, unit, revision, gate, told)
    try:
        path = find_configuration(Path.cwd())
        project = load(path).project if path is not None else None
        passed = project.pass_environment if project is not None else ()
        resolver = SecretResolver(Path(state).parent, passed)
        with open_log(Path(state), project.events if project is not None else None, resolver.resolve) as log:
            log.add(event)
    except (ConfigurationError, LogProblem) as error:
        return str(error)
    return ""
