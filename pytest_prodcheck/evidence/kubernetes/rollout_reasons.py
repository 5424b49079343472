"""Why a rollout is not whole: conditions of the workload and its pods, and what events warn of, each once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.object_events import FRESH, last_seen
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.kubernetes import Pod, Workload

MOST = 3
# in this order: what keeps pods from being made, placed, begun, ready
_RANKS = ("FailedCreate", "FailedScheduling", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "Failed",
          "Unhealthy", "BackOff")  # fmt: skip


def reasons(
    workload: Workload, pods: Sequence[Pod], now: float, context: Context, deadline: Deadline
) -> tuple[str, ...]:
    """The gravest ones first, at most three; () for a workload that is whole."""
    if _is_complete(workload):
        return ()
    events = _events(workload, pods, now, context, deadline)
    found = [*_reasons_of_workload(workload, pods), *(text for _, text in sorted(events, key=lambda each: each[0]))]
    once: dict[str, str] = {}
    for text in found:
        bare = _without_names(text)
        if not any(bare in known or known in bare for known in once):  # an event quotes what a condition says, too
            once[bare] = text
    return tuple(plain(text, 600) for text in list(once.values())[:MOST])


def _is_complete(found: Workload) -> bool:
    counts = {min(found.updated + found.held, found.replicas), found.ready, found.available}
    return counts == {found.replicas} and not found.stuck and found.observed >= found.generation


def _reasons_of_workload(workload: Workload, pods: Iterable[Pod]) -> Iterator[str]:
    if workload.failure:
        yield workload.failure
    yield from told_by_conditions(pods)


def told_by_conditions(pods: Iterable[Pod]) -> Iterator[str]:
    """Why pods have no node, and what their containers wait for."""
    for pod in pods:
        if pod.unscheduled and not pod.gated:
            yield pod.unscheduled
        for each in pod.containers:
            if each.why:
                yield f"{each.name}: {each.waiting}: {each.why}"


def _events(
    workload: Workload, pods: Iterable[Pod], now: float, context: Context, deadline: Deadline
) -> list[tuple[int, str]]:
    """`(rank, text)` of fresh warnings about the workload, its version's ReplicaSet and its pods that are not ready."""
    kind, _, name = workload.name.partition("/")
    about = {(kind, name), ("replicaset", f"{name}-{workload.hash}")}
    about |= {("pod", each.name) for each in pods if not each.ready}
    server = api(context, deadline)
    path = f"/api/v1/namespaces/{server.namespace}/events"
    try:
        warned = server.items(path, deadline, fieldSelector="type=Warning")
    except EvidenceProblem as error:
        deadline.note(f"the cause may be in the events, which cannot be read: {error.problem.message}")
        return []
    return [
        (_RANKS.index(reason) if reason in _RANKS else len(_RANKS), str(each.get("message", "")))
        for each in warned
        if _object_of_event(each) in about and now - last_seen(each) < FRESH
        for reason in [str(each.get("reason", ""))]
    ]


def _object_of_event(event: Object) -> tuple[str, str]:
    told = table(event, "involvedObject")
    return str(told.get("kind", "")).lower(), str(told.get("name", ""))


def _without_names(text: str) -> str:
    """The same reason of another pod reads the same: without what is quoted, and without the names that pods get."""
    return re.sub(r'"[^"]*"|[a-z0-9-]+', _blank_name, text)


def _blank_name(found: re.Match[str]) -> str:
    name, _, suffix = found[0].rpartition("-")
    if found[0].startswith('"') or (name and len(suffix) == 5):
        return ""
    return re.sub("[0-9]+", "", found[0])
