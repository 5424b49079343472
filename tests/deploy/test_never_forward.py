"""Whatever goes wrong in the middle, nothing goes forward and no code says what is not so: over the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.deploy.deployer import Deployer
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.gate_client import GateAnswer
from pytest_prodcheck.deploy.journal import Journal
from pytest_prodcheck.deploy.plan import ObservedState, PlanProblem, Shares
from pytest_prodcheck.deploy.strategies import make_plan
from pytest_prodcheck.environments.toml.errors import ConfigurationError
from tests.deploy.model import KEY, NEW, OLD, STRATEGIES, Killed, Scene, is_damaged, settings

MOVED: Shares = (("blue", 33), ("green", 67))


def before_call(deployer: Deployer, part: str, name: str, number: int, act: Callable[[], None]) -> None:
    """Has something happen as the gate, driver or comparison is called for the time with this number, from 1."""
    owner = getattr(deployer, part)
    true, calls = getattr(owner, name), iter(range(1, 10**6))

    def instead(*words: Any, **named: Any) -> Any:
        if next(calls) == number:
            act()
        return true(*words, **named)

    setattr(owner, name, instead)


def fail(error: Exception) -> Callable[[], None]:
    def raises() -> None:
        raise error

    return raises


@pytest.mark.parametrize(
    ("strategy", "name"),
    [(each, name) for each in STRATEGIES for name in ("share", "start") if (each, name) != ("in place", "share")],
)
@pytest.mark.parametrize("error", [KeyError("pxname"), PlanProblem("of a driver's own"), ConfigurationError([])])
def test_an_error_that_a_driver_did_not_foresee_leads_back(
    error: Exception, name: str, strategy: str, memory: Path
) -> None:
    scene = Scene.make(strategy, memory)
    deployer = scene.deployer()
    before_call(deployer, "driver", name, 1, fail(error))
    assert deployer.run() == 20
    assert scene.real.one_revision() == OLD


@pytest.mark.parametrize("hold", [False, True])
def test_a_comparison_or_gate_that_fails_cannot_tell(hold: bool, memory: Path) -> None:
    for number, (part, name) in enumerate([("comparison", "compare"), ("gates", "ask")]):
        folder = memory / str(number)
        folder.mkdir()
        scene = Scene.make("canary", folder, hold=hold)
        deployer = scene.deployer()
        loaded = 1 if name == "compare" else 3
        before_call(deployer, part, name, loaded, fail(ConfigurationError([])))
        assert deployer.run() == 0  # asked once more
        folder = folder / "again"
        folder.mkdir()
        scene = Scene.make("canary", folder, hold=hold)
        deployer = scene.deployer()
        for again in (loaded, loaded):
            before_call(deployer, part, name, again, fail(RuntimeError("can't start new thread")))
        assert deployer.run() == (21 if hold else 20)
        assert dict(scene.real.shares)["green"] == (10 if hold else 0)


def test_no_code_of_a_gate_cannot_tell(memory: Path) -> None:
    scene = Scene.make("blue-green", memory)
    deployer = scene.deployer()
    deployer.gates.ask = lambda *words: GateAnswer(137, "killed")  # type: ignore[method-assign]
    assert (deployer.run(), scene.real.effects) == (3, [])


def test_traffic_that_somebody_moves_meanwhile_leads_back(memory: Path) -> None:
    whole = Scene.make("canary", memory)
    assert whole.deployer().run() == 0
    for number in range(3, len(whole.gates.asked) + 1):
        whole.path.unlink()
        scene = Scene.make("canary", memory)
        deployer = scene.deployer()
        before_call(deployer, "gates", "ask", number, lambda: setattr(scene.real, "shares", MOVED))  # noqa: B023
        assert deployer.run() == 20, number
        assert scene.real.one_revision() == OLD


def test_a_copy_that_somebody_replaces_meanwhile_is_not_deployed(memory: Path) -> None:
    scene = Scene.make("blue-green", memory)
    deployer = scene.deployer()
    scene.gates.gate_codes = [0] * 50
    before_call(deployer, "gates", "ask", 4, lambda: scene.real.revisions.update(green="r7"))
    assert deployer.run() == 20


def test_another_revision_since_the_plan_was_made(memory: Path) -> None:
    scene = Scene.make("blue-green", memory)
    scene.real.revisions["blue"] = "r7"
    assert (scene.deployer().run(), scene.real.effects) == (4, [])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_look_that_fails_is_no_trouble(strategy: str, memory: Path) -> None:
    """At every look of a healthy deployment, and of its way back."""
    folder, number, looks = memory, 0, 10**6
    while number < looks:
        number += 1
        scene = Scene.make(strategy, folder)
        deployer, seen = scene.deployer(), [0]
        count(deployer, seen)
        before_call(deployer, "driver", "observe", number, fail(DriverProblem("slow once")))
        assert deployer.run() == 0, number
        before_call(deployer, "driver", "observe", number, fail(DriverProblem("slow once")))
        assert deployer.undo("asked") == 20, number
        looks = min(looks, seen[0])
        scene.path.unlink()


def count(deployer: Deployer, seen: list[int]) -> None:
    true = deployer.driver.observe

    def counted() -> ObservedState:
        seen[0] += 1
        return true()

    deployer.driver.observe = counted  # type: ignore[method-assign]


def test_what_cannot_be_observed_before_anything_cannot_tell(memory: Path) -> None:
    scene = Scene.make("canary", memory)
    deployer = scene.deployer()
    deployer.driver.observe = fail(DriverProblem("gone"))  # type: ignore[assignment,method-assign]
    assert (deployer.run(), scene.real.effects) == (3, [])


@pytest.mark.parametrize("before_it", [True, False])
def test_no_copy_is_retired_on_an_answer_from_before_a_pause(before_it: bool, memory: Path) -> None:
    scene = Scene.make("canary", memory, retire=True)
    assert scene.deployer().run() == 0
    moments = scene.real.moments - (5 if before_it else 2)  # before it was stopped, or when it was noted
    scene.path.unlink()
    scene = Scene.make("canary", memory, retire=True)
    scene.real.kill_at = moments
    with pytest.raises(Killed):
        scene.deployer().run()
    scene.real.kill_at, scene.real.broken, asked = -1, {NEW: 1}, len(scene.gates.asked)
    effects = list(scene.real.effects)
    assert scene.deployer().run() == 21
    assert scene.gates.asked[asked:] == [("smoke", "", NEW)]
    assert scene.real.effects == effects
    scene.real.broken = {}
    assert scene.deployer().run() == 0


ODD = {
    "others have traffic too": ObservedState({"blue": OLD, "green": ""}, (("blue", 60), ("green", 0))),
    "more than all": ObservedState({"blue": OLD, "green": ""}, (("blue", 160), ("green", 0))),
    "another order": ObservedState({"blue": OLD, "green": ""}, (("green", 0), ("blue", 100))),
    "another copy": ObservedState({"blue": OLD, "green": "", "red": ""}, (("blue", 100), ("green", 0))),
    "no such copy": ObservedState({"blue": OLD}, (("blue", 100), ("green", 0))),
    "an option": ObservedState({"blue": "--force", "green": ""}, (("blue", 100), ("green", 0))),
    "two words": ObservedState({"blue": OLD, "green": "r 1"}, (("blue", 100), ("green", 0))),
    "a colour": ObservedState({"blue": "\x1b[31mr1", "green": ""}, (("blue", 100), ("green", 0))),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_observed_has_to_be_about_our_copies_alone(what: str) -> None:
    for strategy in ("blue-green", "canary"):
        with pytest.raises(PlanProblem) as error:
            make_plan(settings(strategy), ODD[what], environment="e", unit="", revision=NEW)
        assert error.value.code == 4


def test_a_last_line_that_was_written_and_then_changed_is_damage(memory: Path) -> None:
    scene = Scene.make("blue-green", memory, broken={NEW: 1})
    assert scene.deployer().run() == 20
    lines = scene.path.read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines) + 1):
        scene.path.write_bytes(b"".join(lines[:number])[:-3] + b"x}\n")
        assert is_damaged(scene.path), number
        scene.path.write_bytes(b"".join(lines[: number - 1]) + b"\0" * 40 + b"\n")
        assert len(Journal(scene.path, KEY).lines) == number - 1
