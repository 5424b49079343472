"""The checklist before a deployment, in every format."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from pytest_prodcheck.catalogue import entries
from pytest_prodcheck.gates.verdict import Finding, NeedState
from pytest_prodcheck.outcomes import Outcome, PlannedCheck, Result, RunRecord, Severity, SkipReason
from pytest_prodcheck.reports.checklist import LINES, _line_of, checklist, checklist_lines
from pytest_prodcheck.reports.html_markup import summary
from pytest_prodcheck.reports.json_report import run_json, schema
from pytest_prodcheck.reports.terminal import summary_lines
from pytest_prodcheck.reports.text import run_text
from pytest_prodcheck.reports.text_layout import Style
from pytest_prodcheck.reports.verdict_documents import views
from tests.reports.samples import OPEN, RUN

P, F, E, W, S = Outcome.PASSED, Outcome.FAILED, Outcome.ERRORED, Outcome.WARNED, Outcome.SKIPPED


def result(check: str, outcome: Outcome, reason: str = "", skip: SkipReason | None = None) -> Result:
    return Result(check, "shop", outcome, Severity.CRITICAL, "pre_deploy", reason=reason, skip=skip)


def run(*results: Result, planned: tuple[PlannedCheck, ...] = ()) -> RunRecord:
    return RunRecord("r", "live", results=results, planned=planned)


def line(name: str, *results: Result, planned: tuple[PlannedCheck, ...] = ()) -> tuple[str, str]:
    (found,) = [each for each in checklist(run(*results, planned=planned), ()) if each.name == name]
    return found.state, found.detail


AGE = "pre_deploy.backups.age"


@pytest.mark.parametrize(
    ("results", "state", "detail"),
    [
        ([result(AGE, P)], "ticked", "1 check passed"),
        ([result(AGE, P), result("pre_deploy.backups.size", W, "it is half")],
         "ticked", "warns: pre_deploy.backups.size on shop: it is half; 2 checks passed"),
        ([result(AGE, P), result("pre_deploy.backups.size", S, skip=SkipReason.OUT_OF_REACH)],
         "ticked", "1 check passed; 1 not judged (out-of-reach)"),
        ([result(AGE, F, "too old\nmore"), result("pre_deploy.backups.size", E, "odd")],
         "crossed", "pre_deploy.backups.age on shop: too old"),
        ([result(AGE, P), result("pre_deploy.backups.size", E, "no answer")],
         "open", "cannot tell: pre_deploy.backups.size on shop: no answer"),
        ([result(AGE, S, skip=SkipReason.NOT_CONFIGURED)], "open", "not judged: not-configured"),
        ([result(AGE, P), result("pre_deploy.backups.size", S, "", SkipReason.OPT_IN)],
         "open", "not judged: pre_deploy.backups.size on shop: opt-in"),
        ([result(AGE, P), result("pre_deploy.backups.size", S, "by a conftest", SkipReason.FOREIGN)],
         "open", "not judged: pre_deploy.backups.size on shop: by a conftest"),
        ([result("pre_deploy.approval", P)], "open", "not judged: none of its checks was selected"),
    ],
)  # fmt: skip
def test_a_line(results: list[Result], state: str, detail: str) -> None:
    assert line("Backups", *results) == (state, detail)


def test_what_was_planned_and_has_no_result_is_open() -> None:
    planned = (PlannedCheck(AGE, "shop"), PlannedCheck("pre_deploy.backups.size", "shop"))
    assert line("Backups", result(AGE, P), planned=planned) == (
        "open", "without a result: pre_deploy.backups.size on shop",
    )  # fmt: skip


def test_a_waived_failure_stays_crossed_and_says_so() -> None:
    waived = replace(OPEN, waived=(Finding("old", check=AGE, target="shop"),))
    (found,) = [each for each in checklist(run(result(AGE, F, "old")), views([waived])) if each.name == "Backups"]
    assert (found.state, found.detail) == ("crossed", f"{AGE} on shop: old (waived)")


@pytest.mark.parametrize(("codes", "state"), [((0, 0), "ticked"), ((0, 3), "open"), ((3, 1), "crossed"), ((), "open")])
def test_promotion_is_what_the_gate_needs(codes: tuple[int, ...], state: str) -> None:
    needs = tuple(NeedState("staging", f"gate-{place}", code, "told") for place, code in enumerate(codes))
    found = checklist(run(result(AGE, P)), views([replace(OPEN, needs=needs)]))
    (promotion,) = [each for each in found if each.name == "Promotion"]
    assert promotion.state == state
    assert not codes or "staging:gate-" in promotion.detail
    assert line("Promotion", result(AGE, P)) == ("open", "not judged: this run changed no gate")


def test_every_bundled_check_has_a_line_and_a_teams_own_ones_get_one() -> None:
    lines = {entry.id: _line_of(entry.id, "") for entry in entries() if entry.suite == "pre_deploy"}
    assert "Others" not in lines.values(), lines
    assert _line_of("smoke.service.health", "smoke") == ""
    assert _line_of("shop.release.notes", "pre_deploy") == "Others"
    assert "Others" not in [each.name for each in checklist(run(result(AGE, P)), ())]
    assert set(LINES) >= set(lines.values())


def test_every_format_has_it_at_its_top() -> None:
    record = replace(RUN, results=(*RUN.results, result(AGE, F, "<b>3 days</b>")))
    text = run_text(record, [OPEN])
    assert text.index("BEFORE THE DEPLOYMENT") < text.index("OUTCOMES")
    assert "BEFORE THE DEPLOYMENT" in summary_lines(record, [OPEN])[2]
    page = summary(record, views([OPEN]))
    assert page.index("pc-checklist") < page.index("pc-gate")
    assert "&lt;b&gt;3 days&lt;/b&gt;" in page
    document = json.loads(run_json(record, [OPEN]))
    jsonschema.validate(document, schema())
    states = {each["name"]: each["state"] for each in document["checklist"]}
    assert (states["Backups"], states["Approval"]) == ("crossed", "open")


def test_runs_of_other_suites_have_none() -> None:
    assert checklist_lines(RUN, [], Style()) == []
    assert "pc-checklist" not in summary(RUN, [])
    assert "checklist" not in json.loads(run_json(RUN, []))
