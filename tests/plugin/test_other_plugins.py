"""Which plugins are refused, and only where they are in use."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pytest_prodcheck.plugin.other_plugins import REFUSED, refusals
from tests.project import Project

IN_USE = {"retries": 2, "forked": True, "count": 2, "picked": "first"}


@pytest.mark.parametrize("option", IN_USE)
def test_a_plugin_in_use_is_refused_by_name(option: str) -> None:
    (said,) = refusals(argparse.Namespace(**{option: IN_USE[option]}))
    assert said.startswith(next(each.plugin for each in REFUSED if each.option == option))


def test_an_installed_plugin_that_does_nothing_is_not() -> None:
    idle = {"retries": None, "forked": False, "count": 1, "picked": None}
    assert not list(refusals(argparse.Namespace(**idle)))
    assert not list(refusals(argparse.Namespace()))


def test_workers_elsewhere_are_refused() -> None:
    """They would judge with other files than the verdict is bound to."""
    here = ["popen", "2*popen", "popen//id=a", "3*popen//nice=5//id=b"]
    elsewhere = ["popen//chdir=/srv", "ssh=host", "socket=host:1", "popen//python=python3 -O", "popen//env:A=1"]
    assert not list(refusals(argparse.Namespace(tx=here)))
    assert len(list(refusals(argparse.Namespace(tx=elsewhere)))) == len(elsewhere)


PLUGIN = """\
def pytest_addoption(parser):
    parser.addoption("--picked", nargs="?", const="unstaged", default=None)
    parser.addoption("--sometimes", nargs="?", const="", default=None)
"""


def test_a_run_refuses_it_with_a_usage_error(tmp_path: Path) -> None:
    project = Project.make(tmp_path)
    (tmp_path / "standin.py").write_text(PLUGIN)
    done = project.pytest("-p", "standin", "-m", "smoke", "--env", "dev", "--picked=first")
    assert done.returncode == 4
    assert "pytest-picked cannot be used together with --env" in done.stderr


def test_an_option_with_a_value_that_may_be_left_out_takes_no_folder(tmp_path: Path) -> None:
    """A bare `--cov` at the end of the line, for one."""
    project = Project.make(tmp_path)
    (tmp_path / "standin.py").write_text(PLUGIN)
    done = project.pytest("-p", "standin", "-m", "smoke", "--env", "dev", "--sometimes")
    assert done.returncode == 0, done.stdout + done.stderr
