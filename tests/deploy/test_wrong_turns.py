"""What people and other programs do around a deployment: other approvals, other settings, other users, no clock."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.deploy import approval
from pytest_prodcheck.deploy.journal import Store
from pytest_prodcheck.deploy.plan import Plan, PlanProblem
from pytest_prodcheck.deploy.programs import StillRunning
from tests.deploy.model import KEY, NEW, OLD, ModelDriver, plan_of, reality
from tests.deploy.model_project import TOML, Here

MADE = 1_000_000.0
Change = Callable[[dict[str, Any]], None]


def changed(path: Path, how: Change) -> None:
    document = json.loads(path.read_text())
    how(document)
    path.write_text(json.dumps(document))


WRONG: dict[str, tuple[Callable[[Path], Any], float, str]] = {
    "over": (lambda path: None, 60.0, "has expired"),
    "over for long": (lambda path: None, 10**9, "has expired"),
    "of the future": (lambda path: None, -60.0, "made in the future"),
    "made longer": (
        lambda path: changed(path, lambda each: each.update(expires_at=MADE * 2)),
        1.0,
        "has been modified",
    ),
    "for another revision": (
        lambda path: changed(path, lambda each: each.update(revision="r9")),
        1.0,
        "has been modified",
    ),
    "without a seal": (lambda path: changed(path, lambda each: each.pop("seal")), 1.0, "has been modified"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:40]), 1.0, "cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), 1.0, "cannot be read"),
    "no document": (lambda path: path.write_bytes(b"[]"), 1.0, "has been modified"),
    "a folder": (lambda path: path.rename(path.with_name("moved")).with_name(path.name).mkdir(), 1.0, "cannot be"),
}


def planned(strategy: str = "blue-green") -> Plan:
    return plan_of(strategy, reality(strategy))


@pytest.mark.parametrize("what", WRONG)
def test_an_approval_that_is_none(what: str, tmp_path: Path) -> None:
    spoil, later, told = WRONG[what]
    path = tmp_path / "approval.json"
    approval.write(path, planned(), KEY, by="a person", now=MADE, seconds=60.0)
    found = approval.read(path, planned(), KEY, MADE + 59.9)
    assert found is not None
    assert found.by == "a person"
    spoil(path)
    with pytest.raises(PlanProblem, match=told) as error:
        approval.read(path, planned(), KEY, MADE + later)
    assert error.value.code == 4


def test_an_approval_of_another_plan_of_the_same_revision_or_by_another_key(tmp_path: Path) -> None:
    path = tmp_path / "approval.json"
    approval.write(path, planned("canary"), KEY, by="a person", now=MADE, seconds=60.0)
    with pytest.raises(PlanProblem, match="is for another plan"):
        approval.read(path, planned(), KEY, MADE)
    for key in (b"another key another key", None):
        with pytest.raises(PlanProblem, match="sealed with another key"):
            approval.read(path, planned("canary"), key, MADE)


def test_an_approval_that_settings_were_changed_after(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert here.call("--revision", NEW, "--approve") == 0
    (here.folder / "prodcheck.toml").write_text(TOML.replace('monitor  = "1ms"', 'monitor  = "2ms"'))
    capsys.readouterr()
    assert (here.call("--revision", NEW), here.real.effects) == (4, [])
    assert "is for another plan" in capsys.readouterr().out


def test_settings_that_were_changed_half_way_are_not_gone_on_with(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    here.at_ask(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert here.deploy() == 21
    (here.folder / "prodcheck.toml").write_text(TOML.replace('monitor  = "1ms"', 'monitor  = "2ms"'))
    before = list(here.real.effects)
    assert (here.call("--resume"), here.real.effects) == (4, before)
    assert "planned with another prodcheck.toml" in capsys.readouterr().out
    assert (here.call("--undo"), here.real.one_revision()) == (20, OLD)


WEAKER = ["[gates.smoke]\nselect = []\n", '[environments.production.thresholds]\n"a.b.c" = "off"\n', "no TOML\n"]


@pytest.mark.parametrize("more", WEAKER)
@pytest.mark.parametrize("number", [2, 4])
def test_gates_that_somebody_changes_meanwhile_do_not_go_forward(number: int, more: str, here: Here) -> None:
    """Another commit is checked out below a deployment: its gates may ask less than what was approved."""

    def change() -> None:
        (here.folder / "prodcheck.toml").write_text(TOML + more)

    here.at_ask(number - 1, change)
    assert here.deploy() == 20
    asked = [gate for gate, _, revision in here.gates.asked if revision == NEW]
    assert (here.real.one_revision(), len(asked)) == (OLD, number - 1)


def test_a_plan_that_was_edited_in_its_journal_is_damage(here: Here) -> None:
    here.at_ask(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert here.deploy() == 21
    path = next(here.folder.rglob("000001.jsonl"))
    path.write_text(path.read_text().replace(f'"revision": "{NEW}"', '"revision": "r9"'))
    assert [here.call(verb) for verb in ("--status", "--resume", "--undo")] == [21, 21, 21]


@pytest.mark.parametrize("name", ["", "000001.jsonl", "lock"])
def test_the_deployment_of_another_user_is_told_in_one_message(
    name: str, here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refusals of the kernel are played: who runs these tests may read all."""
    assert here.deploy() == 0
    folder = next(here.folder.rglob("000001.jsonl")).parent

    def denied(true: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *words: Any, **named: Any) -> Any:
            if str(path) == str(folder / name):
                raise PermissionError(13, "Permission denied", str(path))
            return true(path, *words, **named)

        return call

    monkeypatch.setattr(os, "listdir", denied(os.listdir))
    monkeypatch.setattr(os, "open", denied(os.open))
    for verb in ("--status", "--undo"):
        capsys.readouterr()
        assert here.call(verb) == 3
        told = capsys.readouterr().out
        assert str(folder / name) in told
        assert told.rstrip().endswith("Permission denied: run as the user who deploys here")


def test_a_program_that_cannot_be_ended_calls_a_person_and_nothing_is_done_beside_it(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def share(driver: ModelDriver, shares: object) -> None:
        raise StillRunning("./switch.sh could not be ended")

    with monkeypatch.context() as patch:
        patch.setattr(ModelDriver, "share", share)
        assert here.deploy() == 21
    assert here.real.effects == ["start green"]
    assert "./switch.sh could not be ended" in capsys.readouterr().out
    assert (here.call("--status"), here.call("--undo"), here.real.one_revision()) == (21, 20, OLD)


def test_clocks_that_jump_change_neither_position_nor_order(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(here.folder), "production", "")
    assert here.deploy() == 0
    for ahead in (-(10**6), 10**6, -3600):
        with monkeypatch.context() as patch:
            patch.setattr("pytest_prodcheck.deploy.journal.time.time", lambda ahead=ahead: 1.8e9 + ahead)
            assert (here.call("--undo"), here.call("--status")) == (20, 20)
            assert (here.deploy(), here.call("--status")) == (0, 0)
    found = [journal.path.stem for journal in store.journals(store.key())]
    assert found == ["000004", "000003", "000002", "000001"]
