"""`prodcheck deploy` as a pipeline runs it: programs of a team's own, real gates, codes, and what is left untouched."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pytest_prodcheck.cli import main
from pytest_prodcheck.deploy.journal import Store
from pytest_prodcheck.deploy.programs import ProgramResult, ProgramRunner
from tests import forked
from tests.project import Project

WORLD = """\
#!/bin/sh
# copies and traffic as files: world.sh start SLOT REVISION | stop SLOT | observe | share TABLE | shared
echo "$@" >> calls.log
case $1 in
  start) echo "$3" > "$2.rev" ;;
  stop) echo - > "$2.rev" ;;
  observe) for slot in blue green; do echo "$slot $(cat $slot.rev)"; done ;;
  share) echo "$2" | tr , '\\n' | tr = ' ' > shares ;;
  shared) cat shares ;;
esac
"""
TOML = """\
version = 1
project = "t"
checks = ["checks"]
[gates.before]
select = ["t.smoke.before"]
[gates.here]
select = ["t.smoke.here"]
[environments.production]
[environments.production.own.fact]
file = "here"
[environments.production.slots]
blue  = { connect_to = "127.0.0.1:1" }
green = { connect_to = "127.0.0.1:2" }
[environments.production.deploy]
strategy = "blue-green"
slots    = ["blue", "green"]
before   = "before"
slot     = "here"
after    = "here"
monitor  = "100ms"
[environments.production.deploy.commands.copy]
start   = ["sh", "world.sh", "start", "{slot}", "{revision}"]
stop    = ["sh", "world.sh", "stop", "{slot}"]
observe = ["sh", "world.sh", "observe"]
[environments.production.deploy.commands.share]
do      = ["sh", "world.sh", "share", "{shares}"]
observe = ["sh", "world.sh", "shared"]
[environments.bare]
"""
CHECKS = '''\
from dataclasses import dataclass
from pathlib import Path

from pytest_prodcheck import Deadline, check, collector, judge


@dataclass(frozen=True)
class Fact:
    before: str
    here: str


@collector("fact", settings={"file": str})
def gather_fact(settings: dict[str, object], deadline: Deadline) -> Fact:
    return Fact(Path("before").read_text().strip(), Path("here").read_text().strip())


@check("t.smoke.before", suite="smoke", severity="critical", needs={"fact": "fact"})
def test_before(fact):
    """All may begin."""
    judge("before", fact.before, equals="good")


@check("t.smoke.here", suite="smoke", severity="critical", needs={"fact": "fact"})
def test_here(fact):
    """What is here is good."""
    judge("here", fact.here, equals="good")
'''


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project.make(tmp_path, TOML, CHECKS)
    there = {"world.sh": WORLD, "blue.rev": "r1\n", "green.rev": "-\n", "shares": "blue 100\ngreen 0\n"}
    for name, text in there.items():
        made.write(name, text)
    for name in ("before", "here"):
        made.write(name, "good\n")
    return made


def deploy(project: Project, *words: str, env: str = "production") -> subprocess.CompletedProcess[str]:
    words = ("deploy", "--env", env, *words)
    done = forked.run("pytest_prodcheck.cli", words, project.folder, project.env(), timeout=600)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def call(project: Project, *words: str, env: str = "production") -> subprocess.CompletedProcess[str]:
    """The same in this process; gates are asked in new interpreters, or in `forks`."""
    before, shown = os.getcwd(), io.StringIO()
    os.chdir(project.folder)
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            code = main(["deploy", "--env", env, *words])
    finally:
        os.chdir(before)
    assert "Traceback" not in shown.getvalue()
    return subprocess.CompletedProcess(words, code, shown.getvalue(), "")


def world(project: Project) -> dict[str, str]:
    return {name: (project.folder / name).read_text() for name in ("blue.rev", "green.rev", "shares")}


def calls(project: Project) -> list[str]:
    log = project.folder / "calls.log"
    return [line for line in log.read_text().splitlines() if line not in ("observe", "shared")] if log.exists() else []


def everything(project: Project) -> dict[str, str]:
    return {
        str(path.relative_to(project.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in project.folder.rglob("*")
        if path.is_file() and path.name != "calls.log" and "__pycache__" not in path.parts
    }


def test_a_dry_run_changes_nothing_and_shows_every_undo_and_the_point_of_no_return(project: Project) -> None:
    project.edit('monitor  = "100ms"', 'monitor  = "100ms"\nretire   = true')
    before = everything(project)
    done = call(project, "--revision", "r2", "--dry-run")
    assert done.returncode == 0, done.stdout
    assert everything(project) == before
    assert calls(project) == []
    lines = done.stdout.splitlines()
    changes = [line for line in lines if " start " in line or "traffic:" in line or "  stop blue" in line]
    assert all("undo:" in line for line in changes)
    assert len(changes) == 3
    assert "point of no return" in lines[lines.index(changes[-1]) - 1]


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates are asked in forked processes: a second of processor less each time."""
    true, interpreter = ProgramRunner.run, [sys.executable, "-m", "pytest_prodcheck"]

    def run(runner: ProgramRunner, command: Sequence[str], seconds: float, env: Mapping[str, str]) -> ProgramResult:
        if list(command[:3]) != interpreter:
            return true(runner, command, seconds, env)
        kept = {name: value for name, value in env.items() if name != "PYTHONPATH"}
        done = forked.run(interpreter[2], command[3:], runner.folder, kept, timeout=seconds)
        return ProgramResult(done.returncode, done.stdout + done.stderr)

    monkeypatch.setattr(ProgramRunner, "run", run)


