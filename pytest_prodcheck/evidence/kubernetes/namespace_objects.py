"""`kubernetes-volumes`, `-disruption`, `-ingress`, `-storage`: what else the namespace has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes.api import listed
from pytest_prodcheck.evidence.kubernetes.cluster import host, namespaced, pods_of, reads, seconds
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.records.kubernetes import (
    Budget,
    Entrance,
    KubernetesDisruption,
    KubernetesIngress,
    KubernetesVolumes,
    StorageClasses,
    Volume,
)

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

# parameters of storage classes that say whether volumes are encrypted: AWS EBS, Longhorn, GCE PD, Azure Disk
_ENCRYPTED = ("encrypted", "kmsKeyId", "disk-encryption-kms-key", "diskEncryptionSetID")


def raw(group: str, resource: str, context: Context, deadline: Deadline) -> list[Object]:
    """A list of the namespace as it comes, read once in a run."""
    return listed("raw", namespaced(group, resource, context), context, deadline, lambda item: item)


def name_of(item: Object) -> str:
    """metadata.name."""
    return str(table(item, "metadata").get("name", ""))


@evidence(
    "kubernetes-volumes", axis="kubernetes", seconds=seconds, host=host, sends=reads("persistentvolumeclaims", "pods")
)
def kubernetes_volumes(target: str, context: Context, deadline: Deadline) -> KubernetesVolumes:
    """The claims; one that waits for its first pod is told from one that nobody binds."""
    claims = raw("", "persistentvolumeclaims", context, deadline)
    used = {claim for pod in pods_of(context, deadline) for claim in pod.claims}
    return KubernetesVolumes(
        tuple(
            Volume(
                name_of(each),
                str(table(each, "status").get("phase", "Pending")),
                name_of(each) not in used,
                str(table(each, "spec").get("storageClassName") or ""),
            )
            for each in claims
        )
    )


@evidence("kubernetes-disruption", axis="kubernetes", seconds=seconds, host=host, sends=reads("poddisruptionbudgets"))
def kubernetes_disruption(target: str, context: Context, deadline: Deadline) -> KubernetesDisruption:
    """The budgets, as their controller counts them."""
    return KubernetesDisruption(
        tuple(
            Budget(
                name_of(each),
                int(table(each, "status").get("expectedPods") or 0),
                int(table(each, "status").get("disruptionsAllowed") or 0),
                int(table(each, "status").get("currentHealthy") or 0),
                int(table(each, "status").get("desiredHealthy") or 0),
            )
            for each in raw("policy/v1", "poddisruptionbudgets", context, deadline)
        )
    )


@evidence(
    "kubernetes-ingress", axis="kubernetes", seconds=seconds, host=host,
    sends=reads("ingresses", "services", "endpointslices"),
)  # fmt: skip
def kubernetes_ingress(target: str, context: Context, deadline: Deadline) -> KubernetesIngress:
    """Ingresses with the ready endpoints behind them, and services that select pods."""
    services = {name_of(each): each for each in raw("", "services", context, deadline)}
    ready: dict[str, set[str]] = {}
    for each in raw("discovery.k8s.io/v1", "endpointslices", context, deadline):
        of = str(table(each, "metadata", "labels").get("kubernetes.io/service-name", ""))
        for endpoint in rows(each, "endpoints"):
            if table(endpoint, "conditions").get("ready", True) is not False:
                ready.setdefault(of, set()).update(map(str, endpoint.get("addresses") or ()))
    ingresses = tuple(
        Entrance(name_of(each), tuple(_addresses(each)), tuple(_backends(each, services, ready)))
        for each in raw("networking.k8s.io/v1", "ingresses", context, deadline)
    )
    selecting = {name: each for name, each in services.items() if table(each, "spec", "selector")}
    return KubernetesIngress(ingresses, tuple((name, len(ready.get(name, ()))) for name in selecting))


def _addresses(ingress: Object) -> list[str]:
    told = rows(ingress, "status", "loadBalancer", "ingress")
    return [str(each.get("ip") or each.get("hostname") or "") for each in told]


def _backends(ingress: Object, services: dict[str, Object], ready: dict[str, set[str]]) -> list[tuple[str, int]]:
    paths = [path for rule in rows(ingress, "spec", "rules") for path in rows(rule, "http", "paths")]
    named = [table(each, "backend", "service") for each in paths] + [
        table(ingress, "spec", "defaultBackend", "service")
    ]
    found: dict[str, int] = {}
    for each in named:
        if not each:
            continue
        name, port = str(each.get("name", "")), table(each, "port")
        shown = f"{name}:{port.get('name') or port.get('number')}"
        there = name in services and _has_port(services[name], port)
        external = there and table(services[name], "spec").get("type") == "ExternalName"
        found[shown] = -1 if not there else 1 if external else len(ready.get(name, ()))
    return list(found.items())


def _has_port(service: Object, port: Object) -> bool:
    return any(
        each.get("name") == port["name"] if "name" in port else each.get("port") == port.get("number")
        for each in rows(service, "spec", "ports")
    )


@evidence(
    "kubernetes-storage", axis="kubernetes", feature="storage", seconds=seconds, host=host,
    sends=reads("storageclasses", "persistentvolumeclaims"),
)  # fmt: skip
def kubernetes_storage(target: str, context: Context, deadline: Deadline) -> StorageClasses:
    """The storage classes of the namespace's claims, and whether each says that it encrypts."""
    used = {
        str(table(each, "spec").get("storageClassName") or "")
        for each in raw("", "persistentvolumeclaims", context, deadline)
    } - {""}
    path = "/apis/storage.k8s.io/v1/storageclasses"
    classes = {name_of(each): each for each in listed("raw", path, context, deadline, lambda item: item)}
    return StorageClasses(tuple((name, _encrypts(classes.get(name, {}))) for name in sorted(used)))


def _encrypts(storage: dict[str, Any]) -> bool | None:
    parameters = {str(key): str(value) for key, value in table(storage, "parameters").items()}
    told = [value for key, value in parameters.items() if key.rpartition("/")[2] in _ENCRYPTED]
    return all(value.lower() not in ("", "false") for value in told) if told else None
