"""`host-use` and `host-mounts`: processors, memory and disks of declared hosts, by whoever tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import THIS_MACHINE, Sending, evidence
from pytest_prodcheck.evidence.hosts import kubernetes, local
from pytest_prodcheck.evidence.hosts import prometheus as host_metrics
from pytest_prodcheck.evidence.monitoring import prometheus
from pytest_prodcheck.records.hosts import HostsMounts, HostsUse

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


def _seconds(target: str, environment: Environment) -> float:
    declared = environment.hosts[target]
    if declared.source == "kubernetes" and environment.kubernetes is not None:
        return environment.kubernetes.timeout * 2 + 5
    return 5 * environment.prometheus.timeout + 5 if environment.prometheus is not None else local.LOOK + 10


def _host(target: str, environment: Environment) -> str:
    source = environment.hosts[target].source
    return prometheus.host(target, environment) if source == "prometheus" else source


def _sends(what: str, queries: int, reads: tuple[str, ...]) -> Callable[[str, Environment], tuple[Sending, ...]]:
    def sends(target: str, environment: Environment) -> tuple[Sending, ...]:
        source = environment.hosts[target].source
        if source == "here":
            return (Sending(THIS_MACHINE, f"reads {what}"),)
        if source == "prometheus":
            whom = prometheus.host(target, environment)
            return (Sending(whom, f"POST /api/v1/query ({what} of {target})", queries),)
        return tuple(Sending("Kubernetes API", f"GET {each}") for each in reads)

    return sends


@evidence(
    "host-use", axis="host", seconds=_seconds, host=_host,
    sends=_sends("processor and memory", 4, (kubernetes.USE, kubernetes.NODES)),
)  # fmt: skip
def host_use(target: str, context: Context, deadline: Deadline) -> HostsUse:
    """Processor and memory of a host, or of several of a kind."""
    declared = context.environment.hosts[target]
    if declared.source == "here":
        return HostsUse(declared.source, declared.expect, (local.resource_use(deadline),))
    if declared.source == "prometheus":
        return HostsUse(
            declared.source, declared.expect, host_metrics.resource_use(declared.match or "", context, deadline)
        )
    return HostsUse(declared.source, declared.expect, kubernetes.resource_use(context, deadline))


@evidence(
    "host-mounts", axis="host", feature="mounts", seconds=_seconds, host=_host,
    sends=_sends("mounted file systems", 4, ()),
)  # fmt: skip
def host_mounts(target: str, context: Context, deadline: Deadline) -> HostsMounts:
    """Space and inodes of the declared mount points."""
    declared = context.environment.hosts[target]
    if declared.source == "here":
        return HostsMounts(declared.source, declared.expect, 1, local.mounts(declared.mounts))
    names, found = host_metrics.mounts(declared.match or "", declared.mounts, context, deadline)
    return HostsMounts(declared.source, declared.expect, names, found)
