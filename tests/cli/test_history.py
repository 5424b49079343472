"""What the event log tells of a project's past."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.project import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project.make(tmp_path_factory.mktemp("history"))
    for before, after in (("1.0", "11.0"), ("11.0", "2.0"), ("2.0", "3.0")):
        made.pytest()
        made.edit(f"value = {before}", f"value = {after}")
    return made


def test_one_check_over_time(project: Project) -> None:
    rows = json.loads(project.prodcheck("history", "t.smoke.one@fact", "--env", "dev", "--format", "json").stdout)
    assert [(row["outcome"], row["value"]) for row in rows] == [("passed", 1.0), ("failed", 11.0), ("passed", 2.0)]
    text = project.prodcheck("history", "t.smoke.one@fact", "--env", "dev").stdout
    assert "least 1" in text
    assert "most 11" in text


def test_the_page_of_a_run_draws_the_trend_beside_its_limit(project: Project) -> None:
    """Of a saved run, up to that run."""
    page = project.folder / "page.html"
    assert project.prodcheck("report", "--html", str(page)).returncode == 0
    drawn = figure(page, "t.smoke.one")
    assert "first 1, last 2, limit ≤ 10; 3 runs" in drawn
    assert 'class="pc-rule pc-limit"' in drawn
    assert drawn.count("pc-failed") == 1
    (oldest, *_) = sorted(each.name for each in (project.folder / ".prodcheck" / "runs").iterdir())
    project.prodcheck("report", oldest, "--html", str(page))
    assert 'class="pc-figure trend"' not in page.read_text(encoding="utf-8")  # a value is no trend


def figure(page: Path, check: str) -> str:
    html = page.read_text(encoding="utf-8")
    found: list[str] = re.findall(r'<figure class="pc-figure trend".*?</figure>', html, re.DOTALL)
    (drawn,) = [each for each in found if check in each]
    return drawn


def test_runs_that_could_not_tell_are_gaps(tmp_path: Path) -> None:
    """On the page that a run writes itself, before its values are in the log."""
    project = Project.make(tmp_path)
    page = project.folder / "page.html"
    for before, after in (("1.0", '"x"'), ('"x"', "3.0")):
        project.pytest()
        project.edit(f"value = {before}", f"value = {after}")
    project.pytest(f"--prodcheck-html={page}")
    drawn = figure(page, "t.smoke.one")
    assert "first 1, last 3, limit ≤ 10; 3 runs, 1 without a value" in drawn
    assert len(re.findall(r'pc-p95" d="M[^M]*h0M[^M]*h0"', drawn)) == 1
    text = project.prodcheck("history", "t.smoke.one@fact", "--env", "dev").stdout
    assert re.search(r"^\S·\S  least 1", text)


def test_which_evidence_took_longest(project: Project) -> None:
    told = json.loads(project.prodcheck("history", "--env", "dev", "--format", "json").stdout)["slowest_evidence"]
    assert [(each["collector"], each["target"], each["runs"]) for each in told] == [("fact", "fact", 3)]
    assert 0 < told[0]["median"] <= told[0]["worst"]
    assert "slowest evidence: fact of fact took " in project.prodcheck("history", "--env", "dev").stdout


def test_runs_and_the_time_a_gate_was_shut(project: Project) -> None:
    found = json.loads(project.prodcheck("history", "--env", "dev", "--format", "json").stdout)
    assert len(found["runs"]) == 3
    (shut,) = found["shut"]
    assert shut["gate"] == "smoke"
    assert shut["ended"] > shut["began"]
    assert "opened after" in project.prodcheck("history", "--env", "dev").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("t.smoke.oen@fact", "--env", "dev"), "did you mean t.smoke.one@fact"),
        (("--env", "live"), "no run of live"),
        (("--env", "dev", "--since", "soon"), "soon"),
    ],
)
def test_what_is_not_there(project: Project, words: tuple[str, ...], told: str) -> None:
    done = project.prodcheck("history", *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_log_that_cannot_be_written_changes_no_verdict(tmp_path: Path) -> None:
    project = Project.make(tmp_path)
    assert project.pytest().returncode == 0
    (project.folder / ".prodcheck" / "events.db").write_bytes(b"no database" * 100)
    done = project.pytest()
    assert done.returncode == 0
    assert "the run is not in the event log" in done.stdout
    assert project.gate() == 0
