"""Saved runs once more: listed, shown in every format, compared; what is not there is one message."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_prodcheck.outcomes import RunRecord
from pytest_prodcheck.reports.merging import merged
from tests.project import TOML, Project


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
    assert "Since the last run that opened its gates" in live
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
        (("report", "nothing"), "no saved runs have an id that begins with 'nothing'"),
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


def test_a_run_of_somebody_else_starts_no_program(tmp_path: Path) -> None:
    """Their folder beside the project's own configuration, which names a program for its event log."""
    touches = "#!/bin/sh\ntouch touched\necho postgresql://127.0.0.1:1/x\n"
    mine, theirs = (Project.make(tmp_path / name) for name in ("mine", "theirs"))
    theirs.pytest()
    mine.write("prodcheck.toml", f'{TOML}[events]\ndsn = {{ command = ["bin/dsn"] }}\n')
    theirs.write("bin/dsn", touches).chmod(0o700)
    (run,) = (theirs.folder / ".prodcheck" / "runs").iterdir()
    done = mine.prodcheck("report", str(run), "--html", "page.html")
    assert done.returncode == 0, done.stderr
    assert (mine.folder / "page.html").is_file()
    assert list(tmp_path.rglob("touched")) == []


def test_shards_are_found_from_where_they_were_named(project: Project, tmp_path: Path) -> None:
    """`-C` goes elsewhere; a folder of a run stays the one that was meant."""
    (newest, oldest) = (project.folder / ".prodcheck" / "runs" / line.split()[0] for line in
                        project.prodcheck("runs").stdout.splitlines())  # fmt: skip
    elsewhere = Project(tmp_path)
    for name, run in (("a", newest), ("b", oldest)):
        shutil.copytree(run, tmp_path / "shards" / name)
    done = elsewhere.prodcheck("report", "./shards/a", "./shards/b", "-C", str(project.folder))
    assert done.returncode == 0, done.stderr
    assert "BLOCKED" in done.stdout


def test_what_any_shard_says_is_said_of_all() -> None:
    one = RunRecord("1", "live", unverified=("a",), opted_in=("write:x",), waited=1.0, places={"service:a": "p:1"})
    two = RunRecord("2", "live", unverified=("b",), limits_off=("c@d",), undeclared=("redis",), replay_of="0",
                    waited=3.0, places={"service:b": "p:2"})  # fmt: skip
    both = merged([one, two])
    assert (both.unverified, both.limits_off, both.undeclared) == (("a", "b"), ("c@d",), ("redis",))
    assert (both.opted_in, both.replay_of, both.waited) == (("write:x",), "0", 3.0)
    assert dict(both.places) == {"service:a": "p:1", "service:b": "p:2"}


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
