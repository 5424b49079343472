"""What somebody types in the first hour: help, validate, completion."""

from __future__ import annotations

import json
import re
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


def test_an_option_before_the_command_is_told(project: Project) -> None:
    done = project.prodcheck("-C", ".", "validate")
    assert (done.returncode, done.stderr) == (2, "prodcheck: the command comes first: prodcheck COMMAND -C …\n")


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


COMPLETED = """\
source <(cat)
COMP_WORDS=(prodcheck val); COMP_CWORD=1; FUNCTION prodcheck val prodcheck; echo "${COMPREPLY[@]}"
COMP_WORDS=(prodcheck run --junit); COMP_CWORD=2; FUNCTION prodcheck --junit run; echo "${COMPREPLY[@]}"
"""


def test_bash_completes_commands_and_their_options(project: Project) -> None:
    script = project.prodcheck("completion", "bash").stdout
    function = re.findall(r"^complete .*-F (\w+) prodcheck$", script, re.M)[0]
    words = ["bash", "--norc", "-c", COMPLETED.replace("FUNCTION", function)]
    done = subprocess.run(words, input=script, text=True, capture_output=True, timeout=60, check=False)
    assert done.stdout.split() == ["validate", "--junit-xml"], done.stderr


def test_a_configuration_elsewhere(project: Project, tmp_path: Path) -> None:
    """`-C` names the file or its folder, in each command; files of other options stay where they are."""
    elsewhere = Project(tmp_path / "elsewhere")
    elsewhere.folder.mkdir()
    there = str(project.folder)
    done = elsewhere.prodcheck("run", "smoke", "-C", there, "--env", "dev", "--json", "run.json", "--", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (elsewhere.folder / "run.json").is_file()
    asked = ("--config", f"{there}/prodcheck.toml", "--env", "dev")
    assert elsewhere.prodcheck("gate", "smoke", *asked).returncode == 0
    done = elsewhere.prodcheck("exec", "smoke", *asked, "--", "pwd")
    assert done.stdout.splitlines()[-1] == str(elsewhere.folder)
    assert "PRODCHECK REPORT: dev" in elsewhere.prodcheck("show", "-C", there).stdout
    done = elsewhere.prodcheck("validate", "-C", "nowhere")
    assert done.returncode == 2
    assert "name the file or its folder" in done.stderr


def test_an_old_name_works_with_a_note(project: Project) -> None:
    old = project.prodcheck("plan", "-m", "smoke", "--env", "dev")
    new = project.prodcheck("plan", "--suite", "smoke", "--env", "dev")
    assert (old.returncode, old.stdout) == (new.returncode, new.stdout)
    assert "-m is now called --suite; the next release removes -m" in old.stderr
    assert new.stderr == ""


def test_json_of_commands_that_tell_something(project: Project) -> None:
    assert json.loads(project.prodcheck("validate", "--format", "json").stdout)["environments"] == ["dev", "live"]
    project.edit("protected = true", "protekted = true")
    wrong = project.prodcheck("validate", "--format", "json")
    assert wrong.returncode == 2
    assert any("did you mean `protected`?" in each for each in json.loads(wrong.stdout)["mistakes"])
    assert json.loads(project.prodcheck("demo", "--list-faults", "--format", "json").stdout)[0]["notices"]


def test_one_rule_of_colours(project: Project) -> None:
    """FORCE_COLOR colours what is no terminal, NO_COLOR is stronger; each command that tells a gate's answer."""
    asked = ("--env", "dev")
    commands = (
        ("run", "smoke", *asked), ("gate", "smoke", *asked), ("exec", "smoke", *asked, "--", "true"),
        ("gate", "smoke", "--explain", *asked), ("show",), ("report",),
    )  # fmt: skip
    plain = project.prodcheck(*commands[0])
    assert "\x1b" not in plain.stdout
    project.environ = {"FORCE_COLOR": "1"}
    for command in commands:
        done = project.prodcheck(*command)
        assert "\x1b[32m🟢 OPEN\x1b[0m  smoke of dev" in done.stdout, done.stdout + done.stderr
    project.environ = {"FORCE_COLOR": "1", "NO_COLOR": "1"}
    for command in commands[1:]:
        assert "\x1b" not in project.prodcheck(*command).stdout
