"""What the commands about gates share: the options that say what is meant, and who is asking."""

from __future__ import annotations

import argparse
import os
import pwd

from pytest_prodcheck.gates.verdict_files import VerdictQuery
from pytest_prodcheck.quantities import parse_duration

MAX_AGE = "how old the oldest evidence may be, such as 15m; the gate's own max_age still applies"
ALLOW_CHECK = "allow this intrusive check on a protected environment; may be repeated"
ALLOW_LOAD = "allow this load scenario on a protected environment; may be repeated"
ALLOW_WRITE = "allow this writing workflow or endpoint on a protected environment; may be repeated"


def add_scope(parser: argparse.ArgumentParser) -> None:
    """Adds --env, --unit, --slot and --revision."""
    parser.add_argument("--env", required=True, metavar="NAME", help="the environment; there is no default")
    parser.add_argument(
        "--unit", default="", metavar="NAME", help="only this unit (services deployed together; default: all)"
    )
    parser.add_argument(
        "--slot", default="", metavar="NAME", help="only this copy of the unit, such as blue, green or canary"
    )
    parser.add_argument(
        "--revision",
        type=revision,
        metavar="REV",
        help="the revision being deployed, such as a Git SHA; else PRODCHECK_REVISION, else prodcheck.toml",
    )


def query_of(args: argparse.Namespace, gate: str, run: str = "") -> VerdictQuery:
    """The question that these options ask a gate."""
    return VerdictQuery(gate, args.env, unit=args.unit, slot=args.slot, revision=args.revision, run=run)


def revision(text: str) -> str:
    """A revision, for argparse: an unset variable of the pipeline names none."""
    from pytest_prodcheck.gates.revisions import revision_of_run

    try:
        return revision_of_run(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def duration(text: str) -> float:
    """Seconds, for argparse; a bare number is seconds, as in prodcheck.toml."""
    try:
        return parse_duration(f"{text}s" if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def who() -> str:
    """Who is asking: "user@host"."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"{name}@{os.uname().nodename}"
