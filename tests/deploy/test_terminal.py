"""A person at a terminal: approval by typing the revision, what is shown, and the JSON document for programs."""

from __future__ import annotations

import json
import os
import pty
import re
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.cli import deploy as command
from pytest_prodcheck.cli.deploy_progress import Progress
from tests.deploy.model import NEW, OLD
from tests.deploy.model_project import Here


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
    section = page.read_text(encoding="utf-8").partition("### JSON output")[2].partition("\n## ")[0]
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
