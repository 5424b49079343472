"""Roles at endpoints as a table, in every format."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema

from pytest_prodcheck.outcomes import Judgement, Outcome, Result, Severity, SkipReason
from pytest_prodcheck.reports.html_markup import summary
from pytest_prodcheck.reports.json_report import run_json, schema
from pytest_prodcheck.reports.role_matrix import CHECK, IN, OUT, matrix, matrix_lines
from pytest_prodcheck.reports.terminal import summary_lines
from pytest_prodcheck.reports.text import run_text
from pytest_prodcheck.reports.text_layout import Style
from tests.reports.samples import RUN


def result(target: str, outcome: Outcome, *judgements: Judgement, **more: object) -> Result:
    base = Result(CHECK, target, outcome, Severity.CRITICAL, "security", judgements=judgements)
    return replace(base, **more)  # type: ignore[arg-type]


P, F, E, W = Outcome.PASSED, Outcome.FAILED, Outcome.ERRORED, Outcome.WARNED
REPORT = result(
    "shop.report", F,
    Judgement(OUT, 401.0, P, of="anonymous"),
    Judgement(OUT, 200.0, F, of="customer", reason="refusal of customer: answered 200: access was granted"),
    Judgement(IN, 200.0, P, of="admin"),
    Judgement(OUT, 405.0, P, of="customer by HEAD"),
    Judgement(OUT, None, E, of="customer by HEAD with X-Method-Override: GET"),
)  # fmt: skip
ACCOUNT = result(
    "shop.account", W, Judgement(OUT, 401.0, P, of="anonymous"), Judgement(IN, 404.0, W, of="customer"),
    Judgement(OUT, 403.0, P, of="customer by HEAD"),
)  # fmt: skip
CLOSED = result("shop.price", Outcome.SKIPPED, skip=SkipReason.OPT_IN)
LOST = result("shop.lost", E, reason="role admin cannot log in\nand more")
WITH = replace(RUN, results=(*RUN.results, ACCOUNT, REPORT, CLOSED, LOST))


def test_the_table_in_a_terminal() -> None:
    assert matrix_lines(WITH, Style(unicode=False)) == [
        "ACCESS BY ROLE",
        "                anonymous  customer      admin   other methods",
        "  shop.report   out 401    FAIL in 200   in 200  ERR",
        "  shop.account  out 401    WARN out 404  -       out",
        "  shop.lost: role admin cannot log in",
        "  shop.price: skipped: opt-in",
        "  in: access was given; out: access was refused; -: not requested. Entries without a mark are as declared.",
    ]


def test_the_worst_come_first_and_the_rest_is_counted() -> None:
    lines = matrix_lines(WITH, Style(), most=1)
    assert "shop.report" in lines[2]
    assert lines[3] == "  and 3 more (listed in the report)"


def test_there_is_no_table_without_judged_roles() -> None:
    assert matrix(RUN) is None
    assert matrix_lines(replace(RUN, results=(CLOSED, LOST)), Style()) == []
    assert "ACCESS BY ROLE" not in run_text(RUN, [])
    assert "matrix" not in json.loads(run_json(RUN, []))


def test_every_format_has_it() -> None:
    assert "ACCESS BY ROLE" in run_text(WITH, [])
    assert "ACCESS BY ROLE" in "\n".join(summary_lines(WITH, []))
    page = summary(WITH, [])
    assert '<th>shop.report</th><td class="pc-green" data-outcome="passed"' in page
    assert 'data-outcome="failed" title="refusal of customer: answered 200: access was granted">' in page
    document = json.loads(run_json(WITH, []))
    jsonschema.validate(document, schema())
    (report,) = [row for row in document["matrix"]["rows"] if row["target"] == "shop.report"]
    reason = "refusal of customer: answered 200: access was granted"
    assert report["cells"]["customer"] == {"outcome": "failed", "way": "in", "status": 200, "reason": reason}
    assert document["matrix"]["columns"] == ["anonymous", "customer", "admin", "other methods"]


def test_hostile_names_are_escaped() -> None:
    evil = result("shop.<script>", F, Judgement(OUT, 200.0, F, of="<b>", reason='"><script>'))
    page = summary(replace(RUN, results=(evil,)), [])
    assert "<script>" not in page.partition("</style>")[2].replace("<script>!", "")
    assert "\x1b" not in "\n".join(matrix_lines(replace(RUN, results=(replace(evil, target="a\x1b[2Jb"),)), Style()))
