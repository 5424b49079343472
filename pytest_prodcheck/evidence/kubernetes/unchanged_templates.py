"""Which workloads of the files keep the pods that run: the API server's dry run says whether the template changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending
from pytest_prodcheck.evidence.kubernetes.cluster import reads
from pytest_prodcheck.evidence.kubernetes.dry_run import dry_run_result
from pytest_prodcheck.evidence.kubernetes.objects import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.kubernetes.rollout_steps import Demand


def keeps_its_pods(demand: Demand, context: Context, deadline: Deadline) -> bool:
    """Whether applying the file leaves the template as it is. False where the server does not say."""
    if not demand.live or demand.item == demand.live:
        return False
    result = dry_run_result(demand.item, context, deadline)
    return bool(result) and table(result, "spec", "template") == table(demand.live, "spec", "template")


def reads_and_dry_runs(*lists: str) -> Callable[[str, Environment], tuple[Sending, ...]]:
    """`sends` of a collector that reads these lists and asks `keeps_its_pods` of workloads that do not fit."""

    def sends(target: str, environment: Environment) -> tuple[Sending, ...]:
        listing: tuple[Sending, ...] = reads(*lists)(target, environment)
        if environment.kubernetes is None or not environment.kubernetes.manifests:
            return listing
        asked = "PATCH with dryRun=All, which stores nothing, each workload of the files that would not fit"
        return (*listing, Sending(listing[0].to, asked))

    return sends
