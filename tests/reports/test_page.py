"""The page of a run: the same numbers as elsewhere, nothing of a target obeyed, usable with keys and on a phone."""

from __future__ import annotations

import html
import json
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck import runbooks
from pytest_prodcheck.gates.findings import by_gravity
from pytest_prodcheck.gates.root_causes import root_causes
from pytest_prodcheck.gates.verdict import Finding, Verdict
from pytest_prodcheck.outcomes import Judgement, Outcome, Result, RunRecord, Severity, counts
from pytest_prodcheck.reports.changes import changes
from pytest_prodcheck.reports.page import run_page
from pytest_prodcheck.reports.page.contents import bar
from pytest_prodcheck.reports.page.first_steps import SentRequest
from tests.chromium import FINISH, browse, dumped
from tests.reports.hostile import STRINGS, filled_with_text
from tests.reports.samples import BLOCKED, FAILED, OPEN, PASSED, RUN, WARNED

RAN = "window.ran=1"
BEFORE = replace(
    RUN,
    revision="older",
    results=(PASSED, replace(WARNED, outcome=Outcome.PASSED), replace(FAILED, outcome=Outcome.PASSED)),
)
MANY = replace(
    RUN, results=tuple(replace(each, target=f"t{n}", kind="service") for n in range(1500) for each in RUN.results)
)


def browsed(page: str, script: str, folder: Path, *more: str) -> Any:
    """What a script sees in the page, run in Chromium when the page has loaded; the page's own policy is left out."""
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    added = f'<pre id="seen"></pre><script>{{const seen = {{}}; {script}; {FINISH}}}</script></body>'
    file = folder / "page.html"
    file.write_text(page.replace("</body>", added), encoding="utf-8")
    return browse(file.as_uri(), folder / "profile", *more)


def test_the_numbers_are_those_of_the_run() -> None:
    page = run_page(RUN, [BLOCKED])
    for outcome, number in counts(RUN.results).items():
        assert page.count(f'data-outcome="{outcome}" data-suite') == number
        assert re.search(rf"<b>{number}</b> {outcome}<", page)


def test_it_loads_nothing_and_allows_no_script_but_its_own() -> None:
    page = run_page(RUN, [BLOCKED], before=BEFORE)
    assert "default-src 'none'" in html.unescape(page)
    assert not re.findall(r'(?:src|href)="(?!#|https://runbooks\.shop\.example)[^"]*"', page)
    assert not re.findall(r"\son[a-z]+=", page)


@pytest.mark.parametrize("text", STRINGS)
def test_hostile_strings_in_every_field(text: str) -> None:
    """What stands in the page apart from scripts has only tags of ours; JSON ends no script element."""
    hostile = filled_with_text(RunRecord, text)
    page = run_page(hostile, [filled_with_text(Verdict, text)], before=hostile)
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 3
    for each in scripts[:2]:
        json.loads(each)
    ours = run_page(RUN, [BLOCKED, OPEN], before=BEFORE)
    tags = {*re.findall(r"<([a-zA-Z!/][a-zA-Z]*)", ours), "table", "thead", "tbody", "tr", "th", "td", "/table", "/tr"}
    assert set(re.findall(r"<([a-zA-Z!/][a-zA-Z]*)", page)) <= {*tags, "/thead", "/tbody", "/th", "/td", "i", "/i"}


def test_hostile_strings_run_nowhere(tmp_path: Path) -> None:
    """In Chromium, with all details open, and even where the page's policy would not forbid it."""
    hostile = [f"</script><script>{RAN}</script>", f'<img src=x onerror="{RAN}">', f"javascript:{RAN}", *STRINGS]
    results = tuple(replace(filled_with_text(Result, text), outcome=Outcome.FAILED) for text in hostile)
    page = run_page(replace(RUN, results=results), [filled_with_text(Verdict, text) for text in hostile])
    script = """
      for (let left = 100; left > 0; left--) dispatchEvent(new KeyboardEvent("keydown", { key: "n" }));
      seen.ran = window.ran ?? null; seen.open = document.querySelectorAll(".body").length;
    """
    seen = browsed(page, script, tmp_path)
    assert seen == {"ran": None, "open": len(hostile)}