@pytest.mark.usefixtures("forks")
def test_gates_that_are_only_observed_are_told(project: Project) -> None:
    project.edit('select = ["t.smoke.here"]', 'select = ["t.smoke.here"]\nobserve_until = 2999-01-01')
    project.write("here", "bad\n")
    done = call(project, "--revision", "r2", "--auto-approve")
    assert (done.returncode, "only observed, otherwise blocked" in done.stdout) == (0, True), done.stdout


@pytest.mark.usefixtures("forks")
def test_approved_deployed_undone_and_noted(project: Project) -> None:
    waits = call(project, "--revision", "r2")
    assert (waits.returncode, calls(project)) == (22, []), waits.stdout
    assert call(project, "--revision", "r2", "--approve").returncode == 0
    other = call(project, "--revision", "r3")
    assert (other.returncode, "is for another revision (r2)" in other.stdout) == (4, True), other.stdout
    done = call(project, "--revision", "r2")
    assert done.returncode == 0, done.stdout
    assert world(project) == {"blue.rev": "r1\n", "green.rev": "r2\n", "shares": "blue 0\ngreen 100\n"}
    assert call(project, "--status").returncode == 0
    assert call(project, "--resume").returncode == 4
    undone = call(project, "--undo")
    assert undone.returncode == 20, undone.stdout
    assert world(project) == {"blue.rev": "r1\n", "green.rev": "-\n", "shares": "blue 100\ngreen 0\n"}
    assert call(project, "--status").returncode == 20
    assert calls(project) == ["start green r2", "share blue=0,green=100", "share blue=100,green=0", "stop green"]
    assert [(each["kind"], each["revision"]) for each in events(project)] == [("deployed", "r2"), ("rolled-back", "r2")]


def events(project: Project) -> list[dict[str, str]]:
    import sqlite3

    connection = sqlite3.connect(project.folder / ".prodcheck" / "events.db")
    wanted = "select kind, revision, body from events where kind in ('deployed', 'rolled-back') order by at"
    rows = connection.execute(wanted).fetchall()
    connection.close()
    assert all(json.loads(body)["old"] == "r1" for _, _, body in rows)
    return [{"kind": kind, "revision": revision} for kind, revision, _ in rows]


def test_a_closed_gate_before_stops_with_its_code(project: Project) -> None:
    project.write("before", "bad\n")
    done = deploy(project, "--revision", "r2", "--auto-approve")
    assert (done.returncode, calls(project)) == (1, []), done.stdout
    assert "before" in done.stdout


