"""`kubernetes-jobs`: the newest finished run of each CronJob, and Jobs that nobody repeats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes.api import now
from pytest_prodcheck.evidence.kubernetes.cluster import host, reads, seconds
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.object_events import latest_warning
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.parsing import conditions, epoch_seconds
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records.kubernetes import KubernetesJobs, ScheduledWork

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


@evidence(
    "kubernetes-jobs", axis="kubernetes", seconds=seconds, host=host,
    sends=reads("cronjobs", "jobs", "events, of cronjobs"),
)  # fmt: skip
def kubernetes_jobs(target: str, context: Context, deadline: Deadline) -> KubernetesJobs:
    """CronJobs by their newest finished run; a later success is known even where no Job is kept of it."""
    runs = raw("batch/v1", "jobs", context, deadline)
    work = []
    for each in raw("batch/v1", "cronjobs", context, deadline):
        mine = [run for run in runs if _owner(run) == ("CronJob", name_of(each))]
        paused = table(each, "spec").get("suspend") is True
        warned = "" if paused else latest_warning("CronJob", name_of(each), context, deadline)
        failed_at, why = _newest_failure(mine, table(each, "status").get("lastSuccessfulTime"))
        work.append(ScheduledWork(f"cronjob/{name_of(each)}", failed_at, why, warned))
    for run in runs:
        if _owner(run) == ("", ""):
            work.append(ScheduledWork(f"job/{name_of(run)}", *_newest_failure([run])))
    return KubernetesJobs(tuple(work), now(context, deadline))


def _owner(run: Object) -> tuple[str, str]:
    owner = next((each for each in rows(run, "metadata", "ownerReferences") if each.get("controller")), {})
    return str(owner.get("kind", "")), str(owner.get("name", ""))


def _newest_failure(runs: Iterable[Object], succeeded: object = None) -> tuple[float | None, str]:
    """When and why the newest finished run failed; `(None, "")` where it did not, or one succeeded since."""
    ends = [(epoch_seconds(succeeded), "")] if succeeded else []
    for run in runs:
        told = conditions(run)
        for kind in ("Complete", "Failed"):
            found = told.get(kind, {})
            if found.get("status") == "True" and found.get("lastTransitionTime"):
                why = f"{name_of(run)}: {found.get('reason')}: {found.get('message')}" if kind == "Failed" else ""
                ends.append((epoch_seconds(found["lastTransitionTime"]), plain(why, 300)))
    when, why = max(ends, default=(0.0, ""))
    return (when, why) if why else (None, "")
