"""Saved runs once more: listed, shown in every format, compared; what is not there is one message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.project import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An open run, then one that a changed value blocks."""
    made = Project.make(tmp_path_factory.mktemp("saved"))
    made.pytest()
    made.edit("value = 1.0", "value = 11.0")
    made.pytest("--prodcheck-html", "live.html")
    return made


def test_runs_are_listed_the_newest_first(project: Project) -> None:
    blocked, good = project.prodcheck("runs").stdout.splitlines()
    assert "smoke BLOCKED" in blocked
    assert "1 failed" in blocked
    assert "smoke OPEN" in good
    rows = json.loads(project.prodcheck("runs", "--most", "1", "--format", "json").stdout)
    assert [row["counts"]["failed"] for row in rows] == [1]


def test_the_page_is_the_same_as_that_of_the_run(project: Project) -> None:
    done = project.prodcheck("report", "--html", "again.html")
    assert done.returncode == 0, done.stderr
    again, live = (Path(project.folder / name).read_text(encoding="utf-8") for name in ("again.html", "live.html"))
    assert again == live
    assert "Since the last open run" in live
    assert "became worse" in live


def test_every_format(project: Project) -> None:
    done = project.prodcheck("report", "latest", "--json", "r.json", "--sarif", "r.sarif")
    assert done.returncode == 0, done.stderr
    assert json.loads((project.folder / "r.json").read_text())["counts"]["failed"] == 1
    assert json.loads((project.folder / "r.sarif").read_text())["version"] == "2.1.0"
    assert "BLOCKED" in project.prodcheck("report").stdout


def test_what_differs(project: Project) -> None:
    done = project.prodcheck("diff")
    assert done.returncode == 0, done.stderr
    assert "became worse" in done.stdout
    rows = json.loads(project.prodcheck("diff", "--format", "json").stdout)["changes"]
    assert [row["kind"] for row in rows] == ["worse"]
    (newest, oldest) = (line.split()[0] for line in project.prodcheck("runs").stdout.splitlines())
    assert "became better" in project.prodcheck("diff", newest, oldest).stdout
    assert "nothing differs" in project.prodcheck("diff", newest, newest).stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("report", "nothing"), "no runs are named like 'nothing'"),
        (("report", "--env", "live"), "there is no saved run of live"),
        (("diff", "latest"), "give two runs"),
        (("diff", "--env", "live"), "there is no saved run of live"),
        (("runs", "--env", "live"), "there is no saved run of live"),
    ],
)
def test_what_is_not_there(project: Project, words: tuple[str, ...], told: str) -> None:
    done = project.prodcheck(*words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_run_is_told(project: Project, tmp_path: Path) -> None:
    """Broken or linked files of the state folder: one line, no traceback; other runs are still there."""
    other = Project.make(tmp_path / "other")
    other.pytest()
    (run,) = (other.folder / ".prodcheck" / "runs").iterdir()
    (run / "summary.json").write_text("[" * 100_000)
    assert other.prodcheck("runs").returncode == 0
    assert other.prodcheck("diff").returncode == 2
    (run / "run.json").write_text("{}")
    done = other.prodcheck("report", "--html", "x.html")
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    assert not (other.folder / "x.html").exists()
