"""What each strategy does, as a plan, from what was observed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.plan import (
    CONTRACT,
    EXPAND,
    Change,
    ObservedState,
    Plan,
    PlanProblem,
    Shares,
    Step,
    even_shares,
    is_safe_revision,
)

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.deploy import Deploy


MAX_COMPARED_PERCENT = (
    50  # percent up to which a canary is compared: above it is the busier copy, and slower for that alone
)


def make_plan(
    settings: Deploy,
    observed: ObservedState,
    *,
    environment: str,
    unit: str,
    revision: str,
    configuration: str = "",
    allow: tuple[str, ...] = (),
) -> Plan:
    """The plan; raises PlanProblem (4) where what is there is nothing that this strategy starts from."""
    if observed.problem:
        raise PlanProblem(observed.problem)
    _require_own_slots(settings, observed)
    steps: list[Step]
    if settings.strategy == "rolling":
        old = _common_revision(settings, observed)
        steps = [] if old == revision else _rolling(settings, old, revision)
        if steps and len(settings.slots) == 1:
            steps = _in_place(settings, old, revision)
    else:
        old, live, idle = _live_and_idle(settings, observed)
        steps = [] if old == revision else _two_copies(settings, observed, revision, live, idle)
    before = [Step("gate", gate=settings.before)] if steps else []
    if steps:
        before, steps = _with_migrations(observed, before, steps)
    return Plan(
        environment, unit, revision, old, settings.strategy, tuple(sorted(observed.revisions.items())), observed.shares,
        (*before, *(steps or [Step("gate", gate=settings.after)])), configuration, allow,
    )  # fmt: skip


def _with_migrations(observed: ObservedState, before: list[Step], steps: list[Step]) -> tuple[list[Step], list[Step]]:
    """What only adds comes before anything else and stays; what takes away comes last, and there is no way back."""
    from pytest_prodcheck.deploy.migrations import of_phase, refuse_wrong_order

    refuse_wrong_order(observed.pending)

    def change(phase: str, names: tuple[str, ...]) -> Change:
        return Change("migrate", phase=phase, names=names, sql=tuple(each for each in observed.sql if each[0] in names))

    if expand := of_phase(observed.pending, EXPAND):
        before = [*before, Step("change", change(EXPAND, expand))]
    if contract := of_phase(observed.pending, CONTRACT):
        steps = [*steps, Step("change", change(CONTRACT, contract), final=True, loaded=True)]
    return before, steps


def _require_own_slots(settings: Deploy, observed: ObservedState) -> None:
    """Raises PlanProblem where what was observed is not about our copies, and them alone."""
    if tuple(slot for slot, _ in observed.shares) != settings.slots or set(observed.revisions) != set(settings.slots):
        raise PlanProblem(f"expected the copies {', '.join(settings.slots)}; found {describe_state(observed)}")
    if sum(percent for _, percent in observed.shares) != 100:
        raise PlanProblem(f"not all traffic goes to the declared copies: {describe_state(observed)}")
    for slot, revision in observed.revisions.items():
        if revision and not is_safe_revision(revision):
            raise PlanProblem(
                f"the copy {slot} shows {revision[:60]!r}, which is no valid revision: a rollback would be impossible"
            )


def _common_revision(settings: Deploy, observed: ObservedState) -> str:
    """The one revision of all copies, which share the traffic evenly."""
    if observed.shares != even_shares(settings.slots, frozenset(settings.slots)):
        raise PlanProblem(f"a rolling deployment needs evenly shared traffic; found {describe_state(observed)}")
    revisions = {observed.revisions[slot] for slot in settings.slots}
    if len(revisions) > 1 or "" in revisions:
        raise PlanProblem(
            f"a rolling deployment needs healthy copies of one revision; found {describe_state(observed)}"
        )
    return revisions.pop()


def _live_and_idle(settings: Deploy, observed: ObservedState) -> tuple[str, str, str]:
    """Revision and slot of the copy that has all traffic, and the other slot."""
    if len(observed.slots_with_traffic) != 1:
        raise PlanProblem(
            f"a {settings.strategy} deployment needs one copy with all traffic; found {describe_state(observed)}"
        )
    live = observed.slots_with_traffic[0]
    if not observed.revisions[live]:
        raise PlanProblem(
            f"the copy {live} has all traffic but does not report its revision: a rollback would be impossible"
        )
    return observed.revisions[live], live, next(slot for slot in settings.slots if slot != live)


def _rolling(settings: Deploy, old: str, revision: str) -> list[Step]:
    """Each copy in turn: no more traffic, the new revision, its gate, traffic again."""
    all_slots, steps = even_shares(settings.slots, frozenset(settings.slots)), []
    for number, slot in enumerate(settings.slots):
        without = even_shares(settings.slots, frozenset(settings.slots) - {slot})
        steps += [
            _share(without, all_slots, loaded=number > 0),
            _start(slot, revision, old, loaded=number > 0),
            Step("gate", gate=settings.slot, slot=slot, loaded=number > 0),
            _share(all_slots, without, loaded=True),
        ]
    return steps + _final_gates(settings)


def _in_place(settings: Deploy, old: str, revision: str) -> list[Step]:
    """One copy that replaces its own parts bit by bit, as a Deployment does."""
    (slot,) = settings.slots
    return [
        Step("change", Change("roll", slot, revision), Change("roll", slot, old), loaded=True),
        *_final_gates(settings),
    ]


def _two_copies(settings: Deploy, observed: ObservedState, revision: str, live: str, idle: str) -> list[Step]:
    before = observed.shares
    steps = [
        _start(idle, revision, observed.revisions[idle] or None, loaded=False, can_stop=_can_stop(settings)),
        Step("gate", gate=settings.slot, slot=idle),
    ]
    shares = settings.steps if settings.strategy == "canary" else (1.0,)
    for share in shares:
        percent = round(share * 100)
        steps.append(_share(_split(settings.slots, idle, percent), before, loaded=True))
        if percent <= MAX_COMPARED_PERCENT:
            steps.append(Step("compare", slot=idle, beside=live, loaded=True))
        if percent < 100:
            steps.append(Step("gate", gate=settings.slot, slot=idle, loaded=True))
    steps += _final_gates(settings)
    if settings.retire:
        steps.append(Step("change", Change("stop", live), final=True, loaded=True))
    return steps


def _can_stop(settings: Deploy) -> bool:
    """Whether there is a way to end a copy; one that cannot be ended stays without traffic."""
    return settings.commands is None or settings.commands.copy_.stop is not None


def _start(slot: str, revision: str, before: str | None, *, loaded: bool, can_stop: bool = True) -> Step:
    undo = Change("start", slot, before) if before else Change("stop", slot) if can_stop else None
    return Step("change", Change("start", slot, revision), undo, loaded=loaded)


def _share(shares: Shares, before: Shares, *, loaded: bool) -> Step:
    return Step("change", Change("share", shares=shares), Change("share", shares=before), loaded=loaded)


def _split(slots: tuple[str, ...], slot: str, percent: int) -> Shares:
    return tuple((each, percent if each == slot else 100 - percent) for each in slots)


def _final_gates(settings: Deploy) -> list[Step]:
    return [
        Step("gate", gate=settings.after, loaded=True),
        Step("watch", gate=settings.after, seconds=settings.monitor, loaded=True),
    ]


def describe_state(observed: ObservedState) -> str:
    """What was observed, for people."""
    return ", ".join(
        f"{slot} {percent} % with {observed.revisions.get(slot) or '-'}" for slot, percent in observed.shares
    )