OWN = "def driver(site):\n    class Odd:\n        start = stop = share = lambda *words: None\n"
MISTAKES = {
    "no section": ("bare", ["--revision", "r2"], 2, "has no section `deploy`"),
    "no environment": ("productoin", ["--revision", "r2"], 2, "did you mean `production`?"),
    "no revision": ("production", ["--dry-run"], 2, "no revision is given"),
    "a strategy without what it needs": (
        "production", ["--revision", "r2", "-s", "canary", "--dry-run"], 2, "no canary analysis is possible: slots"
    ),
    "nothing to resume": ("production", ["--resume"], 4, "nothing to resume or undo"),
    "nothing to undo": ("production", ["--undo"], 4, "nothing to resume or undo"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_are_told(what: str, project: Project) -> None:
    env, words, code, told = MISTAKES[what]
    done = call(project, *words, env=env)
    assert (done.returncode, told in done.stdout) == (code, True), done.stdout + done.stderr
    assert calls(project) == []


def test_a_canary_that_would_never_be_compared(project: Project) -> None:
    project.edit('slots    = ["blue", "green"]', 'slots    = ["blue", "green"]\nsteps = ["80%", "100%"]')
    done = call(project, "--revision", "r2", "--dry-run", "-s", "canary")
    assert (done.returncode, "up to half of the traffic" in done.stdout) == (2, True), done.stdout


def test_a_gate_that_is_not_there_is_told_before_anything_begins(project: Project) -> None:
    project.edit('after    = "here"', 'after    = "hear"')
    done = call(project, "--revision", "r2", "--auto-approve")
    assert (done.returncode, "names the gate 'hear'" in done.stdout) == (2, True), done.stdout
    assert calls(project) == []


@pytest.mark.parametrize(
    ("key", "rule", "told"),
    [
        ("after", 'environments = ["staging"]', "`deploy.after`: gate odd is for staging only"),
        ("before", 'slot = "required"', "`deploy.before`: gate odd judges one slot"),
        ("slot", 'environments = ["staging"]', "`deploy.slot`: gate odd is for staging only"),
    ],
)
def test_a_gate_that_cannot_be_asked_here_is_told_before_anything_begins(
    key: str, rule: str, told: str, project: Project
) -> None:
    """With all traffic on the new revision it would be a usage error, and so would the proof of the rollback."""
    text = (project.folder / "prodcheck.toml").read_text()
    line = next(each for each in text.splitlines() if each.startswith(f"{key} ") and "=" in each and "{" not in each)
    added = f'[environments.staging]\n[gates.odd]\nselect = ["smoke.service.health"]\n{rule}\n'
    project.write("prodcheck.toml", text.replace(line, f'{key} = "odd"') + added)
    done = call(project, "--revision", "r2", "--auto-approve")
    assert (done.returncode, told in done.stdout) == (2, True), done.stdout
    assert calls(project) == []


def test_traffic_that_is_not_as_planned_or_cannot_be_observed(project: Project) -> None:
    project.write("shares", "blue 60\ngreen 40\n")
    done = call(project, "--revision", "r2", "--auto-approve")
    assert (done.returncode, "blue 60 % with r1" in done.stdout) == (4, True), done.stdout
    project.write("shares", "blue sixty\ngreen 40\n")
    done = call(project, "--revision", "r2", "--auto-approve")
    assert (done.returncode, "cannot be observed" in done.stdout) == (3, True), done.stdout


def test_a_second_deployer_a_damaged_journal_and_an_unforeseen_error(project: Project) -> None:
    with Store(str(project.folder), "production", "").locked():
        assert call(project, "--revision", "r2", "--auto-approve").returncode == 23
    store = Store(str(project.folder), "production", "")
    store.key(create=True)
    (store.folder / "000001.jsonl").write_text("damaged\nfor sure\n")
    for words in (["--status"], ["--resume"], ["--undo"], ["--revision", "r2", "--auto-approve"]):
        done = call(project, *words)
        assert (done.returncode, "is damaged" in done.stdout) == (21, True), done.stdout
    (store.folder / "000001.jsonl").unlink()
    project.edit('strategy = "blue-green"', 'strategy = "blue-green"\ndriver = "odd.py"')
    project.write("odd.py", OWN + "        def observe(self):\n            return 1 + ''\n    return Odd()\n")
    done = call(project, "--revision", "r2", "--auto-approve")
    assert (done.returncode, "TypeError" in done.stdout) == (21, True), done.stdout
    assert calls(project) == []


WRONG = {
    'slots    = ["blue", "red"]': "there is no slot `red`",
    'slots    = ["blue", "blue"]': "has a duplicate entry",
    'slots    = ["blue", "green"]\nsteps = ["50%", "10%", "100%"]': "must rise in whole percentages",
    'slots    = ["blue", "green"]\ndriver = "haproxy"': "`haproxy` is missing",
    'slots    = ["blue", "green"]\ndriver = "ops.py"': "no file 'ops.py'",
    'slots    = ["blue", "green"]\nstrategi = 1': "did you mean `strategy`",
}


@pytest.mark.parametrize("line", WRONG)
def test_settings_that_do_not_fit_are_told(line: str, project: Project) -> None:
    project.edit('slots    = ["blue", "green"]', line)
    done = call(project, "--revision", "r2", "--dry-run")
    assert (done.returncode, WRONG[line] in done.stdout) == (2, True), done.stdout
