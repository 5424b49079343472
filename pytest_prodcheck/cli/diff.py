"""`prodcheck diff`: the differences between two saved runs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pytest_prodcheck.cli.error_messages import complain

EXAMPLES = """\
  prodcheck diff                            compare the newest run with the last one that opened its gates
  prodcheck diff 20261129T0200 latest       compare two runs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck diff`."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="two runs, the older first; each is an id, the start of an id, or `latest`",
    )
    parser.add_argument("--env", default="", metavar="NAME", help="only runs of this environment")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def main(args: argparse.Namespace) -> int:
    """Prints the changes, the worst first; 2 for runs that are not there."""
    from pytest_prodcheck.gates.paths import state_folder
    from pytest_prodcheck.reports.changes import changes
    from pytest_prodcheck.reports.saved_runs import NoSuchRun, find_run, last_open

    state = Path(state_folder(str(Path.cwd())))
    try:
        if len(args.runs) not in (0, 2):
            raise NoSuchRun("give two runs, or none to compare the newest run with the last one that opened its gates")
        now = find_run(state, args.runs[1] if args.runs else "latest", args.env).record()
        before = find_run(state, args.runs[0], args.env).record() if args.runs else last_open(state, now)
        if before is None:
            raise NoSuchRun(f"no earlier run of {now.environment} opened its gates: name two runs")
    except NoSuchRun as error:
        complain("diff", error)
        return 2
    found = changes(before, now)
    if args.format == "json":
        from pytest_prodcheck.plain_data import to_plain
        from pytest_prodcheck.reports.escaping import safe_json

        told = {"before": before.id, "now": now.id, "changes": [to_plain(each) for each in found]}
        print(safe_json(json.dumps(told, indent=1)))
        return 0
    from pytest_prodcheck.reports.changes import line
    from pytest_prodcheck.reports.escaping import safe
    from pytest_prodcheck.reports.symbols import takes_unicode

    print(safe(f"{before.id} ({before.revision or 'no revision'}) → {now.id} ({now.revision or 'no revision'})"))
    for each in found:
        print(line(each, unicode=takes_unicode(sys.stdout)))
    if not found:
        print("nothing differs")
    return 0
