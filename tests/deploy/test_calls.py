"""Calls of `prodcheck deploy` in this process, over the model: codes, a real terminal's prompt, signals, journals."""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_prodcheck.cli import deploy as command
from pytest_prodcheck.cli.deploy_progress import Progress
from pytest_prodcheck.deploy import deployment, deployment_events, programs
from pytest_prodcheck.deploy.canary_analysis import compare_samples
from pytest_prodcheck.deploy.canary_requests import RequestSampler
from pytest_prodcheck.deploy.commands_driver import CommandsDriver, DriverPrograms
from pytest_prodcheck.deploy.deployer import CanaryComparison, Deployer
from pytest_prodcheck.deploy.drivers import Driver, DriverContext, DriverProblem
from pytest_prodcheck.deploy.gate_client import GateAnswer, GateClient
from pytest_prodcheck.deploy.journal import Journal
from pytest_prodcheck.deploy.plan import Plan, PlanProblem
from pytest_prodcheck.deploy.programs import ProgramResult, ProgramRunner
from pytest_prodcheck.environments.sections.deploy import CopyCommands, Deploy, DeployAnalysis
from tests.deploy.model import NEW, OLD, Killed, ModelDriver, ModelGates, reality, settings

TOML = """\
version = 1
project = "t"
[environments.production]
[environments.production.slots]
blue  = { connect_to = "127.0.0.1:1" }
green = { connect_to = "127.0.0.1:2" }
[environments.production.deploy]
strategy = "blue-green"
slots    = ["blue", "green"]
monitor  = "1ms"
every    = "1ms"
[environments.production.deploy.commands]
copy  = { start = ["x"], stop = ["x"], observe = ["x"] }
share = { do = ["x"], observe = ["x"] }
"""


