"""`manifest-facts`: what the files refer to and whether it is there, what images they name, how pods are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes.cluster import host, reads, seconds
from pytest_prodcheck.evidence.kubernetes.image_names import image_fault
from pytest_prodcheck.evidence.kubernetes.manifest_files import documents, kind_and_name, template
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.pod_references import containers
from pytest_prodcheck.evidence.kubernetes.references import ExistingObjects, references
from pytest_prodcheck.records.kubernetes import Finding, ManifestFacts

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


@evidence(
    "manifest-facts", axis="kubernetes", feature="manifests", seconds=seconds, host=host,
    sends=reads("configmaps", "secrets, where reach names them", "serviceaccounts", "persistentvolumeclaims",
                "services", "further kinds that the files refer to"),
)  # fmt: skip
def manifest_facts(target: str, context: Context, deadline: Deadline) -> ManifestFacts:
    """References, images and pod templates of the files."""
    objects = [each for _, each in documents(context)]
    there = ExistingObjects(context, deadline, objects)
    found = [finding for each in objects for finding in references(each, there)]
    pods = [(each, template(each)) for each in objects if template(each)]
    images = [
        Finding(f"{kind_and_name(each)}: {container.get('image', '')}", image_fault(str(container.get("image", ""))))
        for each, pod in pods
        for container in containers(pod)
    ]
    workloads = [
        Finding(f"{kind_and_name(each)}: {what}", wrong) for each, pod in pods for what, wrong in _workload(each, pod)
    ]
    return ManifestFacts(tuple(found), tuple(images), tuple(workloads), tuple(sorted(there.unread)))


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
        yield f"container {name}: requests", "" if {"cpu", "memory"} <= asked else "no cpu or memory request"
        as_root = not own.get("runAsNonRoot", whole.get("runAsNonRoot"))
        yield f"container {name}: non-root", "runAsNonRoot is not set" if as_root else ""
        writable = not own.get("readOnlyRootFilesystem")
        yield f"container {name}: read-only root", "readOnlyRootFilesystem is not set" if writable else ""
    replicas = table(item, "spec").get("replicas", 1)
    if item.get("kind") == "Deployment" and isinstance(replicas, int) and replicas > 1:
        spread = rows(pod, "topologySpreadConstraints") or table(pod, "affinity", "podAntiAffinity")
        yield "spread over nodes", "" if spread else "neither topologySpreadConstraints nor podAntiAffinity"
