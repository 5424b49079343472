"""`rollback-plan`: the rollback plan, and the versions that the cluster keeps for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.queries import deployments_in_reach, unit_names
from pytest_prodcheck.evidence.collectors import THIS_MACHINE, Sending, evidence
from pytest_prodcheck.evidence.release.plan_documents import dated, mentions
from pytest_prodcheck.evidence.tools.placeholders import fill_placeholders
from pytest_prodcheck.evidence.vulnerabilities.report_source import file
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.rollback import DeploymentHistory, PlanDocument, RollbackPlan

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

LARGEST = 4 * 1024 * 1024  # bytes of a document
_KEPT = 10  # revisionHistoryLimit where it is not set
_REVISION = "deployment.kubernetes.io/revision"


def _host(target: str, environment: Environment) -> str:
    return "kubernetes" if environment.kubernetes is not None else THIS_MACHINE


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    sent = [Sending(THIS_MACHINE, f"reads the file {environment.rollback.document}")] if environment.rollback else []
    if environment.kubernetes is not None:
        sent += [Sending("Kubernetes API", f"GET {each}") for each in ("deployments", "replicasets")]
    return tuple(sent)


def _seconds(target: str, environment: Environment) -> float:
    return environment.kubernetes.timeout * 2 + 5.0 if environment.kubernetes else 10.0


@evidence("rollback-plan", axis="rollback", seconds=_seconds, host=_host, sends=_sends)
def rollback_plan(target: str, context: Context, deadline: Deadline) -> RollbackPlan:
    """The document, one that is not there too, and what is kept of each Deployment in scope.

    Raises EvidenceProblem where either cannot be read.
    """
    now, environment = time.time(), context.environment
    document = _document(environment.rollback.document, context, now) if environment.rollback is not None else None
    services = deployments_in_reach(environment, context.vantage)
    if document is not None and environment.kubernetes is not None and not services:
        deadline.note("no Deployment is in reach: what the cluster keeps of earlier versions was not looked at")
    return RollbackPlan(document, _deployment_histories(services, context, deadline) if services else (), now)


def _document(declared: str, context: Context, now: float) -> PlanDocument:
    name = fill_placeholders(declared, context)
    wanted = tuple(each for each in unit_names(context.environment) if each) or (context.environment.name,)
    path = context.root / name
    if path.parent.is_dir() and not path.exists() and not path.is_symlink():
        return PlanDocument(name, False, wanted, False, None)
    try:
        text = file(name, context.root, LARGEST).content.decode("utf-8")
    except UnicodeDecodeError:
        hint = "Markdown or another plain text"
        raise EvidenceProblem(Problem("configuration", f"{name} is not UTF-8", hint)) from None
    return PlanDocument(name, True, wanted, mentions(text, wanted), dated(text, now))


def _deployment_histories(
    services: tuple[str, ...], context: Context, deadline: Deadline
) -> tuple[DeploymentHistory, ...]:
    from pytest_prodcheck.evidence.kubernetes.api import listed
    from pytest_prodcheck.evidence.kubernetes.cluster import namespaced
    from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of
    from pytest_prodcheck.evidence.kubernetes.objects import table
    from pytest_prodcheck.evidence.kubernetes.rollouts import workload_name

    def limit(item: dict[str, Any]) -> tuple[str, int]:
        kept = table(item, "spec").get("revisionHistoryLimit")
        return name_of(item), kept if isinstance(kept, int) else _KEPT

    limits: list[tuple[str, int]]
    versions: list[tuple[str, int, tuple[str, ...]]]
    limits = listed("limits", namespaced("apps/v1", "deployments", context), context, deadline, limit)
    versions = listed("versions", namespaced("apps/v1", "replicasets", context), context, deadline, _version)
    found = []
    for workload in dict.fromkeys(workload_name(each, context) for each in services):
        name = workload.partition("/")[2]
        mine = sorted(each[1:] for each in versions if each[0] == name)
        revision, images = mine[-1] if mine else (0, ())
        there = name in dict(limits)
        found.append(
            DeploymentHistory(workload, revision if there else 0, len(mine), dict(limits).get(name, _KEPT), images)
        )
    return tuple(found)


def _version(item: dict[str, Any]) -> tuple[str, int, tuple[str, ...]]:
    """Deployment, number and images of a ReplicaSet."""
    from pytest_prodcheck.evidence.kubernetes.objects import rows, table

    metadata = table(item, "metadata")
    owner = next((each for each in rows(metadata, "ownerReferences") if each.get("controller")), {})
    number = str(table(metadata, "annotations").get(_REVISION, ""))
    containers = rows(item, "spec", "template", "spec", "containers")
    images = tuple(str(each.get("image", "")) for each in containers)
    return str(owner.get("name", "")), int(number) if number.isdecimal() else 0, images