class Here:
    """A project whose copies and gates are a model."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.real = folder, reality("blue-green")
        self.gates = ModelGates(self.real)
        (folder / "prodcheck.toml").write_text(TOML)
        here = self

        class OverTheModel(deployment.Deployment):
            def _gates(self, plan: Plan, runner: ProgramRunner) -> GateClient:
                return here.gates

            def _comparison(self, plan: Plan) -> CanaryComparison:
                return here.gates

            def _driver(self, lock: int, revision: str = "") -> Driver:
                return ModelDriver(here.real)

            def _deployer(self, *words: Any) -> Deployer:
                made = super()._deployer(*words)
                made.pause = lambda seconds, remaining: None
                return made

        monkeypatch.setattr(deployment, "Deployment", OverTheModel)
        monkeypatch.chdir(folder)

    def call(self, *words: str) -> int:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return command.main(parser.parse_args(["--env", "production", *words]))

    def deploy(self, revision: str = NEW, *words: str) -> int:
        return self.call("--revision", revision, "--auto-approve", *words)

    def at_ask(self, number: int, act: Callable[[], None]) -> None:
        """Has something happen as a gate is asked for the time with this number, from 1."""
        true, calls = ModelGates.ask, iter(range(1, 10**6))

        def ask(*words: Any, **named: Any) -> GateAnswer:
            if next(calls) == number:
                act()
            return true(self.gates, *words, **named)

        self.gates.ask = ask  # type: ignore[method-assign]

    def events(self) -> list[tuple[str, str]]:
        database = self.folder / ".prodcheck" / "events.db"
        if not database.exists():
            return []
        connection = sqlite3.connect(database)
        rows = connection.execute("select kind, revision from events order by at").fetchall()
        connection.close()
        return rows


@pytest.fixture
def here(memory: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(memory, monkeypatch)


# -- the way back


def test_undo_is_of_what_changed_something(here: Here) -> None:
    assert here.deploy() == 0
    here.real.broken = {"before": 1}
    assert here.deploy("r3") == 1
    assert here.call("--undo") == 20
    assert here.real.one_revision() == OLD
    assert here.events() == [("deployed", NEW), ("rolled-back", NEW)]


@pytest.mark.parametrize("name", ["000002.jsonl", "000009.jsonl"])
def test_an_empty_journal_hides_none(name: str, here: Here) -> None:
    assert here.deploy() == 0
    folder = here.folder / ".prodcheck" / "deployments" / "production" / "_"
    (folder / name).touch()
    for odd in ("\N{SUPERSCRIPT TWO}.jsonl", "7.jsonl", "\N{ARABIC-INDIC DIGIT SEVEN}.jsonl", "x"):
        (folder / odd).write_text("no journal\n")
    assert here.call("--status") == 0
    assert here.call("--undo") == 20


def test_what_happened_since_is_not_undone(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert here.deploy() == 0
    here.real.revisions["green"] = "r7"
    assert here.call("--undo") == 4
    assert "have changed since the deployment" in capsys.readouterr().out
    here.real.revisions["green"] = ""  # it is down: the very case for a way back
    assert here.call("--undo") == 20


def test_after_the_point_of_no_return_a_done_deployment_stays_done(here: Here) -> None:
    text = TOML.replace('every    = "1ms"', 'every    = "1ms"\nretire = true')
    (here.folder / "prodcheck.toml").write_text(text)
    assert here.deploy() == 0
    assert here.call("--undo") == 4
    assert (here.call("--status"), here.deploy("r3")) == (0, 0)


def test_a_journal_of_other_copies_is_not_gone_on_with(here: Here) -> None:
    here.at_ask(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert here.deploy() == 21
    renamed = TOML.replace('["blue", "green"]', '["green", "blue"]')
    (here.folder / "prodcheck.toml").write_text(renamed)
    assert (here.call("--undo"), here.call("--resume")) == (4, 4)
    (here.folder / "prodcheck.toml").write_text(TOML)
    assert here.call("--undo") == 20


def test_an_approval_is_for_once(here: Here) -> None:
    assert here.call("--revision", NEW, "--approve") == 0
    here.real.broken = {"before": 1}
    assert here.call("--revision", NEW) == 1
    here.real.broken = {NEW: 1}
    assert here.call("--revision", NEW) == 20  # what a closed gate stopped has not used it
    here.real.broken = {}
    assert here.call("--revision", NEW) == 4
    assert here.call("--revision", NEW, "--approve") == 0
    assert here.call("--revision", NEW) == 0


def test_an_approval_that_was_used_stays_so_whatever_the_clock_says(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here.call("--revision", NEW, "--approve") == 0
    here.real.broken = {NEW: 1}
    with monkeypatch.context() as patch:
        earlier = SimpleNamespace(time=lambda: time.time() - 7200, monotonic=time.monotonic, sleep=time.sleep)
        patch.setattr("pytest_prodcheck.deploy.journal.time", earlier)
        assert here.call("--revision", NEW) == 20
    assert (here.call("--revision", NEW), "was already used" in capsys.readouterr().out) == (4, True)
    approval = next(here.folder.rglob("approval.json")).read_bytes()
    assert here.deploy() == 20
    next(here.folder.rglob("000001.jsonl")).unlink()
    next(here.folder.rglob("approval.json")).write_bytes(approval)
    capsys.readouterr()
    assert (here.call("--revision", NEW), "older than the oldest journal" in capsys.readouterr().out) == (4, True)


def test_a_way_back_that_is_not_proven_stays_a_persons(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.real.broken = {NEW: 1, OLD: 1}
    assert here.deploy() == 21
    assert here.real.one_revision() == OLD
    assert here.deploy() == 4
    assert "not finished" in capsys.readouterr().out
    here.real.broken = {}
    assert here.call("--undo") == 20


# -- what ends a call


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize(("number", "code"), [(1, 3), (2, 21), (3, 21), (4, 21)])
def test_a_signal_at_each_gate(kind: signal.Signals, number: int, code: int, here: Here) -> None:
    """Before anything is changed nobody is needed; then it can go on, and back."""
    here.at_ask(number, lambda: os.kill(os.getpid(), kind))
    assert here.deploy() == code
    assert here.call("--status") == (21 if code == 21 else 0)
    assert here.call("--resume") == 0
    assert here.call("--undo") == 20


def test_a_second_ctrl_c_does_not_change_the_code(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted_again(progress: Progress, text: str) -> None:
        if "person must act" in text:
            os.kill(os.getpid(), signal.SIGINT)

    here.at_ask(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    monkeypatch.setattr(Progress, "message", interrupted_again)
    assert here.deploy() == 21


def test_a_hang_up_that_is_ignored_stays_so(here: Here) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        here.at_ask(3, lambda: os.kill(os.getpid(), signal.SIGHUP))
        assert here.deploy() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_mistake_that_shows_half_way_is_no_mistake_before_it(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*words: Any) -> None:
        raise PlanProblem("in the middle", 2)

    here.at_ask(3, lambda: monkeypatch.setattr(Journal, "add", breaks))
    assert here.deploy() == 21


@pytest.mark.parametrize("number", range(12))
def test_a_disk_that_is_full_from_some_line_on(number: int, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    true, lines = Journal.add, iter(range(1000))

    def add(*words: Any, **told: Any) -> None:
        if next(lines) >= number:
            raise OSError(28, "No space left on device", "x.jsonl")
        true(*words, **told)

    monkeypatch.setattr(Journal, "add", add)
    code = here.deploy()
    assert code == (3 if number < 2 else 21)
    monkeypatch.setattr(Journal, "add", true)
    if number >= 2:
        assert here.call("--resume") == 0


def test_a_state_folder_that_cannot_be_written(here: Here) -> None:
    (here.folder / ".prodcheck").write_text("no folder")
    assert (here.deploy(), here.call("--revision", NEW, "--approve")) == (3, 2)  # 2: of the key
    assert here.real.effects == []


@pytest.mark.parametrize("revision", ["r 2", "-", "-x", "r2;id", "$(id)", "`id`", "~root", "r2|x", "r2&", "r'2"])
def test_a_revision_that_programs_cannot_be_given(revision: str, here: Here) -> None:
    assert here.call(f"--revision={revision}", "--auto-approve") == 2
    assert here.real.effects == []


# -- the terminal


class Terminal:
    """A real one, whose keys are ours; for this process' standard input and output."""

    def __init__(self) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 60))
        self.inp, self.out = os.fdopen(theirs, "r"), os.fdopen(os.dup(theirs), "w")

    def attach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the test itself: pytest puts its own output in place between a fixture and the test."""
        monkeypatch.setattr(sys, "stdin", self.inp)
        monkeypatch.setattr(sys, "stdout", self.out)

    def shown(self) -> str:
        self.out.flush()
        os.set_blocking(self.ours, False)
        found = b""
        try:
            while part := os.read(self.ours, 65536):
                found += part
        except BlockingIOError:
            pass
        return found.decode(errors="replace")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    yield made
    for each in (made.inp, made.out):
        each.close()
    os.close(made.ours)


ANSWERS = {b"r2\n": 0, b" r2 \n": 0, b"r3\n": 22, b"\n": 22, b"yes\n": 22, b"\x04": 22, b"\xff\xfe\n": 22}


@pytest.mark.parametrize("typed", ANSWERS, ids=repr)
def test_a_person_approves_at_the_terminal_by_typing_the_revision(
    typed: bytes, here: Here, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.attach(monkeypatch)
    os.write(terminal.ours, typed)
    assert here.call("--revision", NEW) == ANSWERS[typed]
    assert "Type r2 to deploy it" in terminal.shown()
    assert (here.real.effects != []) == (ANSWERS[typed] == 0)
    if ANSWERS[typed] == 0:
        journal = next((here.folder / ".prodcheck").rglob("*.jsonl")).read_text()
        assert '"by": "at the terminal, ' in journal


@pytest.mark.parametrize("error", [KeyboardInterrupt, command.Interrupted])
def test_ctrl_c_at_the_prompt_deploys_nothing_and_calls_nobody(
    error: type[BaseException], here: Here, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(prompt: str) -> str:
        raise error

    terminal.attach(monkeypatch)
    monkeypatch.setattr("builtins.input", interrupted)
    assert here.call("--revision", NEW) == (22 if error is KeyboardInterrupt else 3)
    assert here.real.effects == []


def test_one_document_for_programs_whatever_is_asked_for(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    def told(code: int, *words: str) -> dict[str, Any]:
        capsys.readouterr()
        assert here.call(*words, "--format", "json") == code
        shown: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert (shown["schema"], shown["code"]) == ("prodcheck-deployment/1", code)
        keys.update(shown)
        return shown

    keys: set[str] = set()
    assert told(0, "--status")["state"] == ""
    plan = told(0, "--revision", NEW, "--dry-run")["plan"]
    assert (plan["revision"], plan["old"], plan["point_of_no_return"]) == (NEW, OLD, None)
    assert {"does": f"start {NEW} in green", "undo": "stop green"}.items() <= plan["steps"][1].items()
    assert set(plan) | set(plan["steps"][0]) <= documented()
    assert told(22, "--revision", NEW)["plan"]["digest"] == plan["digest"]
    assert told(0, "--revision", NEW, "--approve")["plan"]["digest"] == plan["digest"]
    here.real.broken = {"before": 3}
    assert told(3, "--revision", NEW)["state"] == "closed"
    here.real.broken = {NEW: 1, OLD: 1}
    person = told(21, "--revision", NEW, "--auto-approve")
    assert (person["state"], person["begun"], "is blocked" in person["why"]) == ("person", 2, True)
    assert told(21, "--status")["traffic"] == [{"blue": 100, "green": 0}]
    here.real.broken = {}
    assert told(20, "--undo")["state"] == "undone"
    assert "nothing to resume or undo" in told(4, "--resume")["says"]
    here.folder.joinpath("prodcheck.toml").write_text("version = 1\n")
    assert told(2, "--status")["says"]
    assert keys <= documented()


def documented() -> set[str]:
    """Keys in the table of the page."""
    page = Path(__file__).resolve().parents[2] / "docs" / "deploying.md"
    section = page.read_text(encoding="utf-8").partition("### For programs")[2].partition("\n## ")[0]
    return set(re.findall(r"`([a-z_]+)`", section))


def test_without_a_terminal_nobody_is_asked(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert here.call("--revision", NEW) == 22


@pytest.mark.parametrize("plain", [False, True])
def test_lines_of_a_narrow_terminal_and_no_colour(
    plain: bool, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    if plain:
        monkeypatch.setenv("NO_COLOR", "1")
    terminal.attach(monkeypatch)
    progress = Progress()
    progress.step(1, 9, "traffic: blue 90 %, green 10 %, and more than fits")
    progress.update("17 of 1000 requests to each copy\x1b[2J")
    progress.result("open")
    passing, _, last = terminal.shown().replace("\r\n", "\n").rpartition("\r\033[K")
    assert all(len(each) < 60 for each in passing.split("\r\033[K"))
    assert ("\033[32m" in last) != plain
    assert "\x1b[2J" not in passing


# -- events


def git(folder: Path, *words: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_COMMITTER_DATE": "1700000000 +0200"}
    names = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *names, *words], cwd=folder, env=env, capture_output=True, text=True, check=True
    ).stdout


def test_the_commit_time_of_a_revision_is_noted(here: Here) -> None:
    git(here.folder, "init", "-q")
    git(here.folder, "commit", "-q", "--allow-empty", "-m", "one")
    commit = git(here.folder, "rev-parse", "HEAD").strip()
    for revision in (commit, commit[:10]):
        assert deployment_events.commit_time(here.folder, revision) == 1700000000
    for revision in ("r2", "0" * 40, "--output=x", "-1", commit + ":x", "a b"):
        assert deployment_events.commit_time(here.folder, revision) is None
    assert here.deploy(commit) == 0
    connection = sqlite3.connect(here.folder / ".prodcheck" / "events.db")
    body = json.loads(connection.execute("select body from events").fetchone()[0])
    connection.close()
    assert (body["committed_at"], body["old"]) == (1700000000, OLD)


def test_a_call_that_is_killed_before_it_noted_is_made_up_for(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*words: Any) -> str:
        raise Killed

    true = deployment_events.record_event
    monkeypatch.setattr(deployment_events, "record_event", killed)
    assert here.deploy() == 21
    monkeypatch.setattr(deployment_events, "record_event", true)
    assert here.events() == []
    for _ in range(2):
        assert here.call("--resume") == 4  # it is done
        assert here.events() == [("deployed", NEW)]


def test_an_event_that_cannot_be_noted_changes_no_code(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*words: Any) -> None:
        raise ValueError("no secret EVENTS_DSN")

    monkeypatch.setattr("pytest_prodcheck.events.configured_log.open_log", fails)
    assert here.deploy() == 0
    assert "the event log was not updated: no secret EVENTS_DSN" in capsys.readouterr().out


# -- programs and settings


def test_a_program_that_says_too_much_or_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_MAX_OUTPUT_BYTES", 10_000)
    monkeypatch.setattr(programs, "_POLL_INTERVAL", 0.05)
    env = {"PATH": os.environ["PATH"]}
    said = ProgramRunner(tmp_path).run(["yes"], 60, env)
    assert (said.code, said.text.endswith("it printed more than 0 MiB")) == (143, True)
    long = ProgramRunner(tmp_path).run(["true", "x" * 10_000_000], 60, env)
    assert (long.code, "cannot be started" in long.text) == (127, True)
    binary = ProgramRunner(tmp_path).run(["head", "-c", "1000", "/dev/urandom"], 60, env)
    assert binary.code == 0


def test_a_program_of_another_user_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.sh").write_text("#!/bin/sh\necho run\n")
    (tmp_path / "x.sh").chmod(0o755)
    site = DriverContext(settings("blue-green"), tmp_path, "", (), ProgramRunner(tmp_path))
    assert DriverPrograms(site).run(["./x.sh"], 20) == "run\n"
    if os.geteuid() == 0:
        os.chown(tmp_path / "x.sh", 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(DriverProblem, match="belongs to another user"):
        DriverPrograms(site).run(["./x.sh"], 20)


GARBAGE = {
    "nothing": "", "half": "blue 100\n", "a long number": f"blue {'9' * 5000}\ngreen 0\n",
    "negative": "blue 110\ngreen -10\n",
    "no ASCII": "blue \N{ARABIC-INDIC DIGIT THREE}\ngreen 97\n", "a share": "blue 0.5\ngreen 0.5\n",
    "no text": "\0\ufffd\ufffd\n", "much": "x y\n" * 10_000, "a long word": f"blue {'x' * 60_000}\ngreen 0\n",
    "twice": "blue 100\ngreen 0\ngreen 0\n", "JSON": '{"blue": 100, "green": 0}\n',
}  # fmt: skip


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_that_a_program_prints_is_one_short_message(what: str, tmp_path: Path) -> None:
    class Prints(ProgramRunner):
        def run(self, command: Sequence[str], seconds: float, env: Mapping[str, str]) -> ProgramResult:
            return ProgramResult(0, "blue r1\ngreen -\n" if command == ["x", "copies"] else GARBAGE[what])

    declared = settings("blue-green", commands={
        "copy": {"start": ("x",), "observe": ("x", "copies")}, "share": {"do": ("x",), "observe": ("x", "shares")},
    })  # fmt: skip
    with pytest.raises(DriverProblem, match=r"commands\.share\.observe") as error:
        CommandsDriver(DriverContext(declared, tmp_path, "", (), Prints(tmp_path))).observe()
    assert len(str(error.value)) < 500


def test_trouble_of_our_own_is_no_error_of_a_copy(capfd: pytest.CaptureFixture[str]) -> None:
    def ask() -> bool:
        calls[0] += 1
        if calls[0] > 20:
            raise RuntimeError("the client was closed")
        return True

    calls = [0]
    found = RequestSampler(
        {"green": [ask], "blue": [ask]}, DeployAnalysis(least=100, rate=1000), lambda number: None
    ).run()
    assert found["green"].failed == found["blue"].failed == 0
    assert compare_samples(found["green"], found["blue"], DeployAnalysis(least=100), 1).code == 3
    assert "Traceback" not in capfd.readouterr().err


def program(*words: str) -> None:
    CopyCommands.model_validate({"start": words, "observe": ("x",)})


def test_nothing_is_filled_into_the_text_of_a_shell() -> None:
    for words in (("sh", "-c", "start {revision}"), ("/bin/bash", "-ec", "x {slot}"), ("sh", "-e", "-c", "{unit}")):
        with pytest.raises(ValueError, match="shell would execute"):
            program(*words)
    with pytest.raises(ValueError, match="NUL"):
        program("x", "a\0b")
    for good in (["sh", "-c", './x "$1"', "sh", "{revision}"], ["sh", "x.sh", "{slot}"], ["x", "-c", "{slot}"]):
        program(*good)


def test_copies_behind_one_address_are_refused(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    (here.folder / "prodcheck.toml").write_text(TOML.replace("127.0.0.1:2", "127.0.0.1:1"))
    assert here.deploy() == 2
    assert "go to the same address" in capsys.readouterr().out


ODD_STEPS: list[list[str]] = [
    [], ["0%", "100%"], ["10%"], ["10%", "10%", "100%"], ["50%", "10%", "100%"], ["0.5%", "100%"], ["10%", "101%"],
    ["nan%", "100%"], ["\N{ARABIC-INDIC DIGIT THREE}%", "100%"], ["100%"], ["60%", "100%"],
]  # fmt: skip


@pytest.mark.parametrize("steps", ODD_STEPS, ids=repr)
def test_steps_that_are_none(steps: list[str]) -> None:
    commands = {"copy": {"start": ("x",), "observe": ("x",)}, "share": {"do": ("x",), "observe": ("x",)}}
    there = {"strategy": "canary", "slots": ("blue", "green"), "commands": commands, "steps": steps}
    with pytest.raises(ValueError):
        Deploy.model_validate(there)
