"""What pods refer to: config maps, secrets, keys, accounts, claims, and ports by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import normpath

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table


@dataclass(frozen=True)
class Reference:
    """One object that another one names; optional ones are left out, as the kubelet does."""

    kind: str
    name: str
    key: str = ""  # of a ConfigMap or Secret; of a Service, the port's name or number
    namespace: str = ""  # "" for that of the object which refers to it
    slight: bool = False  # what refers to it works without it, but not as it was meant
    hosts: tuple[str, ...] = ()  # names that a certificate is served for
    pulls: bool = False  # images: the kubelet goes on without it, and whether their registry minds is not known here

    @property
    def shown(self) -> str:
        """For people: "Secret keys, key api"."""
        what = "port" if self.kind == "Service" else "key"
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{where}" + (f", {what} {self.key}" if self.key else "")


_KEYS = (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret"))
_CLAIMS = (("resourceClaimName", "ResourceClaim"), ("resourceClaimTemplateName", "ResourceClaimTemplate"))
_WHOLE = (("configMapRef", "ConfigMap"), ("secretRef", "Secret"))
# volumes of old that name a secret: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume/
_OLD = ("cephfs", "rbd", "iscsi", "flexVolume", "scaleIO", "storageos")
STORE = "secrets-store.csi.k8s.io"
PROBES = ("readinessProbe", "livenessProbe", "startupProbe")


def containers(pod: Object) -> list[Object]:
    """All containers of a pod's specification, those for its start first."""
    return [*rows(pod, "initContainers"), *rows(pod, "containers")]


def of_pod(pod: Object) -> Iterator[Reference]:
    """What a pod's specification refers to."""
    account = pod.get("serviceAccountName") or pod.get("serviceAccount")
    if account:
        yield Reference("ServiceAccount", str(account))
    for each in rows(pod, "imagePullSecrets"):
        yield Reference("Secret", str(each.get("name", "")), pulls=True)
    for volume in rows(pod, "volumes"):
        yield from _of_volume(volume)
    for _, path, kind, source in _mounted_files(pod):
        if not rows(source, "items"):
            yield Reference(kind, str(source.get("name") or source.get("secretName")), path)
    for claim in rows(pod, "resourceClaims"):
        for field, kind in _CLAIMS:
            if claim.get(field):
                yield Reference(kind, str(claim[field]))
    for container in containers(pod):
        for source in rows(container, "envFrom"):
            for field, kind in _WHOLE:
                found = table(source, field)
                if found and not found.get("optional"):
                    yield Reference(kind, str(found.get("name", "")))
        for variable in rows(container, "env"):
            for field, kind in _KEYS:
                found = table(variable, "valueFrom", field)
                if found and not found.get("optional"):
                    yield Reference(kind, str(found.get("name", "")), str(found.get("key", "")))


def _of_volume(volume: Object) -> Iterator[Reference]:
    if claim := table(volume, "persistentVolumeClaim").get("claimName"):
        yield Reference("PersistentVolumeClaim", str(claim))
    if storage := table(volume, "ephemeral", "volumeClaimTemplate", "spec").get("storageClassName"):
        yield Reference("StorageClass", str(storage), slight=True)
    for source in (volume, *rows(volume, "projected", "sources")):
        for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
            found = table(source, field)
            name = found.get("name") or found.get("secretName")
            if name and not found.get("optional"):
                keys = [str(each.get("key", "")) for each in rows(found, "items")] or [""]
                yield from (Reference(kind, str(name), key) for key in keys)
    csi = table(volume, "csi")
    secrets = [table(csi, "nodePublishSecretRef").get("name"), table(volume, "azureFile").get("secretName")]
    secrets += [table(volume, each, "secretRef").get("name") for each in _OLD]
    yield from (Reference("Secret", str(name)) for name in secrets if name)
    provider = table(csi, "volumeAttributes").get("secretProviderClass")
    if csi.get("driver") == STORE and provider:
        yield Reference("SecretProviderClass", str(provider))


def _mounted_files(pod: Object) -> Iterator[tuple[str, str, str, Object]]:
    """`(container, subPath, kind, source)` of each file of a config map or secret that is mounted by itself."""
    volumes = {str(each.get("name")): each for each in rows(pod, "volumes")}
    for container in containers(pod):
        for mount in rows(container, "volumeMounts"):
            for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
                source = table(volumes.get(str(mount.get("name")), {}), field)
                if mount.get("subPath") and source and not source.get("optional"):
                    yield str(container.get("name", "")), normpath(str(mount["subPath"])), kind, source


def mounts(pod: Object) -> Iterator[tuple[str, str]]:
    """`(what asks for it, what is wrong)` of each file that a volume lists under a path of its own.

    Of a path that is not there the kubelet makes an empty directory: https://github.com/kubernetes/kubernetes/issues/126186
    """
    for container, path, kind, source in _mounted_files(pod):
        if paths := [normpath(str(each.get("path"))) for each in rows(source, "items")]:
            good = any(each == path or each.startswith(f"{path}/") for each in paths)
            wrong = "" if good else f"the items of its {kind} volume have no such path"
            yield f"container {container}: subPath {path}", wrong


def named_ports(pod: Object) -> set[tuple[str, str]]:
    """`(name, protocol)` of the ports that services find: of containers and sidecars, as endpoint slices have it."""
    sidecars = [each for each in rows(pod, "initContainers") if each.get("restartPolicy") == "Always"]
    told = [port for each in (*rows(pod, "containers"), *sidecars) for port in rows(each, "ports")]
    return {(str(port.get("name")), str(port.get("protocol") or "TCP")) for port in told}


def probes(pod: Object) -> Iterator[tuple[str, str]]:
    """`(what asks for it, what is wrong)` of each port that a probe or hook names: one of the container's own."""
    for each in containers(pod):
        own = {str(port.get("name")) for port in rows(each, "ports")}
        asked = [(name, table(each, name)) for name in PROBES]
        asked += [(name, table(each, "lifecycle", name)) for name in ("postStart", "preStop")]
        for name, told in asked:
            for way in ("httpGet", "tcpSocket"):
                port = table(told, way).get("port")
                if isinstance(port, str) and not port.isdecimal():
                    wrong = "" if port in own else "the container has no port of that name"
                    yield f"container {each.get('name', '')}, {name}: port {port}", wrong
