"""`prodcheck runs`: the saved runs, the newest first."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.reports.saved_runs import SavedRun

EXAMPLES = """\
  prodcheck runs                      the newest ten
  prodcheck runs --env production --most 50 --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck runs`."""
    parser.add_argument("--env", default="", metavar="NAME", help="only runs of this environment")
    parser.add_argument("--most", type=int, default=10, metavar="N", help="show at most N runs (default: 10)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def main(args: argparse.Namespace) -> int:
    """Prints a line a run; 2 where none is saved."""
    from itertools import islice

    from pytest_prodcheck.gates.paths import state_folder
    from pytest_prodcheck.reports.saved_runs import saved_runs

    state = Path(state_folder(str(Path.cwd())))
    found = (each for each in saved_runs(state) if not args.env or each.about.raw("environment") == args.env)
    shown = list(islice(found, max(args.most, 0)))
    if not shown:
        where = f" of {args.env}" if args.env else ""
        print(f"prodcheck runs: there is no saved run{where} in {state / 'runs'}", file=sys.stderr)
        return 2
    if args.format == "json":
        from pytest_prodcheck.reports.escaping import safe_json

        print(safe_json(json.dumps([{"id": each.id, **each.about.data} for each in shown], indent=1)))
        return 0
    for each in shown:
        print(_line_of_run(each))
    return 0


def _line_of_run(saved: SavedRun) -> str:
    from pytest_prodcheck.reports.escaping import safe
    from pytest_prodcheck.reports.symbols import gate_words
    from pytest_prodcheck.reports.verdict_documents import View, moment, status_of

    about = saved.about
    counted = about.view("counts") or View({})
    told = ", ".join(f"{int(number)} {name}" for name in counted.names() if (number := counted.number(name)))
    gates = ", ".join(f"{each.text('gate')} {gate_words(status_of(each))}" for each in about.views("verdicts"))
    where = "/".join(filter(None, (about.text("environment"), about.text("unit"), about.text("slot"))))
    parts = (saved.id, moment(about.number("ended_at")), where, about.text("revision"), gates or "no gate", told)
    return "  ".join(safe(part) for part in parts if part)
