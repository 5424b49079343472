"""Checks that do more than look: a protected environment has to allow them by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import Project

CHECKS = """\
from pytest_prodcheck import check, judge


@check("t.smoke.quiet", suite="smoke", severity="critical")
def test_quiet():
    \"\"\"Looks only.\"\"\"
    judge("one", 1, equals=1)


@check("t.smoke.loud", suite="smoke", severity="critical", opt_in="sends ten bad logins")
def test_loud():
    \"\"\"Does more than look.\"\"\"
    judge("one", 1, equals=1)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path, checks=CHECKS)


def test_without_protection_it_runs(project: Project) -> None:
    assert project.pytest().returncode == 0


def test_protected_it_is_skipped_and_blocks(project: Project) -> None:
    done = project.pytest("--revision", "r1", "-rs", env="live")
    assert done.returncode == 13, done.stdout
    assert "sends ten bad logins" in done.stdout
    assert "--allow-check t.smoke.loud" in done.stdout
    assert project.gate("--revision", "r1", env="live") == 3


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_allowed_it_runs_and_the_verdict_says_so(workers: tuple[str, ...], project: Project) -> None:
    done = project.pytest("--revision", "r1", "--allow-check", "t.smoke.loud", *workers, env="live")
    assert done.returncode == 0, done.stdout
    assert project.verdict()["opted_in"] == ["check:t.smoke.loud"]


def test_prodcheck_run_hands_it_on(project: Project) -> None:
    words = ("run", "smoke", "--env", "live", "--revision", "r1")
    assert project.prodcheck(*words).returncode == 3
    assert project.prodcheck(*words, "--allow-check", "t.smoke.loud").returncode == 0


@pytest.mark.parametrize("name", ["t.smoke.lout", "smoke.service.health"])
def test_an_opt_in_of_nothing_is_refused(name: str, project: Project) -> None:
    done = project.pytest("--revision", "r1", "--allow-check", name, env="live")
    assert done.returncode == 4
    assert f"--allow-check {name}: no check of that id needs an opt-in" in done.stderr + done.stdout
