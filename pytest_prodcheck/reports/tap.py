"""TAP version 13 (testanything.org), for whatever reads it, such as `prove` and Jenkins; prove refuses version 14."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from pytest_prodcheck.outcomes import Outcome, Result, RunRecord
from pytest_prodcheck.reports.escaping import safe, safe_lines
from pytest_prodcheck.reports.measurement_text import by_gravity
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, status_of, subject_of, views

_BAD = (Outcome.FAILED, Outcome.ERRORED)


def run_tap(run: RunRecord, verdicts: Iterable[AnyVerdict] = (), *, unicode: bool = True) -> str:
    """A test point a result: failed and errored are "not ok"; a run that did not end well bails out.

    So does one whose gate is closed although each point is ok: what is missing has no point.
    """
    results = sorted(run.results, key=by_gravity)
    lines = ["TAP version 13", f"1..{len(results)}"]
    for number, each in enumerate(results, 1):
        lines += _point(number, each)
    ended = run.interrupted or next(iter(run.problems), "")
    if not any(each.outcome in _BAD for each in results):
        closed = (each for each in views(verdicts) if each.number("code") != 0)
        ended = ended or next((f"gate {each.text('gate')}: {status_of(each)}" for each in closed), "")
    if ended:
        lines.append(f"Bail out! {_escaped_description(safe(ended))}")
    return "\n".join(lines) + "\n"


def _point(number: int, result: Result) -> Iterator[str]:
    ok = "not ok" if result.outcome in _BAD else "ok"
    line = f"{ok} {number} - {_escaped_description(subject_of(result))}"
    if result.outcome is Outcome.SKIPPED:
        yield f"{line} # SKIP {_escaped_description(str(result.skip or ''))}".rstrip()
        return
    yield line
    if result.outcome is not Outcome.PASSED:
        yield "  ---"
        yield f"  outcome: {result.outcome}"
        yield f"  severity: {result.severity}"
        yield f"  message: {json.dumps('; '.join(safe_lines(result.reason)))}"
        yield "  ..."


def _escaped_description(text: str) -> str:
    r"""A description, in which `#` would begin a directive and `\` escapes."""
    return text.replace("\\", "\\\\").replace("#", "\\#")
