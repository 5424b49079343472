"""Rows 166, 167: odd names, revisions, keys and commands, asked of a gate that is open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import Project

EXEC = ("exec", "smoke", "--env", "dev", "--")
GATES = {"*": 2, "../../x": 2, "smoke/": 2, "ｓmoke": 2, "Smoke": 2, "": 2, "smoke": 0}
ENVIRONMENTS = {"*": 2, "DEV": 2, "../dev": 2, " dev": 2, "": 2, "dev": 0}
REVISIONS = {"R1": 4, "r": 4, "r1x": 4, "г1": 4, " r1": 2, "r1 ": 2, "r1\u200b": 2, "r1\n": 2, "\u202er1": 2, "r1": 0}
COMMANDS = {"./no-such-command": 127, "/tmp": 127, "sh -c 'kill -9 $$'": 137, "sh -c 'exit 7'": 7, "true": 0}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.make(tmp_path_factory.mktemp("judged"))
    assert project.pytest().returncode == 0
    return project


def test_odd_names_and_revisions(judged: Project) -> None:
    """What looks like a name or a revision is none; nothing is cut, folded or completed."""
    for gate, code in GATES.items():
        assert judged.gate("--revision", "r1", name=gate) == code, gate
    for environment, code in ENVIRONMENTS.items():
        assert judged.gate(env=environment) == code, environment
    for revision, code in REVISIONS.items():
        done = judged.prodcheck("gate", "smoke", "--env", "dev", "--revision", revision)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), revision


def test_odd_commands(judged: Project) -> None:
    """`exec` ends as its command does, and says so in the log; standard input is the command's."""
    import shlex

    for command, code in COMMANDS.items():
        done = judged.prodcheck(*EXEC, *shlex.split(command))
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), command
    words = [sys.executable, "-m", "pytest_prodcheck.cli", *EXEC, "cat"]
    done = subprocess.run(
        words, cwd=judged.folder, env=judged.env(), input="hello\n", capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("hello\n")
    log = (judged.folder / ".prodcheck/actions.jsonl").read_text()
    assert log.count('"event": "started"') == log.count('"event": "ended"') == len(COMMANDS) + 1


def test_odd_keys(judged: Project) -> None:
    """A key that is too short, empty, another one, open to others, a link, gone."""
    for key, code in {"short": 2, "": 2, "0123456789abcdef0123": 4}.items():
        judged.environ["PRODCHECK_KEY"] = key
        assert judged.gate() == code, key
    del judged.environ["PRODCHECK_KEY"]
    file = judged.folder / ".prodcheck/key"
    file.chmod(0o644)
    assert judged.gate() == 2
    file.chmod(0o600)
    kept = file.rename(judged.folder / "kept")
    assert judged.gate() == 4
    file.symlink_to(kept)
    assert judged.gate() == 2
    file.unlink()
    file.touch(0o600)
    assert judged.gate() == 2
    kept.rename(file)
    assert judged.gate() == 0


def test_folders_that_links_lead_to(tmp_path: Path) -> None:
    """Folders of checks that links lead to are bound as any."""
    project = Project.make(tmp_path / "project")
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "limits.json").write_text("1")
    (project.folder / "checks/linked").symlink_to(shared)
    assert project.pytest().returncode == 0
    assert project.gate() == 0
    (shared / "other.json").write_text("1")
    assert project.gate() == 4
    (shared / "other.json").unlink()
    (shared / "limits.json").write_text("2")
    assert project.gate() == 4


def test_checks_outside_of_the_project(tmp_path: Path) -> None:
    """Row 167: with the conftest of the folder that they lie in."""
    project = Project.make(tmp_path / "project")
    shared = tmp_path / "shared"
    shared.mkdir()
    (project.folder / "checks").rename(shared / "checks")
    project.edit('"checks"', '"../shared/checks"')
    for name in ("conftest.py", "checks/limits.json"):
        assert project.pytest().returncode == 0
        assert project.gate() == 0
        (shared / name).write_text("1")
        assert project.gate() == 4
