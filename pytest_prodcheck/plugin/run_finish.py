"""The end of a run: its record, the verdicts, the files of the run and the reports that were asked for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck import catalogue
from pytest_prodcheck.outcomes import NO_TARGET, PlannedCheck, Result, RunRecord, Severity
from pytest_prodcheck.plugin.outputs import write_output, write_whole
from pytest_prodcheck.plugin.report_redaction import clean_result

if TYPE_CHECKING:
    from pytest_prodcheck.gates.verdict import Verdict
    from pytest_prodcheck.plugin.gathering import Gathering
    from pytest_prodcheck.plugin.run_start import RunContext


def make_record(
    opened: RunContext,
    gathering: Gathering,
    results: Iterable[Result],
    collected: dict[tuple[str, str], PlannedCheck],
    places: Mapping[str, str],
    problems: Iterable[str],
    interrupted: str,
) -> RunRecord:
    """The run's record: what was judged beside what its gates should have had judged.

    places: check id as written -> the file it was collected from.
    """
    planned = {(each.check, each.target): each for each in catalogue.planned(opened.scope)} | collected
    for own in (each for each in opened.own_checks if each.id not in places):
        for policy in opened.policies:
            name = next((each for each in opened.ids_of(own) if policy.selects(each, own.suite)), own.id)
            planned[(name, NO_TARGET)] = PlannedCheck(name, NO_TARGET, Severity.HIGH, own.suite)
    known = opened.known() | {check for check, _ in planned}
    wanted = [
        planned[key]
        for key in sorted(planned)
        if any(policy.selects(planned[key].check, planned[key].suite) for policy in opened.policies)
    ]
    return replace(
        opened.blank_record(),
        ended_at=time.time(),
        results=tuple(clean_result(result, gathering.redactor.redact) for result in results),
        planned=tuple(wanted),
        known=tuple(sorted(known)),
        problems=tuple(dict.fromkeys(gathering.redactor.redact(each) for each in problems)),
        interrupted=interrupted,
        waited=gathering.waited,
    )


def save(opened: RunContext, gathering: Gathering, run: RunRecord, verdicts: Sequence[Verdict]) -> str:
    """Writes the run, its evidence and the reports; returns what went wrong, "" where all is written."""
    from pytest_prodcheck.gates.files import make_folder_in, make_private
    from pytest_prodcheck.reports import write
    from pytest_prodcheck.reports.json_report import dump_run
    from pytest_prodcheck.reports.saved_runs import SUMMARY, summary

    options = opened.options
    try:
        folder = opened.state / "runs" / run.id
        make_private(opened.state)
        make_folder_in(opened.state, folder / "evidence")
        _ignored(opened.state)
        write_whole(folder / "run.json", dump_run(run), 0o600)
        write_whole(folder / SUMMARY, summary(run, verdicts), 0o600)
        gathering.save(folder)
        _forget_old(opened.state / "runs", opened.environment.evidence.keep)
        if options.prodcheck_json:
            write_output(Path(options.prodcheck_json), write("json", run, verdicts))
        if options.prodcheck_sarif:
            write_output(Path(options.prodcheck_sarif), write("sarif", run, verdicts))
        if options.prodcheck_html:
            write_output(Path(options.prodcheck_html), _page(opened, gathering, run, verdicts))
        if options.prodcheck_report:
            write_output(Path(options.prodcheck_report), write("text", run, verdicts))
    except OSError as error:
        return f"the run could not be saved: {error}"
    return ""


def _page(opened: RunContext, gathering: Gathering, run: RunRecord, verdicts: Sequence[Verdict]) -> str:
    from pytest_prodcheck.environments.secrets import SecretResolver
    from pytest_prodcheck.plugin.http_exchanges import requests_of
    from pytest_prodcheck.plugin.load_plots import charts
    from pytest_prodcheck.plugin.trends import trends_of
    from pytest_prodcheck.reports.page import run_page
    from pytest_prodcheck.reports.saved_runs import last_open

    before = last_open(opened.state, run)
    asked = requests_of(gathering.source, run, gathering.redactor.redact)
    project = opened.configuration.project
    resolver = SecretResolver(opened.configuration.root, project.pass_environment)
    trends = trends_of(opened.state, project.events, resolver.resolve, run)
    return run_page(run, verdicts, before=before, charts=charts(gathering.source), exchanges=asked, trends=trends)


def _ignored(state: Path) -> None:
    """Keeps the state out of version control: it holds the key."""
    file = state / ".gitignore"
    if not file.exists():
        write_whole(file, "*\n", 0o600)


def _forget_old(runs: Path, keep: float) -> None:
    """Removes the runs that are older than the environment's `evidence.keep` seconds."""
    for folder in runs.iterdir():
        with suppress(FileNotFoundError):  # another run tidies up at the same time
            if folder.is_dir() and folder.stat().st_mtime < time.time() - keep:
                shutil.rmtree(folder, ignore_errors=True)
