"""A model of copies and a balancer that keeps its state outside of the deployer, and can be killed at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_prodcheck.deploy.deployer import Deployer, plan_entry
from pytest_prodcheck.deploy.deployment_state import replay
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.gate_client import GateAnswer
from pytest_prodcheck.deploy.journal import Journal, JournalDamaged
from pytest_prodcheck.deploy.plan import ObservedState, Plan, Shares, even_shares
from pytest_prodcheck.deploy.strategies import make_plan
from pytest_prodcheck.environments.sections.deploy import Deploy

KEY = b"0123456789abcdef0123456789abcdef"
OLD, NEW = "r1", "r2"
STRATEGIES = ("rolling", "blue-green", "canary", "in place")


class Killed(BaseException):
    """SIGKILL: nothing of the deployer goes on."""


@dataclass
class Reality:
    """What is there. broken: revisions whose gate is closed, with its code; refuses: changes that fail."""

    revisions: dict[str, str]
    shares: Shares
    broken: dict[str, int] = field(default_factory=dict)
    refuses: set[str] = field(default_factory=set)
    pending: tuple[str, ...] = ()
    effects: list[str] = field(default_factory=list)
    kill_at: int = -1  # so many moments from now, at which something is about to happen or just did
    moments: int = 0

    def moment(self) -> None:
        self.moments += 1
        if self.kill_at == self.moments:
            raise Killed

    def one_revision(self) -> str:
        """The revision that carries all traffic, "" where several do."""
        found = {self.revisions[slot] for slot, percent in self.shares if percent}
        return found.pop() if len(found) == 1 else ""


@dataclass
class ModelDriver:
    real: Reality

    def observe(self) -> ObservedState:
        return ObservedState(dict(self.real.revisions), self.real.shares, pending=self.real.pending)

    def migrate(self, phase: str) -> None:
        def applied() -> None:
            if phase == "contract":
                assert OLD not in {self.real.revisions[slot] for slot, percent in self.real.shares if percent}
            self.real.pending = tuple(each for each in self.real.pending if not each.startswith(phase))

        self._do(f"migrate {phase}", applied)

    def start(self, slot: str, revision: str) -> None:
        self._do(f"start {slot}", lambda: self.real.revisions.update({slot: revision}))

    def stop(self, slot: str) -> None:
        self._do(f"stop {slot}", lambda: self.real.revisions.update({slot: ""}))

    def share(self, shares: Shares) -> None:
        def move() -> None:
            self.real.shares = shares

        self._do("share", move)

    def _do(self, name: str, effect: Callable[[], None]) -> None:
        if name in self.real.refuses:
            raise DriverProblem(f"{name} is refused")
        self.real.moment()
        effect()
        self.real.effects.append(name)
        self.real.moment()


@dataclass
class ModelGates:
    real: Reality
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    gate_codes: list[int] = field(default_factory=list)  # the next answers, whatever the revision
    comparison_codes: list[int] = field(default_factory=list)  # the next answers of comparisons
    repeated: list[int] = field(default_factory=list)  # which repetition each comparison was told to be

    def ask(self, gate: str, slot: str, revision: str, wait: float = 0.0) -> GateAnswer:
        self.real.moment()
        self.asked.append((gate, slot, revision))
        if self.gate_codes:
            return GateAnswer(self.gate_codes.pop(0))
        if gate == "pre_deploy":
            return GateAnswer(self.real.broken.get("before", 0))
        live = self.real.revisions[slot] if slot else self.real.one_revision()
        return GateAnswer(self.real.broken.get(revision, 0)) if live == revision else GateAnswer(1, f"{live} answers")

    def compare(self, slot: str, baseline: str, repetition: int) -> GateAnswer:
        self.real.moment()
        shares = dict(self.real.shares)
        assert shares[slot] > 0
        self.repeated.append(repetition)
        if self.comparison_codes:
            return GateAnswer(self.comparison_codes.pop(0))
        return GateAnswer(self.real.broken.get("compare", 0))


class Quiet:
    """Shows nothing, and remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, number: int, of: int, text: str) -> None:
        self.lines.append(text)

    def result(self, text: str, more: str = "") -> None:
        self.lines += [text, more]

    def message(self, text: str) -> None:
        self.lines.append(text)

    def update(self, text: str) -> None: ...


class ModelJournal(Journal):
    """A real journal on a real disk; the deployer may be killed before, in and after each line."""

    real: Reality | None = None

    def add(self, event: str, **fields: Any) -> None:
        if self.real is not None:
            self.real.moment()
        super().add(event, **fields)
        if self.real is not None:
            self.real.moment()


def settings(strategy: str, **more: Any) -> Deploy:
    if strategy == "in place":
        told = {"slots": ("a",), "driver": "kubernetes", "kubernetes": {"image": "x:{revision}"}}
        return Deploy.model_validate({"strategy": "rolling", **told, **more})
    slots = ("a", "b", "c") if strategy == "rolling" else ("blue", "green")
    copies = {"start": ("x",), "stop": ("x",), "observe": ("x",)}
    commands = {"copy": copies, "share": {"do": ("x",), "observe": ("x",)}}
    return Deploy.model_validate({"strategy": strategy, "slots": slots, "commands": commands, **more})


def reality(strategy: str) -> Reality:
    if strategy == "in place":
        return Reality({"a": OLD}, (("a", 100),))
    if strategy == "rolling":
        return Reality(dict.fromkeys("abc", OLD), even_shares(("a", "b", "c"), frozenset("abc")))
    return Reality({"blue": OLD, "green": ""}, (("blue", 100), ("green", 0)))


def plan_of(strategy: str, real: Reality, **more: Any) -> Plan:
    return make_plan(
        settings(strategy, **more), ModelDriver(real).observe(), environment="production", unit="", revision=NEW
    )


@dataclass
class Scene:
    """One deployment over the model; `deployer` may be made again and again, as successors are."""

    plan: Plan
    real: Reality
    path: Path
    gates: ModelGates
    hold: bool = False

    @classmethod
    def make(cls, strategy: str, folder: Path, *, broken: dict[str, int] | None = None, **more: Any) -> Scene:
        real = reality(strategy)
        real.broken, real.pending = broken or {}, more.pop("pending", ())
        plan = plan_of(strategy, real, monitor=60, **{name: value for name, value in more.items() if name != "hold"})
        scene = cls(plan, real, folder / "000001.jsonl", ModelGates(real), more.get("hold", False))
        journal = Journal(scene.path, KEY)
        journal.add("planned", **plan_entry(plan))
        journal.add("approved", by="a test")
        return scene

    def deployer(self) -> Deployer:
        journal = ModelJournal(self.path, KEY)
        journal.real = self.real
        ticks = iter(range(10**9))
        return Deployer(
            self.plan, journal, ModelDriver(self.real), self.gates, self.gates, Quiet(), hold=self.hold,
            pause=lambda seconds, remaining: None, clock=lambda: float(20 * next(ticks)),
        )  # fmt: skip

    def events(self) -> list[str]:
        return [line["event"] for line in Journal(self.path, KEY).lines]


def gate_codes(lines: Iterable[dict[str, Any]]) -> list[int]:
    return [line["code"] for line in lines if line["event"] == "judged"]


def is_damaged(path: Path) -> bool:
    try:
        replay(Journal(path, KEY).lines)
    except JournalDamaged:
        return True
    return False
