"""What the machine under the load went through: processor, memory, a process that leaks or restarts."""

from __future__ import annotations

from statistics import fmean

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.evidence.records import EvidenceProblem, Problem
from pytest_prodcheck.evidence.records.load import LoadResources, ResourceSample
from pytest_prodcheck.judging.load import seconds_until_full


def _insist_on_looks(resources: LoadResources) -> list[ResourceSample]:
    """The looks from during the load; raises EvidenceProblem where there are too few."""
    looks = list(resources.samples[1:])  # the first one is from before the load
    if len(looks) < 4:
        raise EvidenceProblem(Problem("invalid", f"{len(looks)} looks at this machine are too few"))
    if not resources.host and not resources.process:
        raise EvidenceProblem(Problem("invalid", "neither this machine nor a process of it is watched"))
    return looks


@check("performance.resources.cpu", severity="medium", limit=Limit(warn="70%", fail="90%"), runbook="resources")
def test_processors_have_room(load_resources: LoadResources, limit: Limit) -> None:
    """Mean processor use during the load: of this machine, and of the watched process of what it may use."""
    looks = _insist_on_looks(load_resources)
    if load_resources.host:
        judge("processor of this machine", 100 * fmean(each.cpu for each in looks), at_most=limit, unit="%")
    own = [each.process_cpu for each in looks if each.process_cpu is not None]
    if own:
        share = 100 * fmean(own) / load_resources.cores_allowed
        judge("processor", share, at_most=limit, unit="%", of=load_resources.process)


@check("performance.resources.memory", severity="medium", limit=Limit(warn="80%", fail="95%"), runbook="resources")
def test_memory_has_room(load_resources: LoadResources, limit: Limit) -> None:
    """Most memory in use during the load: of this machine, and of the watched process of what it may use."""
    looks = _insist_on_looks(load_resources)
    if load_resources.host:
        judge("memory of this machine", 100 * max(each.memory for each in looks), at_most=limit, unit="%")
    own = [each.process_memory for each in looks if each.process_memory is not None]
    if own:
        share = 100 * max(own) / load_resources.memory_allowed
        judge("memory", share, at_most=limit, unit="%", of=load_resources.process)


@check("performance.resources.process", severity="medium", limit=Limit(warn="24h", fail="2h"), runbook="resources")
def test_process_neither_leaks_nor_restarts(load_resources: LoadResources, limit: Limit) -> None:
    """The watched process stayed the same one, and its memory would not be full soon, growing on as in this load."""
    looks = _insist_on_looks(load_resources)
    if not load_resources.process:
        judge("a process is watched", True)  # only the machine is: nothing is declared that could leak
        return
    judge("restarts during the load", load_resources.restarts, equals=0)
    left = seconds_until_full(looks, load_resources.memory_allowed)
    grown = (looks[-1].process_memory or 0) - (looks[0].process_memory or 0)
    told = f"it grew by {grown / 1e6:.1f} MB in {looks[-1].at - looks[0].at:.1f} s"
    judge("time until its memory is full", left, at_least=limit, unit="s", of=load_resources.process, reason=told)
