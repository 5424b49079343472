"""`load-resources`: processor, memory and a watched process of this machine, looked at while a load runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.load.resource_sampling import EVERY, ResourceSampler
from pytest_prodcheck.evidence.load.run import seconds, shared_run
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.load import LoadResources

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.hosts import HostUse

def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    from pytest_prodcheck.evidence.monitoring import prometheus

    load = environment.load.get(target)
    hosts = load.resources.hosts if load is not None and load.resources is not None else ()
    if not hosts:
        return ()
    whom = prometheus.host(target, environment)
    return (Sending(whom, f"POST /api/v1/query (hosts during the load {target})", 4 * len(hosts)),)


@evidence(
    "load-resources", axis="load", feature="resources", seconds=seconds,
    host=lambda target, environment: f"load {target}", sends=_sends, exclusive=True,
)  # fmt: skip
def load_resources(target: str, context: Context, deadline: Deadline) -> LoadResources:
    """What was seen while the scenario ran."""
    run = shared_run(target, context, deadline)
    watch: ResourceSampler = context.once(("resources", target), lambda: _not_sampled(target))
    seen = watch.record(run.began, run.began + run.seconds + EVERY)
    hosts, expected = _hosts(watch.declared.hosts, run.began, run.began + run.seconds, context, deadline)
    return replace(seen, hosts=hosts, hosts_expected=expected)


def _hosts(
    names: tuple[str, ...], began: float, ended: float, context: Context, deadline: Deadline
) -> tuple[tuple[HostUse, ...], int]:
    """What Prometheus saw of declared hosts during the load, and how many there have to be."""
    from pytest_prodcheck.evidence.hosts.prometheus import resource_use_between

    declared = [context.environment.hosts[name] for name in names]
    found = [resource_use_between(each.match or "", began, ended, context, deadline) for each in declared]
    # of each name: one more web server is no database
    expected = sum(max(each.expect, len(seen)) for each, seen in zip(declared, found, strict=True))
    return tuple(use for seen in found for use in seen), expected


def _not_sampled(target: str) -> Any:
    raise EvidenceProblem(Problem("internal", f"load {target}: its resources were not watched"))
