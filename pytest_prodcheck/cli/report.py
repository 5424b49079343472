"""`prodcheck report`: a report of a saved run, in any format."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.cli.error_messages import complain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_prodcheck.outcomes import RunRecord
    from pytest_prodcheck.reports.page.first_steps import Requests, SentRequest
    from pytest_prodcheck.reports.page.trend_figures import Trends
    from pytest_prodcheck.reports.saved_runs import SavedRun

EXAMPLES = """\
  prodcheck report                              the newest run as text
  prodcheck report --html report.html           the newest run as an HTML page
  prodcheck report 20261130T1007 --format markdown > comment.md
  prodcheck report shard-1/ shard-2/ --html report.html      several runs of one pipeline, shown as one
  prodcheck report --env production --format nagios      exits with 0, 1, 2 or 3, like a Nagios plugin
  prodcheck report --env production --format prometheus --output /var/lib/node_exporter/prodcheck.prom
"""
FORMATS = (
    "text", "json", "html", "sarif", "markdown", "github", "gitlab", "tap", "nagios", "prometheus", "badge", "junit",
)  # fmt: skip
_SHORT = ("html", "json", "sarif", "junit")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck report`."""
    about = "id of the run, the start of the id, or the run's folder (default: latest); several runs are shown as one"
    parser.add_argument("runs", nargs="*", metavar="RUN", help=about)
    parser.add_argument("--env", default="", metavar="NAME", help="only runs of this environment")
    parser.add_argument("--format", choices=FORMATS, help="output format (default: text)")
    parser.add_argument("--output", metavar="FILE", help="output file (default: standard output)")
    parser.add_argument("--html", metavar="FILE", help="write the HTML report, one self-contained file, to FILE")
    parser.add_argument("--json", metavar="FILE", help="write the JSON report to FILE")
    parser.add_argument("--sarif", metavar="FILE", help="write a SARIF 2.1.0 file for code-scanning pages to FILE")
    parser.add_argument("--junit-xml", dest="junit", metavar="FILE", help="write a JUnit file to FILE")


def main(args: argparse.Namespace) -> int:
    """Writes what was asked for, the text to standard output where nothing was; 2 for a run that is not there."""
    from pytest_prodcheck.plugin.outputs import write_output
    from pytest_prodcheck.reports.saved_runs import NoSuchRun

    files = [(form, file) for form in _SHORT if (file := getattr(args, form))]
    shown = args.format or ("text" if args.output or not files else "")
    try:
        saved, run, verdicts = chosen(args.runs, args.env)
        for form, file in [*files, *([(shown, args.output)] if shown and args.output else [])]:
            write_output(Path(file), _rendered_report(saved, run, verdicts, form))
        if shown and not args.output:
            print(_rendered_report(saved, run, verdicts, shown, color=True), end="")
    except (NoSuchRun, OSError) as error:
        complain("report", error)
        return 3 if shown == "nagios" else 2
    if shown == "nagios":
        from pytest_prodcheck.reports.nagios import state as nagios_state

        return nagios_state(run, verdicts)
    return 0


def chosen(names: Sequence[str], environment: str) -> tuple[list[SavedRun], RunRecord, list[Mapping[str, object]]]:
    """The saved runs of these names, the newest where there is none, and what they are as one; raises NoSuchRun."""
    from pytest_prodcheck.gates.paths import state_folder
    from pytest_prodcheck.reports.merging import merged, merged_verdicts
    from pytest_prodcheck.reports.saved_runs import find_run

    state = Path(state_folder(str(Path.cwd())))
    saved = [find_run(state, each, environment) for each in names or ["latest"]]
    run = merged([each.record() for each in saved])
    return saved, run, merged_verdicts([document for each in saved for document in each.verdicts])


def _rendered_report(
    saved: list[SavedRun], run: RunRecord, verdicts: list[Mapping[str, object]], form: str, *, color: bool = False
) -> str:
    from pytest_prodcheck.reports import write
    from pytest_prodcheck.reports.page import run_page
    from pytest_prodcheck.reports.saved_runs import last_open
    from pytest_prodcheck.reports.symbols import takes_color, takes_unicode
    from pytest_prodcheck.reports.text import run_text

    if form == "html":
        charts, asked = _from_evidence(saved, run)
        before = last_open(saved[0].folder.parent.parent, run)
        trends = _trends(saved[0].folder.parent.parent, run)
        return run_page(run, verdicts, before=before, charts=charts, exchanges=asked, trends=trends)
    if form == "text":
        return run_text(run, verdicts, unicode=takes_unicode(sys.stdout), color=color and takes_color(sys.stdout))
    return write(form, run, verdicts, unicode=takes_unicode(sys.stdout))


def _trends(state: Path, run: RunRecord) -> Trends:
    """From the event log of the project here; nothing of another one's run, whose folder may name programs to start."""
    from pytest_prodcheck.environments.loading import ConfigurationError, find_configuration, load
    from pytest_prodcheck.environments.secrets import SecretResolver
    from pytest_prodcheck.gates.paths import state_folder
    from pytest_prodcheck.plugin.trends import trends_of

    own = Path(state_folder(str(Path.cwd())))
    if state.resolve() != own.resolve():
        return {}
    try:
        path = find_configuration(Path.cwd())
        project = load(path).project if path is not None else None
    except ConfigurationError:
        return {}
    events, passed = (project.events, project.pass_environment) if project is not None else (None, ())
    return trends_of(own, events, SecretResolver(own.parent, passed).resolve, run)


def _from_evidence(saved: list[SavedRun], run: RunRecord) -> tuple[str, Requests]:
    """What the saved evidence tells of loads and of requests; nothing of a run whose evidence is gone."""
    from pytest_prodcheck.evidence.gathering.store import EvidenceFilesError, load
    from pytest_prodcheck.plugin.http_exchanges import requests_of
    from pytest_prodcheck.plugin.load_plots import charts

    drawn = ""
    asked: dict[str, Sequence[SentRequest]] = {}
    for each in saved:
        try:
            source = load(each.folder / "evidence")
        except EvidenceFilesError:
            continue
        drawn += charts(source)
        asked |= requests_of(source, run)
    return drawn, asked
