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
from tests.plugins.report_portal import portal
from tests.project import Project

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
ACTIONS = {"GITHUB_ACTIONS": "true"}
DJANGO = {"shop_settings.py": "SECRET_KEY = 'x'\nDATABASES = {}\nUSE_TZ = True\n"}
GROUPED = {
    "conftest.py": "import pytest\ndef pytest_collection_modifyitems(items):\n"
    "    for item in items[:2]:\n        item.add_marker(pytest.mark.xdist_group('a'))\n"
}


@dataclass(frozen=True)
class Beside:
    """A plugin and how it is used."""

    plugin: str
    arguments: str = ""
    files: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    also: str = ""  # another plugin
    times: int = 1  # how often it shows each outcome

    def __str__(self) -> str:
        return " ".join(filter(None, (self.plugin, self.also, self.arguments)))


REPORTS = {
    "pytest-json-report": "--json-report --json-report-file report.json",
    "allure-pytest": "--alluredir allure",
    "pytest-github-actions-annotate-failures": "",
}
ALIKE = (
    Beside("pytest-html", "--html r.html --self-contained-html --junit-xml j.xml"),
    *(Beside("pytest-xdist", f"-n 2 --dist {how}") for how in ("load", "loadscope", "loadfile")),
    Beside("pytest-xdist", "-n 2 --dist loadgroup", GROUPED),
    Beside("pytest-xdist", "-n 2 --dist worksteal"),
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
    Beside("pytest-json-report", "--json-report --json-report-file report.json"),
    Beside("allure-pytest", "--alluredir allure"),
    *(Beside("pytest-xdist", f"-n 2 {each}", environ=ACTIONS, also=plugin) for plugin, each in REPORTS.items()),
    Beside("pytest-github-actions-annotate-failures", environ=ACTIONS),
)


# as pytest counts: a test that passed and whose teardown broke is "passed" and "error", and again where it is retried
SHOWN = {"warned": 1, "failed": 2, "errored": 2}


def need(*plugins: str) -> None:
    """Skips where the plugin is not installed; `make plugins` installs it, so the line says nothing of pip."""
    for plugin in filter(None, plugins):
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
    need(beside.plugin, beside.also)
    project = project_for(beside, tmp_path, canary.BAD)
    done = canary.run(project, [beside.plugin, beside.also], *beside.arguments.split())
    assert done.returncode == 1, done.stdout + done.stderr
    assert canary.outcomes(project) == canary.OF_ALL
    assert canary.leaks(project, done) == []
    assert canary.gate(project) == 1
    if beside.plugin not in ("pytest-sugar", "pytest-rich"):  # whose last lines are their own
        counted = {word: int(count) for count, word in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}
        assert {word: counted.get(word, 0) / beside.times for word in SHOWN} == SHOWN
    assert re.search(r"dev, revision r1: 2 passed, 1 warned, 2 failed, \d+ skipped, 3 errored", done.stdout)


@pytest.mark.parametrize("beside", [each for each in ALIKE if "--dist l" not in each.arguments], ids=str)
def test_a_good_run_opens(beside: Beside, tmp_path: Path) -> None:
    need(beside.plugin, beside.also)
    project = project_for(beside, tmp_path)
    done = canary.run(project, [beside.plugin, beside.also], *beside.arguments.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert canary.outcomes(project) == canary.OF_GOOD
    assert canary.leaks(project, done) == []
    assert canary.gate(project) == 0


@pytest.mark.parametrize("workers", ["", "-n 2"], ids=["alone", "xdist"])
def test_what_is_sent_to_a_report_portal(workers: str, tmp_path: Path) -> None:
    """Its client, and a service that takes all: pytest-bdd has to be loaded beside it where it is installed."""
    plugins = ["pytest-reportportal", "pytest-bdd", "pytest-xdist"]
    for each in plugins:
        need(each)
    with portal() as (port, taken):
        settings = f"rp_endpoint = http://127.0.0.1:{port}\nrp_project = shop\nrp_api_key = not-a-secret\n"
        project = canary.make(tmp_path, canary.BAD)
        project.write("pytest.ini", f"[pytest]\n{settings}rp_launch = checks\n")
        project.environ["AGENT_NO_ANALYTICS"] = "1"
        done = canary.run(project, plugins, "--reportportal", *workers.split())
    assert done.returncode == 1, done.stdout + done.stderr
    assert canary.outcomes(project) == canary.OF_ALL
    assert canary.leaks(project, done) == []
    assert canary.gate(project) == 1
    sent = b"\n".join(taken)
    assert b"denied for [redacted]" in sent
    assert not [each for each in canary.SHOWN if each in sent]


RETRYING = (
    Beside("pytest-rerunfailures", "--reruns 2"),
    Beside("flaky", "--force-flaky --max-runs 3"),
)


@pytest.mark.parametrize("beside", RETRYING, ids=str)
def test_passed_at_the_second_try_is_warned(beside: Beside, tmp_path: Path) -> None:
    need(beside.plugin, beside.also)
    project = project_for(beside, tmp_path, canary.RETRIED)
    done = canary.run(project, [beside.plugin, beside.also], *beside.arguments.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert canary.outcomes(project) == {**canary.OF_GOOD, "flaky": "warned"}
    assert "flaky: passed on attempt 2" in done.stdout
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
    need(beside.plugin, beside.also)
    project = project_for(beside, tmp_path)
    done = canary.run(project, [beside.plugin, beside.also], *beside.arguments.split())
    assert done.returncode == 13, done.stdout + done.stderr
    assert canary.gate(project) == 3


REFUSED = (
    Beside("pytest-retry", "--retries 2"),
    Beside("pytest-forked", "--forked"),
    Beside("pytest-repeat", "--count 2"),
    Beside("pytest-picked", "--picked"),
)


@pytest.mark.parametrize("beside", REFUSED, ids=str)
def test_what_cannot_work_is_refused_by_name(beside: Beside, tmp_path: Path) -> None:
    need(beside.plugin)
    project = project_for(beside, tmp_path)
    done = canary.run(project, [beside.plugin], *beside.arguments.split())
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"{beside.plugin} cannot be used together with --env" in done.stderr
    assert canary.gate(project) == 3


def test_what_testmon_leaves_out_at_its_second_run_opens_nothing(tmp_path: Path) -> None:
    need("pytest-testmon")
    project = canary.make(tmp_path)
    selecting = ("--testmon", "--testmon-forceselect")  # with -m it selects only where it is told to
    assert canary.run(project, ["pytest-testmon"], *selecting).returncode == 0
    assert canary.run(project, ["pytest-testmon"], *selecting).returncode == 13
    assert canary.gate(project) == 3


def test_the_page_tells_the_versions_that_were_tried() -> None:
    """Every plugin has its row; under `make plugins`, with the version that is installed."""
    rows = dict(re.findall(r"^\| ([a-z-]+) \| ([0-9.]+) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    tried = {"pytest-reportportal", *(each.plugin for each in (*ALIKE, *RETRYING, *NARROWING, *REFUSED))}
    assert tried <= set(rows)
    if os.environ.get("PRODCHECK_PLUGINS"):
        assert {name: canary.version(name) for name in rows} == rows
