"""Plans are carried out, back, and on after a kill at any moment: over a model with a real journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.deploy.deployer import Deployer
from pytest_prodcheck.deploy.gate_client import GateAnswer
from pytest_prodcheck.deploy.journal import Journal, JournalDamaged
from pytest_prodcheck.deploy.plan import ObservedState, Plan, PlanProblem, even_shares
from pytest_prodcheck.deploy.strategies import make_plan
from tests.deploy.model import (
    KEY,
    NEW,
    OLD,
    STRATEGIES,
    Killed,
    ModelDriver,
    Scene,
    is_damaged,
    plan_of,
    reality,
    settings,
)
from tests.soak import SOAK


def folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_good_revision_gets_in(strategy: str, tmp_path: Path) -> None:
    scene = Scene.make(strategy, tmp_path)
    assert scene.deployer().run() == 0
    assert scene.real.one_revision() == NEW
    assert scene.events()[-1] == "done"
    assert scene.gates.asked[0] == ("pre_deploy", "", NEW)
    assert scene.gates.asked[-1] == ("smoke", "", NEW)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_a_closed_gate_before_the_change_is_the_exit_code_and_nothing_is_touched(
    strategy: str, code: int, tmp_path: Path
) -> None:
    scene = Scene.make(strategy, tmp_path, broken={"before": code})
    assert scene.deployer().run() == code
    assert scene.real.effects == []
    assert scene.events()[-1] == "closed"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_a_bad_revision_is_undone_and_the_old_one_smoked(strategy: str, code: int, tmp_path: Path) -> None:
    scene = Scene.make(strategy, tmp_path, broken={NEW: code})
    assert scene.deployer().run() == 20
    assert scene.real.one_revision() == OLD
    assert scene.real.shares == scene.plan.shares
    assert scene.gates.asked[-1] == ("smoke", "", OLD)


@pytest.mark.parametrize("code", [1, 3])
def test_a_canary_that_is_worse_or_cannot_be_told_never_goes_forward(code: int, tmp_path: Path) -> None:
    scene = Scene.make("canary", tmp_path, broken={"compare": code})
    assert scene.deployer().run() == 20
    assert (scene.real.one_revision(), scene.real.effects.count("share")) == (OLD, 2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_with_traffic_cannot_tell_is_asked_once_more(strategy: str, tmp_path: Path) -> None:
    scene = Scene.make(strategy, tmp_path)
    live = next(at for at, step in enumerate(scene.plan.steps) if step.kind == "gate" and step.loaded)
    before = [0] * sum(step.kind == "gate" for step in scene.plan.steps[:live])
    scene.gates.gate_codes = [*before, 3, 0]
    assert scene.deployer().run() == 0
    other = Scene.make(strategy, folder(tmp_path, "other"))
    other.gates.gate_codes = [*before, 3, 3]
    assert other.deployer().run() == 20


def test_a_look_that_is_repeated_is_counted_also_by_a_successor(tmp_path: Path) -> None:
    scene = Scene.make("canary", tmp_path, hold=True)
    scene.gates.comparison_codes = [
        3,
        0,
        3,
        3,
        3,
        0,
    ]  # 10 %: repeated once; 50 %: once, held, resumed, repeated twice more
    assert scene.deployer().run() == 21
    assert scene.deployer().run() == 0
    assert scene.gates.repeated == [0, 1, 0, 2, 3, 4]


def test_held_as_declared_then_resumed_or_undone(tmp_path: Path) -> None:
    scene = Scene.make("blue-green", tmp_path, hold=True)
    scene.gates.gate_codes = [0, 0, 3, 3]
    assert scene.deployer().run() == 21
    assert scene.real.one_revision() == NEW
    assert scene.deployer().run() == 0
    again = Scene.make("blue-green", folder(tmp_path, "x"), hold=True)
    again.gates.gate_codes = [0, 0, 3, 3]
    assert again.deployer().run() == 21
    assert again.deployer().undo("asked") == 20
    assert again.real.one_revision() == OLD


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_rollback_that_is_not_proven_needs_a_person(strategy: str, tmp_path: Path) -> None:
    scene = Scene.make(strategy, tmp_path, broken={NEW: 1, OLD: 3})
    assert scene.deployer().run() == 21
    assert scene.events()[-1] == "person"
    scene.real.broken = {}
    assert scene.deployer().run() == 20  # one way: it goes on back, not forward


def test_a_gate_that_is_only_observed_proves_no_rollback(tmp_path: Path) -> None:
    """`observe_until` answers 0 for an old revision whose checks fail, too."""
    scene = Scene.make("blue-green", tmp_path, broken={NEW: 1})
    ask = scene.gates.ask
    scene.gates.ask = lambda gate, slot, revision, wait=0.0: (  # type: ignore[method-assign]
        GateAnswer(0, "", "blocked") if revision == OLD else ask(gate, slot, revision, wait)
    )
    assert scene.deployer().run() == 21
    assert scene.deployer().state.reason.endswith(f"of the old revision {OLD} is only observed, otherwise blocked")


@pytest.mark.parametrize("refused", ["start green", "share", "stop green"])
def test_a_change_that_is_refused(refused: str, tmp_path: Path) -> None:
    scene = Scene.make("blue-green", tmp_path, broken={NEW: 1} if refused == "stop green" else None)
    scene.real.refuses = {refused}
    code = scene.deployer().run()
    assert code == {"start green": 20, "share": 21, "stop green": 21}[refused]
    assert scene.real.one_revision() == OLD


def test_no_traffic_for_a_copy_that_shows_something_else(tmp_path: Path) -> None:
    scene = Scene.make("blue-green", tmp_path)
    deployer = scene.deployer()
    start = deployer.driver.start

    def lies(slot: str, revision: str) -> None:
        start(slot, "r0" if revision == NEW else revision)

    deployer.driver.start = lies  # type: ignore[method-assign]
    assert deployer.run() == 20
    assert "share" not in scene.real.effects[:-1]


def test_after_the_point_of_no_return_it_only_goes_forward(tmp_path: Path) -> None:
    scene = Scene.make("canary", tmp_path, retire=True)
    assert scene.plan.point_of_no_return == len(scene.plan.steps) - 1
    scene.real.refuses = {"stop blue"}
    assert scene.deployer().run() == 21
    assert scene.deployer().undo("asked") == 21
    assert scene.real.one_revision() == NEW
    scene.real.refuses = set()
    assert scene.deployer().run() == 0
    assert scene.real.revisions == {"blue": "", "green": NEW}


def test_a_done_deployment_can_be_undone(tmp_path: Path) -> None:
    scene = Scene.make("blue-green", tmp_path)
    assert scene.deployer().run() == 0
    assert scene.deployer().undo("asked") == 20
    assert scene.real.one_revision() == OLD


def test_traffic_that_somebody_moved_stops_a_successor(tmp_path: Path) -> None:
    scene = Scene.make("canary", tmp_path)
    scene.real.kill_at = 30
    with pytest.raises(Killed):
        scene.deployer().run()
    scene.real.kill_at = -1
    scene.real.shares = (("blue", 77), ("green", 23))
    assert scene.deployer().run() == 4
    assert scene.deployer().undo("asked") == 20


BROKEN: list[dict[str, int]] = [{}, {NEW: 1}, {NEW: 1, OLD: 1}, *([{"compare": 1}, {NEW: 3}] if SOAK else [])]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("then", "broken"), [*(("resume", each) for each in BROKEN), ("undo", {})], ids=str)
def test_killed_at_every_line_and_effect(strategy: str, then: str, broken: dict[str, int], memory: Path) -> None:
    """Whatever moment it dies at, and its successor too: all traffic ends on one smoked revision, or with 21."""
    whole = Scene.make(strategy, memory, broken=broken)
    meant = whole.deployer().run()
    moments = whole.real.moments
    whole.path.unlink()
    assert moments > 20
    for moment in range(1, moments + 1):
        for again in range(40) if SOAK else (moment % 8,):
            scene = Scene.make(strategy, memory, broken=dict(broken))
            scene.real.kill_at = moment
            with pytest.raises(Killed):
                scene.deployer().run()
            code = _survive(scene, then, again)
            live = scene.real.one_revision()
            assert code in ({0, 20, 21} if then == "resume" else {0, 4, 20, 21}), (moment, code)
            if code == 21:
                assert meant == 21, moment  # a healthy deployment never ends with a person
            if code == 20:
                assert (live, scene.real.shares) == (OLD, scene.plan.shares), moment
                assert scene.gates.asked[-1] == ("smoke", "", OLD)
            if code == 0:
                assert live == NEW, moment
                assert meant == 0 or then == "undo", moment
            if code == 4:
                assert live == OLD
                assert "share" not in scene.real.effects
            scene.path.unlink()


def _survive(scene: Scene, then: str, again: int) -> int:
    """Lets successors go on until one of them comes to an end; the first is killed too, `again` moments in."""
    scene.real.kill_at = scene.real.moments + again if again else -1
    for _ in range(3):
        deployer = scene.deployer()
        state = deployer.state.status
        if state in ("done", "undone", "closed", "person"):
            return {"done": 0, "undone": 20, "closed": 4, "person": 21}[state]
        try:
            return _once(deployer, then)
        except Killed:
            scene.real.kill_at = -1
    raise AssertionError("it was killed once")


def _once(deployer: Deployer, then: str) -> int:
    return deployer.run() if then == "resume" else deployer.undo("asked")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_plan_survives_its_journal_and_has_an_undo_for_each_change(strategy: str) -> None:
    plan = plan_of(strategy, reality(strategy))
    again = Plan.parse(plan.dump())
    assert (again, again.digest) == (plan, plan.digest)
    assert all(step.undo is not None for step in plan.steps if step.change is not None)
    assert plan.point_of_no_return is None


@pytest.mark.parametrize(
    ("strategy", "world"),
    [
        ("rolling", ObservedState({"a": OLD, "b": OLD, "c": "r0"}, even_shares(("a", "b", "c"), frozenset("abc")))),
        ("rolling", ObservedState({"a": OLD, "b": OLD, "c": ""}, even_shares(("a", "b", "c"), frozenset("abc")))),
        ("rolling", ObservedState(dict.fromkeys("abc", OLD), even_shares(("a", "b", "c"), frozenset("ab")))),
        ("canary", ObservedState({"blue": OLD, "green": "r0"}, (("blue", 90), ("green", 10)))),
        ("blue-green", ObservedState({"blue": "", "green": OLD}, (("blue", 100), ("green", 0)))),
        ("blue-green", ObservedState({"blue": OLD, "green": ""}, (("blue", 0), ("green", 0)))),
        (
            "blue-green",
            ObservedState({"blue": OLD, "green": ""}, (("blue", 100), ("green", 0)), "a reload would change it"),
        ),
    ],
)
def test_what_no_strategy_starts_from_is_refused(strategy: str, world: ObservedState) -> None:
    with pytest.raises(PlanProblem) as error:
        make_plan(settings(strategy), world, environment="e", unit="", revision=NEW)
    assert error.value.code == 4


def test_a_revision_that_is_there_already_is_only_smoked() -> None:
    real = reality("canary")
    plan = make_plan(settings("canary"), ModelDriver(real).observe(), environment="e", unit="", revision=OLD)
    assert [step.describe() for step in plan.steps] == ["gate smoke"]


def test_only_the_last_line_of_a_journal_may_be_torn(tmp_path: Path) -> None:
    scene = Scene.make("blue-green", tmp_path)
    scene.deployer().run()
    whole = scene.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (1, len(lines[-1]) // 2, len(lines[-1]) - 1):
        scene.path.write_bytes(whole[:-cut])
        torn = Journal(scene.path, KEY)
        assert len(torn.lines) == len(lines) - 1
        torn.add("done")
        assert len(Journal(scene.path, KEY).lines) == len(lines)
    scene.path.write_bytes(whole + b"\0" * 100 + b"\n")
    assert len(Journal(scene.path, KEY).lines) == len(lines)
    damaged = {
        "a line is gone": b"".join(lines[:3] + lines[4:]),
        "a byte is another one": whole.replace(b'"begun"', b'"begum"', 1),
        "two lines changed places": b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]),
        "the plan is gone": b"".join(lines[1:]),
        "nothing of it": b"x\ny\n",
    }
    for what, content in damaged.items():
        scene.path.write_bytes(content)
        assert is_damaged(scene.path), what
    scene.path.write_bytes(whole)
    with pytest.raises(JournalDamaged):
        Journal(scene.path, b"another key another key")


def test_a_long_watch_notes_its_first_and_last_answer_and_one_that_is_not_open(tmp_path: Path) -> None:
    """A ConfigMap has room for a mebibyte."""
    for name, gate_codes, plan_entry in (("good", [], [0, 0]), ("late", [*[0] * 8, 1], [0, 1])):
        scene = Scene.make("in place", folder(tmp_path, name))
        (number,) = (at for at, step in enumerate(scene.plan.steps) if step.kind == "watch")
        before = [0] * sum(step.kind == "gate" for step in scene.plan.steps)
        deployer = scene.deployer()
        deployer.clock = iter(range(10**9)).__next__
        scene.gates.gate_codes = [*before, *gate_codes]
        assert deployer.run() == (20 if gate_codes else 0)
        watched = [line["code"] for line in deployer.journal.lines if line.get("step") == number]
        assert watched == plan_entry
        assert len(scene.gates.asked) > 8
