"""`prodcheck report`: a saved run once more, as a page, text, JSON or SARIF."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.reports.saved_runs import SavedRun

EXAMPLES = """\
  prodcheck report                              the newest run as text
  prodcheck report --html report.html           the newest run as a page
  prodcheck report 20261130T1007 --json run.json --sarif run.sarif
"""
FORMATS = {"html": "page", "text": "text", "json": "json", "sarif": "sarif"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck report`."""
    parser.add_argument(
        "run", nargs="?", default="latest", metavar="RUN", help="its id or how that begins (default: latest)"
    )
    parser.add_argument("--env", default="", metavar="NAME", help="only runs of this environment")
    parser.add_argument("--html", metavar="FILE", help="write the page for people, one self-contained file, to FILE")
    parser.add_argument("--text", metavar="FILE", help="write the text report to FILE")
    parser.add_argument("--json", metavar="FILE", help="write the JSON report to FILE")
    parser.add_argument("--sarif", metavar="FILE", help="write a SARIF 2.1.0 file for code-scanning pages to FILE")


def main(args: argparse.Namespace) -> int:
    """Writes what was asked for, the text to standard output where nothing was; 2 for a run that is not there."""
    from pytest_prodcheck.gates.paths import state_folder
    from pytest_prodcheck.plugin.outputs import write_output
    from pytest_prodcheck.reports.saved_runs import NoSuchRun, find_run

    wanted = [(form, file) for form in FORMATS if (file := getattr(args, form))]
    try:
        saved = find_run(Path(state_folder(str(Path.cwd()))), args.run, args.env)
        for form, file in wanted:
            write_output(Path(file), _written(saved, form))
        if not wanted:
            print(_written(saved, "text"), end="")
    except (NoSuchRun, OSError) as error:
        print(f"prodcheck report: {error}", file=sys.stderr)
        return 2
    return 0


def _written(saved: SavedRun, form: str) -> str:
    from pytest_prodcheck.reports import write
    from pytest_prodcheck.reports.page import run_page
    from pytest_prodcheck.reports.saved_runs import last_open
    from pytest_prodcheck.reports.symbols import takes_unicode

    run = saved.record()
    if form == "html":
        return run_page(run, saved.verdicts, before=last_open(saved.folder.parent.parent, run), charts=_charts(saved))
    return write(FORMATS[form], run, saved.verdicts, unicode=takes_unicode(sys.stdout))


def _charts(saved: SavedRun) -> str:
    """What the saved evidence tells of loads, "" where it is gone."""
    from pytest_prodcheck.evidence.gathering.store import EvidenceFilesError, load
    from pytest_prodcheck.plugin.load_plots import charts

    try:
        return charts(load(saved.folder / "evidence"))
    except EvidenceFilesError:
        return ""
