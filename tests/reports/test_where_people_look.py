"""One run in every format that other programs read: the same counts, each read by its own parser or tool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.outcomes import Outcome, RunRecord, counts
from pytest_prodcheck.plugin.ci_pages import add_step_summary, workflow_commands
from pytest_prodcheck.reports import WRITERS, write
from pytest_prodcheck.reports.nagios import state
from tests.reports.hostile import STRINGS, filled_with_text
from tests.reports.samples import BLOCKED, CANNOT_TELL, OPEN, PASSED, REFUSED, RUN, WAIVED

NUMBERS = counts(RUN.results)
BAD = NUMBERS[Outcome.FAILED] + NUMBERS[Outcome.ERRORED]


def test_markdown() -> None:
    text = write("markdown", RUN, [BLOCKED])
    rows = [line for line in text.splitlines() if line.startswith("| ") and "check |" not in line]
    assert len(rows) == BAD + NUMBERS[Outcome.WARNED]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)
    assert "BLOCKED: smoke" in text
    for outcome, number in NUMBERS.items():
        assert not number or f"{number} {outcome}" in text


def test_annotations_of_github() -> None:
    lines = write("github", RUN, []).splitlines()
    found = Counter(line.partition(" ")[0] for line in lines)
    assert found == {"::error": BAD, "::warning": NUMBERS[Outcome.WARNED]}
    assert all(re.fullmatch(r"::\w+ file=[^:,]+,line=\d+,title=[^:,]+::.+", line) for line in lines)
    assert "10.0.0.7: 31 s is more than 30 s%0Atime to answer" in "".join(lines)


def test_github_is_told_only_there(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    there = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(file)}
    assert workflow_commands(RUN, {}) == []
    assert len(workflow_commands(RUN, there)) == BAD + NUMBERS[Outcome.WARNED]
    add_step_summary(RUN, [BLOCKED], {})
    assert not file.exists()
    add_step_summary(RUN, [BLOCKED], there)
    add_step_summary(RUN, [OPEN], there)
    assert file.read_text(encoding="utf-8").count("## ") == 2
    add_step_summary(RUN, [OPEN], {**there, "GITHUB_STEP_SUMMARY": str(tmp_path)})  # a folder: said, not raised


def test_code_quality_of_gitlab() -> None:
    """The keys and levels that GitLab's documentation of code quality reports asks for."""
    found = json.loads(write("gitlab", RUN, []))
    assert len(found) == BAD + NUMBERS[Outcome.WARNED]
    for each in found:
        assert set(each) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert each["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert not each["location"]["path"].startswith(("/", "./"))
        assert each["location"]["lines"]["begin"] >= 1
    assert len({each["fingerprint"] for each in found}) == len(found)


def test_tap_as_prove_reads_it(tmp_path: Path) -> None:
    prove = shutil.which("prove")
    if prove is None:
        pytest.skip("no prove, which reads TAP; install: apt-get install perl")
    ended = RunRecord("x", "e", results=RUN.results)
    file = tmp_path / "run.tap"
    file.write_text(write("tap", ended, []), encoding="utf-8")
    done = subprocess.run([prove, "--exec", "cat", file], capture_output=True, text=True, check=False)
    assert f"Failed {BAD}/{len(RUN.results)} subtests" in done.stdout + done.stderr
    assert f"{NUMBERS[Outcome.SKIPPED]} skipped" in done.stdout + done.stderr
    file.write_text(write("tap", RUN, []), encoding="utf-8")
    done = subprocess.run([prove, "--exec", "cat", file], capture_output=True, text=True, check=False)
    assert "Bailout called" in done.stdout + done.stderr
    good = RunRecord("x", "e", results=(PASSED,))
    file.write_text(write("tap", good, []), encoding="utf-8")
    assert subprocess.run([prove, "--exec", "cat", file], capture_output=True, check=False).returncode == 0


def test_tap_of_a_gate_that_is_closed_for_what_is_missing() -> None:
    good = RunRecord("x", "e", results=(PASSED,))
    assert write("tap", good, [CANNOT_TELL]).splitlines()[-1] == "Bail out! gate smoke: cannot-tell"
    assert "Bail out!" not in write("tap", good, [OPEN])


DATUM = re.compile(r"'[^'=|]+'=-?[\d.e+-]+(s|%|B)?(;[\d.e+-]*:?(;[\d.e+-]*:?)?)?")


def test_nagios() -> None:
    """Performance data by the guidelines of monitoring-plugins.org: 'label'=value[UOM];[warn];[crit]."""
    text = write("nagios", RUN, [BLOCKED])
    head, _, data = text.splitlines()[0].partition(" | ")
    assert head.startswith("PRODCHECK CRITICAL - production: ")
    assert "'smoke.service.latency@shop'=0.64s;0.5;2" in data
    assert all(DATUM.fullmatch(each) for each in re.findall(r"'[^']+'=\S+", data))
    assert len(text.splitlines()) == 1 + BAD + NUMBERS[Outcome.WARNED]


FRESH = replace(OPEN, expires_at=time.time() + 86_400)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [([FRESH], 1), ([BLOCKED], 2), ([CANNOT_TELL], 3), ([REFUSED], 3), ([], 3), ([FRESH, BLOCKED], 2)],
)
def test_states_of_nagios(verdicts: list[Verdict], code: int) -> None:
    assert state(RUN, verdicts) == code
    assert state(RunRecord("x", "e", results=(PASSED,)), [FRESH]) == 0
    assert state(RUN, [replace(WAIVED, expires_at=FRESH.expires_at)]) == 1


