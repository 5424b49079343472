"""`kubernetes-api`, `-nodes`: one list a kind, read once, feeds all checks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.kubernetes import parsing
from pytest_prodcheck.evidence.kubernetes.api import PAGE, api, listed, now
from pytest_prodcheck.evidence.kubernetes.objects import table
from pytest_prodcheck.evidence.kubernetes.standard_versions import enforced_minor
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.kubernetes import KubernetesApi, KubernetesNodes, Pod

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
        ("networking.k8s.io", "ingresses"), ("discovery.k8s.io", "endpointslices"), ("batch", "cronjobs"),
        ("batch", "jobs"), ("autoscaling", "horizontalpodautoscalers"),
    ),
    "secrets": (("", "secrets"),),
    "nodes": (("", "nodes"), ("", "pods")),
    "storage": (("storage.k8s.io", "storageclasses"),),
}  # fmt: skip
CLUSTER_WIDE = ("nodes", "storage")  # reaches whose lists have no namespace
GRACE = 600.0  # seconds


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
        (allowed if _is_allowed(group, resource, namespace, context, deadline) else forbidden).append(
            f"list {resource}{where}"
        )
    return KubernetesApi(server.server, version, status == 200, failing, tuple(allowed), tuple(forbidden))


def _rights(context: Context) -> Iterator[tuple[str, str, str]]:
    cluster = context.environment.kubernetes
    for reach in cluster.reach if cluster else ():
        for group, resource in RIGHTS[reach]:
            yield group, resource, "" if reach in CLUSTER_WIDE or cluster is None else cluster.namespace


def _is_allowed(group: str, resource: str, namespace: str, context: Context, deadline: Deadline) -> bool:
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
    """The pods of all namespaces, of other namespaces what takes up room: for those who may read nodes."""
    mine = pods_of(context, deadline)
    server = api(context, deadline)
    try:
        from pytest_prodcheck.evidence.kubernetes.pod_fields import decoded
    except ImportError:
        hint = "pip install 'pytest-prodcheck[kubernetes]'"
        raise EvidenceProblem(Problem("missing-extra", "reading all pods needs msgspec", hint)) from None
    elsewhere = listed("pods", "/api/v1/pods", context, deadline, parsing.pod_footprint, decoded,
                       fieldSelector=f"metadata.namespace!={server.namespace}")  # fmt: skip
    return [*mine, *elsewhere]


def pods_of(context: Context, deadline: Deadline) -> list[Pod]:
    """All pods of the namespace."""
    take = partial(parsing.pod, minor=enforced_minor(context, deadline))
    return listed("pods", namespaced("", "pods", context), context, deadline, take)


@evidence("kubernetes-nodes", axis="kubernetes", feature="nodes", seconds=seconds, host=host, sends=reads("nodes"))
def kubernetes_nodes(target: str, context: Context, deadline: Deadline) -> KubernetesNodes:
    """All nodes."""
    found = tuple(listed("nodes", "/api/v1/nodes", context, deadline, parsing.node))
    return KubernetesNodes(found, node_grace(context), now(context, deadline))


def node_grace(context: Context) -> float:
    """Seconds that nodes may take to come or go: as declared, ten minutes where an autoscaler is, else none."""
    cluster = context.environment.kubernetes
    if cluster is None or cluster.node_grace is not None:
        return cluster.node_grace or 0.0 if cluster else 0.0
    return GRACE if cluster.autoscaling else 0.0
