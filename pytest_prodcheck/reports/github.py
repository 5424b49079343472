"""GitHub Actions: annotations of a workflow run, one for each result that needs attention."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_prodcheck.outcomes import Outcome, Result, RunRecord
from pytest_prodcheck.reports.escaping import safe, safe_lines
from pytest_prodcheck.reports.measurement_text import needing_attention
from pytest_prodcheck.reports.source_locations import source_line
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, subject_of

MOST = 10  # GitHub shows ten errors and ten warnings of a step


def run_annotations(run: RunRecord, verdicts: Iterable[AnyVerdict] = (), *, unicode: bool = True) -> str:
    """Workflow commands (`::error file=…,line=…,title=…::…`), a line each; "" where nothing needs attention."""
    found = needing_attention(run.results)
    shown = [_annotation(each, run) for each in found if each.outcome is not Outcome.WARNED][:MOST]
    shown += [_annotation(each, run) for each in found if each.outcome is Outcome.WARNED][:MOST]
    return "".join(f"{each}\n" for each in shown)


def _annotation(result: Result, run: RunRecord) -> str:
    level = "warning" if result.outcome is Outcome.WARNED else "error"
    file, line = source_line(result, run)
    title = f"{subject_of(result)}: {result.outcome}"
    said = [*safe_lines(result.reason), *([f"how to fix: {safe(result.runbook)}"] if result.runbook else [])]
    named = f"file={_property(safe(file))},line={line},title={_property(title)}"
    return f"::{level} {named}::{_data(chr(10).join(said) or str(result.outcome))}"


def _data(text: str) -> str:
    """As GitHub's toolkit escapes a command's data."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
