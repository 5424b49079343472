"""`manifest-facts`: what the files refer to and whether it is there, what images they name, how pods are made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes.api import listed
from pytest_prodcheck.evidence.kubernetes.cluster import host, namespaced, reads, seconds
from pytest_prodcheck.evidence.kubernetes.manifest_files import documents, shown, template
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.records.kubernetes import Finding, ManifestFacts

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_RESOURCES = {"ConfigMap": "configmaps", "Secret": "secrets", "ServiceAccount": "serviceaccounts",
              "PersistentVolumeClaim": "persistentvolumeclaims", "Service": "services"}  # fmt: skip


@dataclass
class _There:
    """What can be referred to: kind -> name -> keys or ports; None for a kind that may not be read."""

    context: Context
    deadline: Deadline
    coming: dict[tuple[str, str], Object]
    unread: set[str] = field(default_factory=set)

    def keys(self, kind: str, name: str) -> set[str] | None:
        """The keys of an object of the files or the namespace, None where there is none of that name."""
        if (kind, name) in self.coming:
            return _keys(self.coming[kind, name])
        path = namespaced("", _RESOURCES[kind], self.context)
        found: list[tuple[str, set[str]]] = listed(
            "keys", path, self.context, self.deadline, lambda item: (name_of(item), _keys(item))
        )
        return dict(found).get(name)

    def readable(self, kind: str) -> bool:
        """Whether the kind may be looked up; remembers those that may not."""
        cluster = self.context.environment.kubernetes
        if kind != "Secret" or (cluster is not None and "secrets" in cluster.reach):
            return True
        self.unread.add(kind)
        return False


def _keys(item: Object) -> set[str]:
    return {str(key) for part in ("data", "binaryData", "stringData") for key in table(item, part)}


@evidence(
    "manifest-facts", axis="kubernetes", feature="manifests", seconds=seconds, host=host,
    sends=reads("configmaps", "secrets, where reach names them", "serviceaccounts", "persistentvolumeclaims"),
)  # fmt: skip
def manifest_facts(target: str, context: Context, deadline: Deadline) -> ManifestFacts:
    """References, images and pod templates of the files."""
    objects = [each for _, each in documents(context)]
    there = _There(context, deadline, {(str(each["kind"]), name_of(each)): each for each in objects})
    references = [
        Finding(f"{shown(each)}: {what}", wrong)
        for each in objects
        for what, wrong in _references(each, objects, there)
    ]
    pods = [(each, template(each)) for each in objects if template(each)]
    images = [
        Finding(f"{shown(each)}: {container.get('image', '')}", _image(str(container.get("image", ""))))
        for each, pod in pods
        for container in _containers(pod)
    ]
    workloads = [Finding(f"{shown(each)}: {what}", wrong) for each, pod in pods for what, wrong in _workload(each, pod)]
    return ManifestFacts(tuple(references), tuple(images), tuple(workloads), tuple(sorted(there.unread)))


def _containers(pod: Object) -> list[Object]:
    return [*rows(pod, "initContainers"), *rows(pod, "containers")]


def _references(item: Object, objects: list[Object], there: _There) -> Iterator[tuple[str, str]]:
    """`(what is referred to, what is wrong with it)`; optional references are left out, as the kubelet does."""
    for kind, name, key in _wanted(template(item)):
        if not there.readable(kind):
            continue
        keys = there.keys(kind, name)
        what = f"{kind} {name}" + (f", key {key}" if key else "")
        if keys is None:
            yield what, "there is none, neither in the files nor in the namespace"
        else:
            yield what, f"it has no key {key}" if key and key not in keys else ""
    if item.get("kind") == "Service":
        yield from _ports(item, objects)


def _wanted(pod: Object) -> Iterator[tuple[str, str, str]]:
    account = pod.get("serviceAccountName")
    if account and account != "default":
        yield "ServiceAccount", str(account), ""
    for each in rows(pod, "imagePullSecrets"):
        yield "Secret", str(each.get("name", "")), ""
    for volume in rows(pod, "volumes"):
        yield from _of_volume(volume)
    for container in _containers(pod):
        for source in rows(container, "envFrom"):
            for field_, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                found = table(source, field_)
                if found and not found.get("optional"):
                    yield kind, str(found.get("name", "")), ""
        for variable in rows(container, "env"):
            for field_, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                found = table(variable, "valueFrom", field_)
                if found and not found.get("optional"):
                    yield kind, str(found.get("name", "")), str(found.get("key", ""))


def _of_volume(volume: Object) -> Iterator[tuple[str, str, str]]:
    if claim := table(volume, "persistentVolumeClaim").get("claimName"):
        yield "PersistentVolumeClaim", str(claim), ""
    sources = [volume, *rows(volume, "projected", "sources")]
    for source in sources:
        for field_, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
            found = table(source, field_)
            name = found.get("name") or found.get("secretName")
            if not name or found.get("optional"):
                continue
            items = rows(found, "items")
            for each in items:
                yield kind, str(name), str(each.get("key", ""))
            if not items:
                yield kind, str(name), ""


def _ports(service: Object, objects: list[Object]) -> Iterator[tuple[str, str]]:
    """A service's named target ports are those of the pods in the files that it selects."""
    selector = table(service, "spec", "selector")
    pods = [
        template(each)
        for each in objects
        if selector and selector.items() <= table(each, "spec", "template", "metadata", "labels").items()
    ]
    names = {str(port.get("name")) for pod in pods for each in _containers(pod) for port in rows(each, "ports")}
    for port in rows(service, "spec", "ports") if pods else ():
        wanted = port.get("targetPort")
        if isinstance(wanted, str) and not wanted.isdecimal():
            yield f"port {wanted}", "" if wanted in names else "no container of its pods names it"


def _image(image: str) -> str:
    """What is wrong with an image's name: https://kubernetes.io/docs/concepts/containers/images/#image-names ."""
    if "@sha256:" in image:
        return ""
    tag = re.search(r":([\w][\w.-]*)\Z", image.rpartition("/")[2])
    if tag is None:
        return "no tag and no digest: whatever is newest"
    return "the tag latest: whatever is newest" if tag[1] == "latest" else ""


def _workload(item: Object, pod: Object) -> Iterator[tuple[str, str]]:
    """Probes, limits, user, root file system, spread; jobs need no probes."""
    serves = item.get("kind") in ("Deployment", "StatefulSet", "DaemonSet")
    whole = table(pod, "securityContext")
    for each in rows(pod, "containers"):
        own, name = table(each, "securityContext"), each.get("name", "")
        if serves:
            yield f"container {name}: readiness probe", "" if table(each, "readinessProbe") else "it has none"
        limits = table(each, "resources", "limits")
        yield f"container {name}: memory limit", "" if "memory" in limits else "it has none"
        asked = table(each, "resources", "requests").keys() | limits.keys()
        yield f"container {name}: requests", "" if {"cpu", "memory"} <= asked else "cpu or memory is not asked for"
        as_root = not own.get("runAsNonRoot", whole.get("runAsNonRoot"))
        yield f"container {name}: non-root", "runAsNonRoot is not set" if as_root else ""
        writable = not own.get("readOnlyRootFilesystem")
        yield f"container {name}: read-only root", "readOnlyRootFilesystem is not set" if writable else ""
    replicas = table(item, "spec").get("replicas", 1)
    if item.get("kind") == "Deployment" and isinstance(replicas, int) and replicas > 1:
        spread = rows(pod, "topologySpreadConstraints") or table(pod, "affinity", "podAntiAffinity")
        yield "spread over nodes", "" if spread else "neither topologySpreadConstraints nor podAntiAffinity"
