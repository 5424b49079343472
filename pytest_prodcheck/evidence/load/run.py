"""`load-run`, `load-latency`, `load-stress`: declared scenarios sent by Locust, and the light mode without it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.queries import LIGHT, light_endpoints
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.service_requests import endpoint, endpoint_host, host_of
from pytest_prodcheck.evidence.load.requests import SAFE
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.load import LoadRun, LoadStress
from pytest_prodcheck.trusted_files import open_own, refuse_links

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.load import Load
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


def _host(target: str, environment: Environment) -> str:
    return f"load {target}"  # gathered alone: no cap of others counts


def _counts_by_weight(weights: dict[str, int], total: int) -> dict[str, int]:
    whole = sum(weights.values())
    return {name: max(1, round(total * weight / whole)) for name, weight in weights.items()}


def _lines(weights: dict[str, int], total: int, environment: Environment, how: str) -> tuple[Sending, ...]:
    return tuple(
        Sending(
            endpoint_host(name, environment),
            f"{endpoint(environment, name)[1].request}{how}",
            times,
            writes=not endpoint(environment, name)[1].changes_nothing,
        )
        for name, times in _counts_by_weight(weights, total).items()
    )


def _all_lines(load: Load, total: int, environment: Environment, how: str) -> tuple[Sending, ...]:
    shares = _counts_by_weight({**load.mix, **load.flows}, total)
    mixed = {name: times for name, times in shares.items() if name in load.mix}
    found = list(_lines(mixed, sum(mixed.values()), environment, how))
    for name in load.flows:
        workflow = environment.workflows[name]
        found += [
            Sending(host_of(environment.services[step.service]), f"{step.request}{how}", shares[name],
                    writes=workflow.writes or step.method not in SAFE)
            for step in (*workflow.steps, *workflow.cleanup)
        ]  # fmt: skip
    return tuple(found)


def _sends_run(target: str, environment: Environment) -> tuple[Sending, ...]:
    load = environment.load[target]
    seconds = f"{load.duration:g} s"
    if load.locustfile is not None:
        count = load.requests or load.users
        return (Sending(", ".join(load.hosts), f"{load.locustfile}: {load.users} users for {seconds}", count, True),)
    count = sum(max(1, round(each[0] * (each[1] + each[2]) / 2)) for each in load.segments)
    return _all_lines(load, count, environment, f" (load {target}, up to {load.rate:.4g}/s for {seconds})")


def _sends_stress(target: str, environment: Environment) -> tuple[Sending, ...]:
    load = environment.load[target]
    assert load.stress is not None
    count = sum(max(1, round(each[0] * (each[1] + each[2]) / 2)) for each in load.stress_segments)
    return _all_lines(load, count, environment, f" (load {target}, stress up to {load.stress.until:.4g}/s)")


def _sends_light(target: str, environment: Environment) -> tuple[Sending, ...]:
    if target != LIGHT:
        return ()  # load-run's
    names = light_endpoints(environment)
    return _lines(dict.fromkeys(names, 1), environment.light.requests, environment, " (latency without load)")


def seconds(name: str, environment: Environment) -> float:
    """How long the evidence about one load may take; imports the models only then."""
    from pytest_prodcheck.environments.sections.load import seconds_of

    return seconds_of(name, environment)


@evidence("load-run", axis="load", feature="run", seconds=seconds, host=_host, sends=_sends_run, exclusive=True)
def load_run(target: str, context: Context, deadline: Deadline) -> LoadRun:
    """A declared scenario, sent once in a run for all that ask."""
    return shared_run(target, context, deadline)


@evidence("load-latency", axis="load", seconds=seconds, host=_host, sends=_sends_light, exclusive=True)
def load_latency(target: str, context: Context, deadline: Deadline) -> LoadRun:
    """The same run; or a few hundred requests without load."""
    if target != LIGHT:
        return shared_run(target, context, deadline)
    from pytest_prodcheck.evidence.load.light import light_run

    return light_run(context, deadline)


@evidence(
    "load-stress", axis="load", feature="stress", seconds=seconds, host=_host, sends=_sends_stress, exclusive=True
)
def load_stress(target: str, context: Context, deadline: Deadline) -> LoadStress:
    """The search for the knee of a scenario."""
    from pytest_prodcheck.evidence.load.plan import load_of, plan_of
    from pytest_prodcheck.evidence.load.process import run
    from pytest_prodcheck.evidence.load.results import read_run, steps_of

    load = load_of(target, context)
    if load.stress is None or load.rate is None:
        raise EvidenceProblem(Problem("configuration", f"load {target} declares no `stress`"))
    plan = plan_of(target, context, deadline, stress=True)
    left = run(f"{target} stress", plan, load, context, deadline)
    _save_histograms(f"{target}-stress", left.log, context)
    found = read_run(target, "open", plan, left.result)
    steps, recovery = steps_of(plan, found)
    return LoadStress(found, load.rate, steps, load.stress.p95, recovery)


def shared_run(target: str, context: Context, deadline: Deadline) -> LoadRun:
    """The one run of a scenario; raises EvidenceProblem."""
    return context.once(("load", target), lambda: _run(target, context, deadline), deadline)


def _run(target: str, context: Context, deadline: Deadline) -> LoadRun:
    from pytest_prodcheck.evidence.load.fingerprint import fingerprint
    from pytest_prodcheck.evidence.load.plan import load_of, plan_of
    from pytest_prodcheck.evidence.load.process import run
    from pytest_prodcheck.evidence.load.resource_sampling import sampling
    from pytest_prodcheck.evidence.load.results import read_run
    from pytest_prodcheck.evidence.load.schema_samples import with_samples

    load = load_of(target, context)
    users = load.locustfile is not None
    sent = fingerprint(target, context.environment, context.root, context.vantage)
    plan = _users_plan(load) if users else plan_of(target, context, deadline)
    with sampling(target, load, context):
        left = run(target, plan, load, context, deadline)
    _save_histograms(target, left.log, context)
    found = read_run(target, "users" if users else "open", plan, left.result)
    _add_notes(found, plan, deadline)
    found = replace(found, sent=sent)
    sampled = [name for name, each in plan["endpoints"].items() if each["sampled"]]
    return with_samples(found, left.result["samples"], sampled, context, deadline) if sampled else found


def _add_notes(run: LoadRun, plan: Mapping[str, Any], deadline: Deadline) -> None:
    """What a reader has to know of a load beside its judgements."""
    from pytest_prodcheck.evidence.load.data_feeds import reused_rows

    for told in reused_rows(plan, run.arrived):
        deadline.note(told)
    for each in run.addresses:
        if each.refused:
            deadline.note(f"{each.address} of {each.service} refused a connection {each.refused} times")
    if run.overall.retried:
        again = f"{run.overall.retried} requests were sent again"
        deadline.note(f"{again}: their connections closed before the first byte of the answer")
    if run.cached:
        deadline.note(f"{run.cached} of {run.overall.good} good answers came from a cache")


def _users_plan(load: Load) -> dict[str, Any]:
    from pytest_prodcheck.evidence.load.plan import interval_of

    return {
        "mode": "users", "workers": load.expect_workers or load.workers, "segments": [], "seconds": load.duration,
        "rate": load.rate, "by_segment": False, "final": 0, "interval": interval_of(load.duration),
        "abort": {"error_ratio": load.abort.error_ratio, "p95": None}, "endpoints": {}, "clients": {}, "arrivals": {},
        "hosts": list(load.hosts), "users": load.users,
    }  # fmt: skip


def _save_histograms(name: str, log: str, context: Context) -> None:
    """Saves the raw histograms with the run, where runs are saved."""
    if context.state is None or not log:
        return
    folder = context.state / "runs" / context.run_id / "load"
    refuse_links(str(context.state), str(folder))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = folder / f".{name}.hlog"
    with os.fdopen(open_own(str(temporary), os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as stream:
        stream.write(log)
    os.replace(temporary, folder / f"{name}.hlog")
