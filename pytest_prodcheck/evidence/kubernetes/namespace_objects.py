"""Lists of the namespace as they come; `kubernetes-volumes` and `-storage`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes.api import listed
from pytest_prodcheck.evidence.kubernetes.cluster import host, namespaced, pods_of, reads, seconds
from pytest_prodcheck.evidence.kubernetes.object_events import latest_warning
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records.kubernetes import KubernetesVolumes, StorageClasses, Volume

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

# conditions of a claim whose volume is not as large as it asks for
_RESIZES = ("FileSystemResizePending", "ControllerResizeError", "NodeResizeError")
# parameters of storage classes that say whether volumes are encrypted: AWS EBS, Longhorn, GCE PD, Azure Disk
_ENCRYPTED = ("encrypted", "kmsKeyId", "disk-encryption-kms-key", "diskEncryptionSetID")


def raw(group: str, resource: str, context: Context, deadline: Deadline) -> list[Object]:
    """A list of the namespace as it comes, read once in a run."""
    return listed("raw", namespaced(group, resource, context), context, deadline, lambda item: item)


def name_of(item: Object) -> str:
    """metadata.name."""
    return str(table(item, "metadata").get("name", ""))


@evidence(
    "kubernetes-volumes", axis="kubernetes", seconds=seconds, host=host,
    sends=reads("persistentvolumeclaims", "pods", "events, of claims that are not bound"),
)  # fmt: skip
def kubernetes_volumes(target: str, context: Context, deadline: Deadline) -> KubernetesVolumes:
    """The claims; one that waits for its first pod is told from one that nobody binds."""
    claims = raw("", "persistentvolumeclaims", context, deadline)
    used = {claim for pod in pods_of(context, deadline) if pod.lives for claim in pod.claims}
    return KubernetesVolumes(
        tuple(
            Volume(
                name_of(each),
                str(table(each, "status").get("phase", "Pending")),
                name_of(each) not in used,
                str(table(each, "spec").get("storageClassName") or ""),
                latest_warning("PersistentVolumeClaim", name_of(each), context, deadline) if _is_unbound(each) else "",
                "deletionTimestamp" in table(each, "metadata"),
                _growing(each),
            )
            for each in claims
        )
    )


def _growing(claim: Object) -> str:
    """What keeps a claim from the larger size that it asks for, "" for nothing."""
    told = [each for each in rows(claim, "status", "conditions") if each.get("type") in _RESIZES]
    return "; ".join(plain(f"{each.get('type')} {each.get('message') or ''}".strip(), 200) for each in told
                     if each.get("status") == "True")  # fmt: skip


def _is_unbound(claim: Object) -> bool:
    return table(claim, "status").get("phase") != "Bound"


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
