"""`prodcheck demo`: the demo system in the foreground, with faults to switch on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from pytest_prodcheck.cli.error_messages import complain

if TYPE_CHECKING:
    from pytest_prodcheck.demo import Fault

EXAMPLES = """\
  prodcheck demo                          start it; then, elsewhere: pytest -m smoke --env demo
  prodcheck demo --fault version-old      start it broken
  prodcheck demo --deploy                 one canary deployment that succeeds, and one that is rolled back
  prodcheck demo --list-faults            what each fault breaks, and the check that detects it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck demo`."""
    parser.add_argument(
        "--fault", action="append", default=[], metavar="NAME", help="switch on this fault; may be repeated"
    )
    parser.add_argument(
        "--deploy",
        action="store_true",
        help="deploy to two copies of a shop behind HAProxy: one canary succeeds, one is rolled back",
    )
    parser.add_argument("--list-faults", action="store_true", help="list the faults and exit")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="output format of --list-faults (default: text)"
    )


def main(args: argparse.Namespace) -> int:
    """Runs the demo until Ctrl-C; 2 where it cannot start."""
    from pytest_prodcheck import demo

    if args.list_faults:
        print(_as_json(demo.FAULTS) if args.format == "json" else demo.list_faults())
        return 0
    try:
        if args.deploy:
            return demo.show_deployments()
        return demo.run_foreground(args.fault)
    except demo.DemoError as error:
        complain("demo", error)
        return 2


def _as_json(faults: Mapping[str, Fault]) -> str:
    return json.dumps([{"name": name, **asdict(fault)} for name, fault in faults.items()], indent=1, default=list)
