"""`kubernetes-api`, `-pods`, `-rollout`, `-nodes`: one list a kind, read once, feeds all checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.kubernetes import parsing
from pytest_prodcheck.evidence.kubernetes.api import PAGE, api, listed
from pytest_prodcheck.evidence.kubernetes.objects import rows, table
from pytest_prodcheck.evidence.kubernetes.rollout_reasons import reasons
from pytest_prodcheck.evidence.kubernetes.standard_versions import enforced_minor
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.kubernetes import KubernetesApi, KubernetesNodes, KubernetesPods, Pod, Rollout

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

# what each reach needs, as (API group, resource): the rules of `prodcheck grants --kubernetes`
RIGHTS = {
    "namespace": (
        ("", "pods"), ("", "services"), ("", "configmaps"), ("", "serviceaccounts"), ("", "resourcequotas"),
        ("", "limitranges"), ("", "persistentvolumeclaims"), ("apps", "deployments"), ("apps", "statefulsets"),
        ("apps", "daemonsets"), ("apps", "replicasets"), ("policy", "poddisruptionbudgets"),
        ("networking.k8s.io", "ingresses"), ("discovery.k8s.io", "endpointslices"),
    ),
    "secrets": (("", "secrets"),),
    "nodes": (("", "nodes"), ("", "pods")),
    "storage": (("storage.k8s.io", "storageclasses"),),
}  # fmt: skip
CLUSTER_WIDE = ("nodes", "storage")  # reaches whose lists have no namespace
PLURALS = {"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}
REVISION = "deployment.kubernetes.io/revision"


def seconds(target: str, environment: Environment) -> float:
    """Deadline of what needs a few lists."""
    return environment.kubernetes.timeout * 2 + 5 if environment.kubernetes else 1.0


def host(target: str, environment: Environment) -> str:
    """All of it goes to one server, whose address the kubeconfig knows."""
    return "kubernetes"


def reads(*lists: str) -> Any:
    """`sends` of a collector that reads these lists; each is read once in a run."""

    def sends(target: str, environment: Environment) -> tuple[Sending, ...]:
        cluster = environment.kubernetes
        where = f"Kubernetes API ({cluster.context or 'current context'})" if cluster else "Kubernetes API"
        return tuple(Sending(where, f"GET {each}, by pages of {PAGE}") for each in lists)

    return sends


@evidence("kubernetes-api", axis="kubernetes", seconds=seconds, host=host, sends=reads("/readyz", "/version"))
def kubernetes_api(target: str, context: Context, deadline: Deadline) -> KubernetesApi:
    """Readiness, version and our rights."""
    server = api(context, deadline)
    status, text = server.text("/readyz?verbose", deadline)
    if status in (401, 403):
        hint = "grant the cluster role system:public-info-viewer, which everybody has by default"
        raise EvidenceProblem(Problem("denied", f"GET /readyz: {status}", hint))
    version = str(server.get("/version", deadline).get("gitVersion", ""))
    failing = tuple(line[3:60].partition(" ")[0] for line in text.splitlines() if line.startswith("[-]"))
    allowed: list[str] = []
    forbidden: list[str] = []
    for group, resource, namespace in _rights(context):
        where = f" in {namespace}" if namespace else ""
        (allowed if _may(group, resource, namespace, context, deadline) else forbidden).append(
            f"list {resource}{where}"
        )
    return KubernetesApi(server.server, version, status == 200, failing, tuple(allowed), tuple(forbidden))


def _rights(context: Context) -> Iterator[tuple[str, str, str]]:
    cluster = context.environment.kubernetes
    for reach in cluster.reach if cluster else ():
        for group, resource in RIGHTS[reach]:
            yield group, resource, "" if reach in CLUSTER_WIDE or cluster is None else cluster.namespace


def _may(group: str, resource: str, namespace: str, context: Context, deadline: Deadline) -> bool:
    """https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access ."""
    wanted = {"group": group, "resource": resource, "verb": "list", **({"namespace": namespace} if namespace else {})}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": wanted},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = api(context, deadline).post(path, review, deadline)
    return table(answer, "status").get("allowed") is True


def namespaced(group: str, resource: str, context: Context) -> str:
    """The path of a list in the namespace."""
    cluster = context.environment.kubernetes
    root = f"/apis/{group}" if "/" in group else "/api/v1"
    return f"{root}/namespaces/{cluster.namespace if cluster else ''}/{resource}"


def all_pods(context: Context, deadline: Deadline) -> list[Pod]:
    """The pods of all namespaces: for those who may read nodes."""
    return listed("pods", "/api/v1/pods", context, deadline, _pod(context, deadline))


def pods_of(context: Context, deadline: Deadline) -> list[Pod]:
    """All pods of the namespace; out of the list of all namespaces where that one is read too."""
    cluster = context.environment.kubernetes
    if cluster is not None and "nodes" in cluster.reach:
        return [each for each in all_pods(context, deadline) if each.namespace == cluster.namespace]
    return listed("pods", namespaced("", "pods", context), context, deadline, _pod(context, deadline))


def _pod(context: Context, deadline: Deadline) -> Callable[[dict[str, Any]], Pod]:
    return partial(parsing.pod, minor=enforced_minor(context, deadline))


@evidence("kubernetes-pods", axis="kubernetes", seconds=seconds, host=host, sends=reads("pods"))
def kubernetes_pods(target: str, context: Context, deadline: Deadline) -> KubernetesPods:
    """The namespace's pods."""
    return KubernetesPods(target, tuple(pods_of(context, deadline)), time.time())