def test_nagios_does_not_believe_a_run_that_nothing_followed() -> None:
    """The job that starts the runs has stopped: the last one's verdict has expired."""
    run = RunRecord("x", "e", results=(PASSED,))
    old = replace(OPEN, expires_at=time.time() - 60)
    assert (state(run, [old]), state(run, [FRESH, old]), state(run, [old, BLOCKED])) == (3, 3, 2)
    head = write("nagios", run, [old]).splitlines()[0]
    assert head.startswith("PRODCHECK UNKNOWN - e: 1 passed, but the verdict of smoke has expired: does no run follow?")


def test_prometheus_as_promtool_reads_it() -> None:
    text = write("prometheus", RUN, [BLOCKED])
    for outcome, number in NUMBERS.items():
        assert re.search(rf'^prodcheck_results{{[^}}]*outcome="{outcome}"}} {number}$', text, re.MULTILINE)
    assert re.search(r'^prodcheck_gate_code{[^}]*gate="smoke"} 1$', text, re.MULTILINE)
    assert text.count("prodcheck_result{") == len(RUN.results)
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool, which reads metrics; install: apt-get install prometheus")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for each in STRINGS:
        hostile = write("prometheus", filled_with_text(RunRecord, each), [])
        done = subprocess.run(
            [promtool, "check", "metrics"], input=hostile, capture_output=True, text=True, check=False
        )
        assert "error while" not in done.stderr, done.stderr


def test_badge() -> None:
    told = {
        status: ET.fromstring(write("badge", RUN, [each])).get("aria-label")
        for status, each in ((0, OPEN), (1, BLOCKED))
    }
    assert told == {0: "production: open", 1: "production: blocked"}
    assert ET.fromstring(write("badge", RUN, [])).get("aria-label") == "production: cannot tell"


@pytest.mark.parametrize("text", STRINGS)
@pytest.mark.parametrize("form", sorted(WRITERS))
def test_hostile_strings_are_obeyed_by_none(form: str, text: str) -> None:
    """No control character, no workflow command of a target's, no second line in a table, no new element."""
    run, verdict = filled_with_text(RunRecord, text), filled_with_text(Verdict, text)
    made = write(form, run, [verdict])
    made.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", made)
    if form in ("json", "gitlab", "sarif"):
        json.loads(made)
    if form == "badge":
        assert {each.tag.rpartition("}")[2] for each in ET.fromstring(made).iter()} <= {
            "svg",
            "title",
            "rect",
            "g",
            "text",
        }
    if form == "github":
        assert all(line.startswith(("::error file=", "::warning file=")) for line in made.splitlines())
    elif form != "page":
        assert not re.search(r"^\s*::(error|set-output|stop-commands)", made, re.MULTILINE)
    if form == "markdown":
        assert "<script" not in made.replace("\\<", "")