def test_its_own_script_runs_under_its_policy_and_links_are_read(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(run_page(RUN, [BLOCKED]), encoding="utf-8")
    assert f"1 of {len(RUN.results)} results" in dumped(f"{file.as_uri()}#outcome=failed", tmp_path / "profile")


def test_filters_search_and_details(tmp_path: Path) -> None:
    """As somebody clicks: one outcome, a word, a result's details, all again."""
    script = """
      const visible = () => [...document.querySelectorAll(".result")].filter((each) => !each.hidden).length;
      const chip = document.querySelector('.chip[data-outcome="failed"]');
      chip.click(); seen.failed = visible(); seen.hash = location.hash;
      seen.told = document.getElementById("shown").textContent;
      chip.click(); seen.all = visible();
      const search = document.getElementById("search");
      search.value = "10.0.0.9"; search.dispatchEvent(new Event("input")); seen.found = visible();
      document.getElementById("reset").click(); seen.again = visible();
      dispatchEvent(new KeyboardEvent("keydown", { key: "n" }));
      seen.first = document.activeElement.closest(".result").dataset.outcome;
      seen.body = document.querySelector(".result[open] .body").textContent;
    """
    seen = browsed(run_page(RUN, [BLOCKED]), script, tmp_path)
    assert seen["failed"] == 1
    assert seen["hash"] == "#outcome=failed"
    assert seen["told"] == f"1 of {len(RUN.results)} results"
    assert seen["all"] == seen["again"] == len(RUN.results)
    assert seen["found"] == 1
    assert seen["first"] == "failed"
    assert "45 s is more than 30 s" in seen["body"]
    assert "team-checkout" in seen["body"]


def test_what_follows_lies_folded_beneath_what_broke_first(tmp_path: Path) -> None:
    dead = replace(FAILED, judgements=(Judgement("answers", False, Outcome.FAILED, of="10.0.0.7"),))
    more = [Result("smoke.api.endpoint", f"checkout.e{n}", Outcome.ERRORED, unreached="checkout") for n in range(9)]
    script = """
      const group = document.querySelector(".follows");
      seen.told = group.firstElementChild.textContent; seen.open = group.open;
      seen.after = group.previousElementSibling.querySelector("b").textContent;
      document.querySelector('.chip[data-outcome="errored"]').click(); seen.filtered = group.open;
    """
    seen = browsed(run_page(replace(RUN, results=(dead, *more, PASSED)), [BLOCKED]), script, tmp_path)
    assert seen["told"] == "9 more could not be checked because of this"
    assert seen["after"] == "smoke.service.addresses"
    assert (seen["open"], seen["filtered"]) == (False, True)


def test_what_nobody_could_log_in_for_follows_from_the_login() -> None:
    logins = [Result("smoke.auth.login", role, Outcome.FAILED, Severity.CRITICAL) for role in ("admin", "customer")]
    asked = [Result("smoke.api.endpoint", f"shop.{n}", Outcome.ERRORED, unreached="role customer") for n in range(3)]
    other = Result("smoke.auth.session", "x", Outcome.ERRORED, unreached="role somebody")
    assert root_causes([*logins, *asked, other]) == {each.identity: logins[1].identity for each in asked}


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_scrolls_sideways(width: int, tmp_path: Path) -> None:
    page = run_page(RUN, [BLOCKED], before=BEFORE)
    script = """
      for (const each of document.querySelectorAll("details")) each.open = true;
      seen.wide = document.documentElement.scrollWidth; seen.window = innerWidth;
    """
    seen = browsed(page, script, tmp_path, f"--window-size={width},900")
    assert seen["wide"] <= seen["window"]


def test_ten_thousand_results(tmp_path: Path) -> None:
    """Made in seconds; in the browser a filter takes well under the two seconds that a person waits for."""
    began = time.process_time()
    page = run_page(MANY, [BLOCKED])
    assert time.process_time() - began < 8
    assert len(page) < 15_000_000
    script = """
      const began = performance.now(); document.querySelector('.chip[data-outcome="failed"]').click();
      document.body.offsetHeight; seen.took = performance.now() - began;
      seen.number = [...document.querySelectorAll(".result")].filter((each) => !each.hidden).length;
    """
    seen = browsed(page, script, tmp_path)
    assert seen["number"] == 1500


def test_changes() -> None:
    found = {each.result.check: each.kind for each in changes(BEFORE, RUN)}
    assert found["smoke.service.addresses"] == found["smoke.service.latency"] == "worse"
    assert found["smoke.postgres.connects"] == "new"
    assert "smoke.service.health" not in found
    assert [each.kind for each in changes(RUN, BEFORE)].count("gone") == 4
    faster = replace(WARNED, judgements=(replace(WARNED.judgements[0], value=0.2),))
    assert [each.kind for each in changes(replace(RUN, results=(WARNED,)), replace(RUN, results=(faster,)))] == [
        "moved"
    ]
    assert changes(RUN, RUN) == []


@pytest.mark.parametrize(
    ("judgement", "value", "fail"),
    [
        (Judgement("t", 1.0, Outcome.PASSED, "s", "at_most", None, 2.0), 35.0, 70.0),
        (Judgement("t", 9.0, Outcome.FAILED, "s", "at_most", 1.0, 2.0), 100.0, 70.0),
    ],
)
def test_bars(judgement: Judgement, value: float, fail: float) -> None:
    made = bar(judgement)
    assert made is not None
    assert (made.value, made.fail) == (value, fail)


def test_what_has_no_bar() -> None:
    for value, limit in ((None, 1.0), (True, 1.0), ("x", 1.0), (1.0, None), (1.0, 0.0), (-1.0, 2.0)):
        assert bar(Judgement("t", value, Outcome.PASSED, fail=limit)) is None


def test_a_gate_names_the_cause_first_and_its_first_step() -> None:
    """Found on the page of an outage: symptoms stood before the database, clean-up before the step that broke."""
    curl = "curl -sS -i https://shop.example/orders/1"
    found = [
        Result(
            "smoke.workflow.order", "order", Outcome.FAILED, Severity.CRITICAL, reason=f"step succeeds: 503\n  | {curl}"
        ),
        Result("smoke.auth.login", "anna", Outcome.FAILED, Severity.CRITICAL, reason="answered 500"),
        Result("smoke.auth.login", "bert", Outcome.FAILED, Severity.CRITICAL, reason="answered 500"),
        Result("smoke.postgres.connects", "db", Outcome.FAILED, Severity.CRITICAL, reason="connection refused"),
        Result("smoke.tcp.open", "queue", Outcome.FAILED, Severity.HIGH, reason="connection refused"),
    ]
    found = [replace(each, runbook=f"prodcheck explain {each.check}") for each in found]
    reasons = [
        Finding(each.reason, 1, each.check, each.target, "failed", str(each.severity), runbook=each.runbook)
        for each in found
    ]
    verdict = replace(BLOCKED, reasons=by_gravity(reasons), warnings=())
    page = run_page(replace(RUN, results=tuple(found)), [verdict])
    items = re.findall(r"<li>(.*?)</li>", page.partition("</main>")[0].partition('id="results"')[0], re.DOTALL)
    told = [html.unescape(re.sub(r"<[^>]+>", " ", each)) for each in items]
    assert [re.search(r"smoke\.\w+", each)[0] for each in told if "smoke." in each][:4] == [  # type: ignore[index]
        "smoke.postgres", "smoke.auth", "smoke.workflow", "smoke.tcp",
    ]  # fmt: skip
    assert "pg_isready" in told[0]
    assert "anna" in told[1]
    assert "bert" in told[1]
    assert f"first step: {curl}" in " ".join(told[2].split())
    assert "of an example" not in told[3]  # below a step that can be pasted


@pytest.mark.parametrize("name", runbooks.names())
def test_each_runbook_has_a_whole_first_step(name: str) -> None:
    step = runbooks.first_step(name)
    assert step
    assert subprocess.run(["sh", "-n"], input=step, text=True, check=False).returncode == 0


def test_requests_and_answers_of_what_did_not_pass(tmp_path: Path) -> None:
    asked = [SentRequest("GET https://x/: 503 in 12 ms", "<b>down</b>", "curl -sS -i https://x/")]
    requests = {FAILED.evidence[0]: asked, PASSED.evidence[0]: asked}
    page = run_page(RUN, [BLOCKED], exchanges=requests)
    script = """
      for (let left = 9; left > 0; left--) dispatchEvent(new KeyboardEvent("keydown", { key: "n" }));
      seen.told = [...document.querySelectorAll(".result .body")].map((each) => each.textContent).join("\\n");
    """
    told = browsed(page, script, tmp_path)["told"]
    assert told.count("Requests and answers (1)") == 1
    assert "<b>down</b>" in told
    assert "curl -sS -i https://x/" in told
