"""Calls of `prodcheck deploy` in this process, over the model: rollbacks, approvals, signals, full disks."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_prodcheck.cli.deploy_progress import Progress
from pytest_prodcheck.deploy.journal import Journal
from pytest_prodcheck.deploy.plan import PlanProblem
from tests.deploy.model import NEW, OLD
from tests.deploy.model_project import TOML, Here

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


def test_an_approval_that_has_expired_is_not_gone_on_with_unless_something_was_changed(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for ask, code in ((1, 22), (3, 0)):
        assert here.call("--revision", NEW, "--approve", "--for", "1h") == 0
        here.at_ask(ask, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert here.call("--revision", NEW) == (3 if ask == 1 else 21)
        with monkeypatch.context() as patch:
            later = time.time() + 3601
            patch.setattr("pytest_prodcheck.deploy.deployment.time.time", lambda later=later: later)
            assert here.call("--resume") == code
        assert ("not approved any more" in capsys.readouterr().out) == (code == 22)
    assert here.call("--undo") == 20


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
