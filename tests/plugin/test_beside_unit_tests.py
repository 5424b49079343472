"""In a repository that has unit tests, too: what plain pytest, editors and a conftest's own options meet."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.project import Project

UNIT = "def test_plain():\n    assert True\n"
OWN_ENV = """\
import pytest
def pytest_addoption(parser):
    parser.addoption("--env", default="qa")
@pytest.fixture
def env(request):
    return request.config.getoption("--env")
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project.make(tmp_path)
    made.write("tests/test_unit.py", UNIT)
    return made


def plain(project: Project, *words: str) -> tuple[int, str]:
    """`pytest WORDS` as somebody types it."""
    done = project.command(sys.executable, "-m", "pytest", "-p", "no:randomly", *words)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("words", [(), ("-m", "not performance")])
def test_checks_are_left_out_beside_unit_tests(project: Project, words: tuple[str, ...]) -> None:
    code, said = plain(project, *words)
    assert code == 0, said
    assert "1 passed, 3 deselected" in said
    assert "3 checks of real environments are left out; --env NAME runs them" in said
    assert not (project.folder / ".prodcheck").exists()


@pytest.mark.parametrize("words", [("-m", "smoke"), ("tests", "-m", "smoke"), ("checks",)])
def test_checks_that_were_asked_for_need_an_environment(project: Project, words: tuple[str, ...]) -> None:
    code, said = plain(project, *words)
    assert code == 4
    assert "--env NAME" in said


def test_editors_find_them(project: Project) -> None:
    """As Visual Studio Code and PyCharm collect: without an environment, by `--collect-only`."""
    code, said = plain(project, "--collect-only", "-q")
    assert code == 0, said
    assert "checks/test_facts.py::test_one" in said
    assert "tests/test_unit.py::test_plain" in said


@pytest.mark.parametrize("where", ["conftest.py", "tests/conftest.py"])
def test_an_option_env_of_the_team_stays_theirs(project: Project, where: str) -> None:
    project.write(where, OWN_ENV)
    project.write("tests/test_unit.py", "def test_plain(env):\n    assert env == 'staging'\n")
    code, said = plain(project, "tests", "--env", "staging")
    assert code == 0, said
    code, said = plain(project, "-m", "smoke", "--prodcheck-env", "dev")
    assert code == 0, said
    assert project.gate() == 0
    assert project.prodcheck("run", "smoke", "--env", "dev").returncode == 0


def test_settings_are_defaults_of_options_and_never_of_what_a_run_is_about(project: Project) -> None:
    settings = ("prodcheck_json = out/run.json", "prodcheck_vantage = cluster", "prodcheck_wait = 1s")
    project.write("pytest.ini", "\n".join(["[pytest]", *settings]))
    (project.folder / "out").mkdir()
    assert "no target has the vantage `cluster`" in project.pytest().stderr
    assert project.pytest("--vantage", "outside").returncode == 0
    assert (project.folder / "out/run.json").is_file()
    assert project.pytest("--vantage", "outside", "-o", "prodcheck_wait=soon").returncode == 4
    project.write("pytest.ini", "[pytest]\nprodcheck_env = dev\nprodcheck_gate = smoke\n")
    code, said = plain(project, "-m", "smoke")
    assert code == 4
    assert "--env NAME" in said
