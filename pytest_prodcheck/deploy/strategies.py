"""What each strategy does, as a plan, from what was observed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.plan import (
    CONTRACT,
    EXPAND,
    Change,
    Plan,
    PlanProblem,
    Shares,
    Step,
    World,
    equal,
    is_word,
)

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.deploy import Deploy


FAIR = 50  # percent up to which a canary is compared: above it is the busier copy, and slower for that alone


def make_plan(
    settings: Deploy,
    world: World,
    *,
    environment: str,
    unit: str,
    revision: str,
    configuration: str = "",
    allow: tuple[str, ...] = (),
) -> Plan:
    """The plan; raises PlanProblem (4) where what is there is nothing that this strategy starts from."""
    if world.trouble:
        raise PlanProblem(world.trouble)
    _whole(settings, world)
    steps: list[Step]
    if settings.strategy == "rolling":
        old = _old_of_all(settings, world)
        steps = [] if old == revision else _rolling(settings, old, revision)
        if steps and len(settings.slots) == 1:
            steps = _in_place(settings, old, revision)
    else:
        old, live, idle = _old_of_one(settings, world)
        steps = [] if old == revision else _two_copies(settings, world, revision, live, idle)
    before = [Step("gate", gate=settings.before)] if steps else []
    if steps:
        before, steps = _with_migrations(world, before, steps)
    return Plan(
        environment, unit, revision, old, settings.strategy, tuple(sorted(world.revisions.items())), world.shares,
        (*before, *(steps or [Step("gate", gate=settings.after)])), configuration, allow,
    )  # fmt: skip


def _with_migrations(world: World, before: list[Step], steps: list[Step]) -> tuple[list[Step], list[Step]]:
    """What only adds comes before anything else and stays; what takes away comes last, and there is no way back."""
    from pytest_prodcheck.deploy.migrations import of_phase, refuse_wrong_order

    refuse_wrong_order(world.pending)

    def change(phase: str, names: tuple[str, ...]) -> Change:
        return Change("migrate", phase=phase, names=names, sql=tuple(each for each in world.sql if each[0] in names))

    if expand := of_phase(world.pending, EXPAND):
        before = [*before, Step("change", change(EXPAND, expand))]
    if contract := of_phase(world.pending, CONTRACT):
        steps = [*steps, Step("change", change(CONTRACT, contract), final=True, loaded=True)]
    return before, steps


def _whole(settings: Deploy, world: World) -> None:
    """Raises PlanProblem where what was observed is not about our copies, and them alone."""
    if tuple(slot for slot, _ in world.shares) != settings.slots or set(world.revisions) != set(settings.slots):
        raise PlanProblem(f"expected the copies {', '.join(settings.slots)}; it is {told(world)}")
    if sum(percent for _, percent in world.shares) != 100:
        raise PlanProblem(f"not all traffic goes to our copies: it is {told(world)}")
    for slot, revision in world.revisions.items():
        if revision and not is_word(revision):
            raise PlanProblem(f"the copy {slot} shows {revision[:60]!r}, which is no revision: no way back to it")


def _old_of_all(settings: Deploy, world: World) -> str:
    """The one revision of all copies, which share the traffic evenly."""
    if world.shares != equal(settings.slots, frozenset(settings.slots)):
        raise PlanProblem(f"rolling starts where all copies share the traffic evenly; it is {told(world)}")
    revisions = {world.revisions[slot] for slot in settings.slots}
    if len(revisions) > 1 or "" in revisions:
        raise PlanProblem(f"rolling starts where all copies run one revision and answer well; it is {told(world)}")
    return revisions.pop()


def _old_of_one(settings: Deploy, world: World) -> tuple[str, str, str]:
    """Revision and slot of the copy that has all traffic, and the other slot."""
    if len(world.carrying) != 1:
        raise PlanProblem(f"{settings.strategy} starts where one copy has all traffic; it is {told(world)}")
    live = world.carrying[0]
    if not world.revisions[live]:
        raise PlanProblem(f"the copy {live} has all traffic and does not say which revision it runs: no way back to it")
    return world.revisions[live], live, next(slot for slot in settings.slots if slot != live)


def _rolling(settings: Deploy, old: str, revision: str) -> list[Step]:
    """Each copy in turn: no more traffic, the new revision, its gate, traffic again."""
    everybody, steps = equal(settings.slots, frozenset(settings.slots)), []
    for number, slot in enumerate(settings.slots):
        without = equal(settings.slots, frozenset(settings.slots) - {slot})
        steps += [
            _share(without, everybody, loaded=number > 0),
            _start(slot, revision, old, loaded=number > 0),
            Step("gate", gate=settings.slot, slot=slot, loaded=number > 0),
            _share(everybody, without, loaded=True),
        ]
    return steps + _end(settings)


def _in_place(settings: Deploy, old: str, revision: str) -> list[Step]:
    """One copy that replaces its own parts bit by bit, as a Deployment does."""
    (slot,) = settings.slots
    return [Step("change", Change("roll", slot, revision), Change("roll", slot, old), loaded=True), *_end(settings)]


def _two_copies(settings: Deploy, world: World, revision: str, live: str, idle: str) -> list[Step]:
    before = world.shares
    steps = [
        _start(idle, revision, world.revisions[idle] or None, loaded=False, stops=_stops(settings)),
        Step("gate", gate=settings.slot, slot=idle),
    ]
    shares = settings.steps if settings.strategy == "canary" else (1.0,)
    for share in shares:
        percent = round(share * 100)
        steps.append(_share(_split(settings.slots, idle, percent), before, loaded=True))
        if percent <= FAIR:
            steps.append(Step("compare", slot=idle, beside=live, loaded=True))
        if percent < 100:
            steps.append(Step("gate", gate=settings.slot, slot=idle, loaded=True))
    steps += _end(settings)
    if settings.retire:
        steps.append(Step("change", Change("stop", live), final=True, loaded=True))
    return steps


def _stops(settings: Deploy) -> bool:
    """Whether there is a way to end a copy; one that cannot be ended stays without traffic."""
    return settings.commands is None or settings.commands.copy_.stop is not None


def _start(slot: str, revision: str, before: str | None, *, loaded: bool, stops: bool = True) -> Step:
    undo = Change("start", slot, before) if before else Change("stop", slot) if stops else None
    return Step("change", Change("start", slot, revision), undo, loaded=loaded)


def _share(shares: Shares, before: Shares, *, loaded: bool) -> Step:
    return Step("change", Change("share", shares=shares), Change("share", shares=before), loaded=loaded)


def _split(slots: tuple[str, ...], slot: str, percent: int) -> Shares:
    return tuple((each, percent if each == slot else 100 - percent) for each in slots)


def _end(settings: Deploy) -> list[Step]:
    return [
        Step("gate", gate=settings.after, loaded=True),
        Step("watch", gate=settings.after, seconds=settings.monitor, loaded=True),
    ]


def told(world: World) -> str:
    """What was observed, for people."""
    return ", ".join(f"{slot} {percent} % with {world.revisions.get(slot) or '-'}" for slot, percent in world.shares)