@evidence("kubernetes-nodes", axis="kubernetes", feature="nodes", seconds=seconds, host=host, sends=reads("nodes"))
def kubernetes_nodes(target: str, context: Context, deadline: Deadline) -> KubernetesNodes:
    """All nodes."""
    return KubernetesNodes(tuple(listed("nodes", "/api/v1/nodes", context, deadline, parsing.node)))


@evidence(
    "kubernetes-rollout", axis="workload", seconds=seconds, host=host,
    sends=reads("pods", "workloads", "replicasets", "events, where the rollout is not whole"),
)  # fmt: skip
def kubernetes_rollout(target: str, context: Context, deadline: Deadline) -> Rollout:
    """A service's workload and its pods."""
    wanted = workload_name(target, context)
    kind, _, name = wanted.partition("/")
    items = listed("raw", namespaced("apps/v1", PLURALS[kind], context), context, deadline, lambda item: item)
    found = next((each for each in items if table(each, "metadata").get("name") == name), None)
    mine = tuple(each for each in pods_of(context, deadline) if each.workload == wanted and not each.deleting)
    if found is None:
        return Rollout(None, wanted, mine, time.time())
    workload, now = parsing.workload(found, kind, _hash(found, kind, context, deadline)), time.time()
    return Rollout(workload, wanted, mine, now, reasons(workload, mine, now, context, deadline))


def workload_name(service: str, context: Context) -> str:
    """The workload of a service ("deployment/shop"), as the slot names it; raises EvidenceProblem (configuration)."""
    environment = context.environment
    declared = environment.services[service].workload if service in environment.services else None
    if declared is None:
        raise EvidenceProblem(Problem("configuration", f"service {service} declares no workload"))
    pattern = environment.slots[environment.slot].workload if environment.slot else None
    if pattern is None:
        return declared
    kind, _, name = declared.partition("/")
    filled = pattern.replace("{workload}", name)
    return filled if "/" in filled else f"{kind}/{filled}"


def _hash(item: dict[str, Any], kind: str, context: Context, deadline: Deadline) -> str:
    """The version hash of the pods that the workload's current template makes, "" where it cannot be known."""
    if kind != "deployment":
        return str(table(item, "status").get("updateRevision", ""))
    name = table(item, "metadata").get("name")
    revision = str(table(item, "metadata", "annotations").get(REVISION, ""))
    path = namespaced("apps/v1", "replicasets", context)
    for each in listed("replicasets", path, context, deadline, _replica_set):
        if each == (name, revision, each[2]):
            return str(each[2])
    return ""


def _replica_set(item: dict[str, Any]) -> tuple[str, str, str]:
    metadata = table(item, "metadata")
    owner = next((each for each in rows(metadata, "ownerReferences") if each.get("controller")), {})
    labels = table(metadata, "labels")
    annotations = table(metadata, "annotations")
    return str(owner.get("name", "")), str(annotations.get(REVISION, "")), str(labels.get("pod-template-hash", ""))
