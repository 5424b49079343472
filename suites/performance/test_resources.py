"""What the machine under the load went through: processor, memory; a process that leaks, restarts, stays connected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.judging.load_validity import insist_on_validity, seconds_until_full
from pytest_prodcheck.records import EvidenceProblem, LoadResources, Problem, ResourceSample

if TYPE_CHECKING:
    from pytest_prodcheck.records import HostUse, LoadRun

Seen = Callable[[ResourceSample], float | None]


def _insist_on_looks(resources: LoadResources) -> list[ResourceSample]:
    """The looks from during the load; raises EvidenceProblem where there are too few."""
    looks = list(resources.samples[1:])  # the first one is from before the load
    if len(looks) < 4:
        raise EvidenceProblem(Problem("invalid", f"{len(looks)} samples of this machine are too few"))
    if not resources.host and not resources.process and not resources.hosts_expected:
        raise EvidenceProblem(
            Problem("invalid", "nothing is watched: neither this machine, nor a process on it, nor another host")
        )
    return looks


def _shares(resources: LoadResources, seen: Seen, allowed: float) -> list[float]:
    """What each look saw, in percent of what is allowed."""
    values = (seen(each) for each in _insist_on_looks(resources))
    return [100 * value / allowed for value in values if value is not None]


def _judge_use(
    what: str, resources: LoadResources, run: LoadRun, limit: Limit, fold: Callable[[Iterable[float]], float],
    host: Seen, process: Seen, allowed: float, told: Callable[[HostUse], float | None],
) -> None:  # fmt: skip
    """Judges what was used: by this machine, by the watched process of what it may use, by hosts of Prometheus."""
    if len(resources.hosts) < resources.hosts_expected:
        what = f"Prometheus has {len(resources.hosts)} hosts, {resources.hosts_expected} are expected"
        raise EvidenceProblem(Problem("empty", what, "do the matchers of `hosts` select these hosts?"))
    for each in resources.hosts:
        share = told(each)
        judge(what, None if share is None else 100 * share, at_most=limit, unit="%", of=each.name, reason=each.why)
    of_host, of_process = _shares(resources, host, 1.0), _shares(resources, process, allowed)
    if of_process and not judge(what, fold(of_process), at_most=limit, unit="%", of=resources.process):
        return  # proven bad, whatever is wrong with the run
    insist_on_validity(run)  # where there is no processor to be had, a process uses little, whatever it wants
    if resources.host:
        judge(f"{what} of this machine", fold(of_host), at_most=limit, unit="%")


@check("performance.resources.cpu", severity="medium", limit=Limit(warn="70%", fail="90%"), runbook="resources")
def test_processors_have_room(load_resources: LoadResources, load_run: LoadRun, limit: Limit) -> None:
    """Mean CPU usage during the load, of this machine and of the watched process."""
    _judge_use(
        "processor", load_resources, load_run, limit, fmean,
        lambda look: look.cpu, lambda look: look.process_cpu, load_resources.cores_allowed, lambda each: each.cpu,
    )  # fmt: skip


@check("performance.resources.memory", severity="medium", limit=Limit(warn="80%", fail="95%"), runbook="resources")
def test_memory_has_room(load_resources: LoadResources, load_run: LoadRun, limit: Limit) -> None:
    """Peak memory usage during the load, of this machine and of the watched process."""
    _judge_use(
        "memory", load_resources, load_run, limit, max,
        lambda look: look.memory, lambda look: look.process_memory, load_resources.memory_allowed,
        lambda each: each.memory,
    )  # fmt: skip


@check("performance.resources.connections", severity="medium", limit=Limit(warn="80%", fail="95%"), runbook="resources")
def test_connections_have_room(load_resources: LoadResources, load_run: LoadRun, limit: Limit) -> None:
    """The most TCP connections of the watched process during the load, as a share of its limit."""
    if not load_resources.process:
        _insist_on_looks(load_resources)
        insist_on_validity(load_run)
        judge("a process is watched", True)  # only the machine is: nothing is declared that could run out
        return
    allowed = load_resources.connections_allowed
    if allowed is None:
        what = f"the connection limit of {load_resources.process} is not known"
        raise EvidenceProblem(Problem("configuration", what, "declare `connections` in `resources` of the load"))
    seen = _shares(load_resources, lambda look: look.connections, allowed)
    if judge("connections", max(seen, default=None), at_most=limit, unit="%", of=load_resources.process):
        insist_on_validity(load_run)


@check("performance.resources.process", severity="medium", limit=Limit(warn="24h", fail="2h"), runbook="resources")
def test_process_neither_leaks_nor_restarts(load_resources: LoadResources, load_run: LoadRun, limit: Limit) -> None:
    """The watched process does not restart during the load, and its memory does not grow until it is full."""
    looks = _insist_on_looks(load_resources)
    if not load_resources.process:
        insist_on_validity(load_run)
        judge("a process is watched", True)  # only the machine is: nothing is declared that could leak
        return
    steady = judge("restarts during the load", load_resources.restarts, equals=0)
    left = seconds_until_full(looks, load_resources.memory_allowed)
    grown = (looks[-1].process_memory or 0) - (looks[0].process_memory or 0)
    told = f"it grew by {grown / 1e6:.1f} MB in {looks[-1].at - looks[0].at:.1f} s"
    told_of = load_resources.process
    if judge("time until its memory is full", left, at_least=limit, unit="s", of=told_of, reason=told) and steady:
        insist_on_validity(load_run)  # else proven bad, whatever is wrong with the run
