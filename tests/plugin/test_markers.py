"""What `-m` names: the suites to collect, and the gates a run is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.catalogue import generate, modules
from pytest_prodcheck.plugin.markers import only_suites_in, suites_in, suites_selected_by
from tests.project import TOML, Project


@pytest.mark.parametrize(
    ("expression", "only", "named"),
    [
        ("smoke", ["smoke"], ["smoke"]),
        ("smoke or security", ["smoke", "security"], ["smoke", "security"]),
        (" smoke  or  security ", ["smoke", "security"], ["smoke", "security"]),
        ("smoke and not slow", [], ["smoke"]),
        ("not smoke", [], ["smoke"]),
        ("(smoke)", [], ["smoke"]),
        ("smoke or slow", [], ["smoke"]),
        ("", [], []),
    ],
)
def test_suites_of_an_expression(expression: str, only: list[str], named: list[str]) -> None:
    assert only_suites_in(expression) == only
    assert suites_in(expression) == named


@pytest.mark.parametrize(
    ("expression", "suites"),
    [
        ("smoke", "smoke"),
        ("security or smoke", "security smoke"),
        ("smoke and not slow(level=2)", "smoke"),
        ("smoke and slow", "smoke"),
        ("smoke or slow", "smoke"),
        ("not performance", "pre_deploy smoke security data_integrity"),
        ("not (performance or security) and not slow", "pre_deploy smoke data_integrity"),
        ("not slow", "pre_deploy smoke performance security data_integrity"),
        ("slow", ""),
        ("smoke and security", "smoke security"),
        ("smoke and not smoke", "smoke"),
        ("smoke and (", "smoke"),
    ],
)
def test_suites_that_an_expression_selects(expression: str, suites: str) -> None:
    assert " ".join(suites_selected_by(expression)) == suites


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("python_files = check_*.py", "the setting python_files (check_*.py) leaves the bundled checks out"),
        ("python_functions = check_ *_spec", "the setting python_functions (check_ *_spec) leaves"),
        ("python_files = tests.py test_*.py *_tests.py\npython_functions = test", ""),
    ],
)
def test_settings_that_leave_the_bundled_checks_out(tmp_path: Path, settings: str, told: str) -> None:
    """All of them were missing then, and nothing said why."""
    project = Project.make(tmp_path)
    project.write("pytest.ini", f"[pytest]\n{settings}\n")
    done = project.pytest()
    assert (done.returncode, told in done.stderr) == (4 if told else 0, True), done.stdout + done.stderr


CONFTEST = """\
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    print("FOLDERS", *sorted({item.path.parent.name for item in items}))
"""
ALL = "checks data_integrity performance pre_deploy security smoke"


@pytest.mark.parametrize(
    ("arguments", "folders"),
    [
        (("-m", "smoke"), "checks smoke"),
        (("-m", "smoke or security"), "checks security smoke"),
        (("-m", "smoke and not slow"), ALL),
        (("-m", "smoke", "--gate", "security"), ALL),
        (("--gate", "security", "--prodcheck-select"), "checks security"),
        (("--gate", "own", "--prodcheck-select"), "checks"),
    ],
)
def test_suites_that_are_not_asked_for_are_not_collected(
    tmp_path: Path, arguments: tuple[str, ...], folders: str
) -> None:
    """Own checks always are: of which suite they are stands in their files."""
    project = Project.make(tmp_path, TOML + '[gates.own]\nselect = ["t.smoke.*"]\n')
    project.write("pytest.ini", "[pytest]\nmarkers = slow: takes long\n")
    project.write("conftest.py", CONFTEST)
    done = project.pytest("--collect-only", "-q", "-s", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"FOLDERS {folders}\n" in done.stdout


def test_each_bundled_check_is_in_the_folder_of_its_suite() -> None:
    """Which is also the beginning of its id: by that the folders to collect are known before anything is."""
    for module in modules():
        suite = module.__name__.split(".")[-2]
        for entry in generate([module]):
            assert (entry.suite, entry.id.partition(".")[0]) == (suite, suite)
