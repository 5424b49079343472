"""What somebody types in the first hour: help, validate, completion."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path)


def test_help_of_a_command_in_each_form(project: Project) -> None:
    shown = {project.prodcheck(*words).stdout for words in (("help", "gate"), ("gate", "--help"))}
    assert len(shown) == 1
    assert "usage: prodcheck gate" in shown.pop()
    assert project.prodcheck("help").stdout == project.prodcheck("--help").stdout


def test_a_good_configuration_is_valid(project: Project) -> None:
    done = project.prodcheck("validate")
    assert done.returncode == 0, done.stderr
    assert "environments: dev, live" in done.stdout
    assert not (project.folder / ".prodcheck").exists()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("[[[", "prodcheck.toml:"),
        ("[environments.other]\nprotekted = true\n", "did you mean `protected`?"),
        ('[thresholds]\n"smoke.nothing" = "1s"\n', "smoke.nothing"),
    ],
)
def test_every_mistake_is_told_with_its_place(project: Project, wrong: str, told: str) -> None:
    path = project.write("other/prodcheck.toml", f'version = 1\nproject = "x"\n[environments.a]\n{wrong}')
    done = project.prodcheck("validate", str(path))
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_no_configuration(tmp_path: Path) -> None:
    project = Project.make(tmp_path)
    (project.folder / "prodcheck.toml").unlink()
    assert "prodcheck init" in project.prodcheck("validate").stderr
    assert "not-there.toml" in project.prodcheck("validate", "not-there.toml").stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_names_every_command(project: Project, shell: str) -> None:
    done = project.prodcheck("completion", shell)
    assert done.returncode == 0, done.stderr
    assert "record-backup" in done.stdout
    if shutil.which(shell) and shell != "tcsh":
        read = subprocess.run([shell, "-n"], input=done.stdout, text=True, capture_output=True, check=False)
        assert read.returncode == 0, read.stderr
