"""Other people's plugins beside ours: the same counts, the same verdict, no secret in anything they write.

Plugins that are not installed here are skipped; `make plugins` installs all of them into an environment of its own.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.plugins import canary
from tests.project import Project

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
DJANGO = {"shop_settings.py": "SECRET_KEY = 'x'\nDATABASES = {}\nUSE_TZ = True\n"}


@dataclass(frozen=True)
class Beside:
    """A plugin and how it is used."""

    plugin: str
    arguments: str = ""
    files: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    times: int = 1  # how often it shows each outcome

    def __str__(self) -> str:
        return f"{self.plugin} {self.arguments}".strip()


ALIKE = (
    Beside("pytest-html", "--html r.html --self-contained-html --junit-xml j.xml"),
    *(Beside("pytest-xdist", f"-n 2 --dist {how}") for how in ("load", "loadscope", "loadfile")),
    *(Beside("pytest-xdist", f"-n 2 --dist {how}") for how in ("loadgroup", "worksteal")),
    Beside("pytest-xdist", "-n 2 --dist each", times=2),
    Beside("pytest-xdist", "-n 4 --maxprocesses 1"),
    Beside("pytest-rerunfailures", "--reruns 1"),
    Beside("pytest-timeout", "--timeout 30"),
    Beside("pytest-timeout", "--timeout 30 --timeout-method thread"),
    Beside("pytest-cov", "--cov checks --cov-report term --cov-report html --cov-report xml"),
    Beside("flaky", "--force-flaky --max-runs 2"),
    Beside("pytest-repeat"),
    Beside("pytest-randomly"),
    Beside("pytest-order", "--order-scope module"),
    Beside("pytest-forked"),
    Beside("pytest-asyncio", "--asyncio-mode auto"),
    Beside("anyio"),
    Beside("pytest-django", "--ds shop_settings", DJANGO, {"PYTHONPATH": "."}),
    Beside("pytest-sugar"),
    Beside("pytest-rich", "--rich"),
    Beside("pytest-bdd", "--cucumberjson c.json --gherkin-terminal-reporter"),
    Beside("pytest-subtests"),
    Beside("pytest-split", "--store-durations"),
    Beside("pytest-shard"),
    Beside("pytest-picked"),
    Beside("pytest-testmon", "--testmon"),
    Beside("pytest-env", files={"pytest.ini": "[pytest]\nenv =\n  STAGE=dev\n"}),
    Beside("pytest-dotenv", files={".env": "STAGE=dev\n"}),
    Beside("pytest-github-actions-annotate-failures", environ={"GITHUB_ACTIONS": "true"}),
)


def need(plugin: str) -> None:
    """Skips where the plugin is not installed; `make plugins` installs it, so the line says nothing of pip."""
    if plugin not in canary.installed():
        pytest.skip(f"{plugin} is not here: make plugins")


def project_for(beside: Beside, folder: Path, *more: str) -> Project:
    project = canary.make(folder, *more)
    for name, text in beside.files.items():
        project.write(name, text)
    project.environ.update(beside.environ)
    return project


@pytest.mark.parametrize("beside", ALIKE, ids=str)
def test_the_same_counts_and_verdict_and_no_secret(beside: Beside, tmp_path: Path) -> None:
    need(beside.plugin)
    project = project_for(beside, tmp_path, canary.BAD)
    done = canary.run(project, [beside.plugin], *beside.arguments.split())
    assert done.returncode == 1, done.stdout + done.stderr
    assert canary.outcomes(project) == canary.OF_ALL
    assert canary.leaks(project, done) == []
    assert canary.gate(project) == 1
    if beside.plugin not in ("pytest-sugar", "pytest-rich"):  # whose last lines are their own
        counted = {word: int(count) for count, word in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}
        shown = {word: counted.get(word) for word in ("passed", "warned", "failed", "errored")}
        assert shown == {each: 2 * beside.times if each != "warned" else beside.times for each in shown}
    assert re.search(r"dev, revision r1: 2 passed, 1 warned, 2 failed, 31 skipped, 2 errored", done.stdout)


@pytest.mark.parametrize("beside", [each for each in ALIKE if "--dist l" not in each.arguments], ids=str)
def test_a_good_run_opens(beside: Beside, tmp_path: Path) -> None:
    need(beside.plugin)
    project = project_for(beside, tmp_path)
    done = canary.run(project, [beside.plugin], *beside.arguments.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert canary.outcomes(project) == canary.OF_GOOD
    assert canary.leaks(project, done) == []
    assert canary.gate(project) == 0


RETRYING = (
    Beside("pytest-rerunfailures", "--reruns 2"),
    Beside("flaky", "--force-flaky --max-runs 3"),
)


@pytest.mark.parametrize("beside", RETRYING, ids=str)
def test_passed_at_the_second_try_is_warned(beside: Beside, tmp_path: Path) -> None:
    need(beside.plugin)
    project = project_for(beside, tmp_path, canary.RETRIED)
    done = canary.run(project, [beside.plugin], *beside.arguments.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert canary.outcomes(project) == {**canary.OF_GOOD, "flaky": "warned"}
    assert "flaky: passed at try 2" in done.stdout
    assert canary.gate(project) == 0
    assert canary.gate(project, "--strict") == 1


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_a_check_that_is_cut_off_opens_nothing(method: str, tmp_path: Path) -> None:
    """The method `thread` ends the whole process: the gate was closed when the run began, and stays so."""
    need("pytest-timeout")
    project = canary.make(tmp_path, canary.SLOW)
    done = canary.run(project, ["pytest-timeout"], "--timeout", "3", "--timeout-method", method)
    assert done.returncode == 1, done.stdout + done.stderr
    assert canary.leaks(project, done) == []
    assert canary.gate(project) == (1 if method == "signal" else 3)


NARROWING = (
    Beside("pytest-split", "--splits 2 --group 1"),
    Beside("pytest-shard", "--num-shards 2 --shard-id 0"),
)


@pytest.mark.parametrize("beside", NARROWING, ids=str)
def test_a_part_of_the_checks_opens_nothing(beside: Beside, tmp_path: Path) -> None:
    need(beside.plugin)
    project = project_for(beside, tmp_path)
    done = canary.run(project, [beside.plugin], *beside.arguments.split())
    assert done.returncode == 13, done.stdout + done.stderr
    assert canary.gate(project) == 3


def test_the_page_tells_the_versions_that_were_tried() -> None:
    """Every plugin has its row; under `make plugins`, with the version that is installed."""
    rows = dict(re.findall(r"^\| ([a-z-]+) \| ([0-9.]+) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    tried = {each.plugin for each in (*ALIKE, *RETRYING, *NARROWING)}
    assert tried <= set(rows)
    if os.environ.get("PRODCHECK_PLUGINS"):
        assert {name: canary.version(name) for name in rows} == rows
