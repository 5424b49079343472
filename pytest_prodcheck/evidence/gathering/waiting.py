"""`--wait`: has the readiness evidence gathered again and again until the system is up, and stays up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.kinds import awaited
from pytest_prodcheck.evidence.gathering.gatherer import Gatherer
from pytest_prodcheck.evidence.gathering.store import EvidenceStore

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.collectors import Collector
    from pytest_prodcheck.evidence.context import Context

PASSES = 3  # of everything together, in a row: one good moment of a system that is starting proves nothing
PAUSE = 0.5  # seconds between two passes
CHANGING = "kubernetes-list"  # is read once in a run, but anew in each pass, and once more after the last one


@dataclass(frozen=True)
class Waited:
    """How the waiting ended: after how many seconds and passes, and what was not ready in the last one (key: why)."""

    seconds: float
    passes: int
    ready: bool
    not_ready: tuple[str, ...] = ()


def wait_until_ready(
    plan: Sequence[tuple[Collector, str]],
    context: Context,
    seconds: float,
    progress: Callable[[Waited], None] | None = None,
) -> Waited:
    """Waits at most `seconds` for three passes in a row in which all readiness evidence of the plan is good.

    That is what the kinds of target call `awaited`, judged by the rule of its collector. progress is told after each
    pass. A plan without readiness evidence is ready.
    """
    wanted = [(collector, target) for collector, target in plan if is_awaited(collector)]
    started = time.monotonic()
    good = passes = 0
    reasons: dict[str, str] = {}
    if not wanted:
        return Waited(0.0, 0, True)
    while True:
        left = seconds - (time.monotonic() - started)
        reasons = _check_readiness(wanted, context, left, reasons)
        context.forget(CHANGING)
        passes += 1
        good = 0 if reasons else good + 1
        not_ready = tuple(f"{key}: {reason}" for key, reason in reasons.items())
        waited = Waited(time.monotonic() - started, passes, good >= PASSES, not_ready)
        if progress is not None:
            progress(waited)
        if waited.ready or waited.seconds + PAUSE >= seconds:
            return waited
        time.sleep(PAUSE)


def is_awaited(collector: Collector) -> bool:
    """Whether `--wait` asks for this; raises ValueError where the kind of target and the collector do not agree."""
    named = collector.name in awaited(collector.axis)
    if named != (collector.ready is not None):
        raise ValueError(
            f"collector {collector.name}: its `ready` and `awaited` of the kind {collector.axis} go together"
        )
    return named


def _check_readiness(
    wanted: Sequence[tuple[Collector, str]],
    context: Context,
    left: float,
    before: dict[str, str],
) -> dict[str, str]:
    """What is not ready: key -> why; for what the end of the time cut off, why it was not before."""
    ready = {collector.name: collector.ready for collector, _ in wanted}
    store = EvidenceStore()
    gatherer = Gatherer(wanted, context, store)
    gatherer.start()
    try:
        gatherer.wait(max(left, 0.1))
    finally:
        gatherer.stop()  # also at Ctrl-C
    found = {}
    for evidence in store.all():
        if evidence.problem is not None and evidence.problem.kind == "interrupted":
            found[evidence.key] = before.get(evidence.key, "no answer yet")
        elif evidence.problem is not None:
            found[evidence.key] = evidence.problem.message
        elif (rule := ready[evidence.collector]) is None or not rule(evidence.record):
            found[evidence.key] = "not yet in the state that its checks require"
    return found
