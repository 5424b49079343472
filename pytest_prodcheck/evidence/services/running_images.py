"""The images that the pods of a service run, beside those that the manifests were to deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.cluster import pods_of
from pytest_prodcheck.evidence.kubernetes.manifest_files import manifests_of, template
from pytest_prodcheck.evidence.kubernetes.objects import rows
from pytest_prodcheck.evidence.kubernetes.rollouts import workload_name
from pytest_prodcheck.evidence.vulnerabilities.report_subjects import reference
from pytest_prodcheck.records.services import RunningImage

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.kubernetes import Container


def running_images(service: str, context: Context, deadline: Deadline) -> tuple[RunningImage, ...]:
    """Every container of every running pod of a service's workload; those that start or end are left out.

    Raises EvidenceProblem where pods or manifests cannot be read.
    """
    workload = workload_name(service, context)
    shipped = _images_in_manifests(workload, context)
    return tuple(
        _image(pod.name, each, shipped.get(each.name, ""))
        for pod in pods_of(context, deadline)
        if pod.workload == workload and pod.phase == "Running" and not pod.deleting
        for each in pod.containers
        if not each.init
    )


def _images_in_manifests(workload: str, context: Context) -> dict[str, str]:
    """Container -> image of a workload in the manifests, {} where they do not hold it."""
    kind, _, name = workload.partition("/")
    return {
        str(each.get("name", "")): str(each.get("image", ""))
        for item in manifests_of(kind, name, context)
        for each in rows(template(item), "containers")
    }


def _image(pod: str, container: Container, shipped: str) -> RunningImage:
    name, tag, _ = reference(container.image)
    wanted, wanted_tag, digest = reference(shipped)
    right: bool | None = None
    if digest:
        right = container.digest == digest if container.digest else None
    elif shipped:
        right = (name, tag) == (wanted, wanted_tag)
    return RunningImage(pod, container.name, f"{name}:{tag}".rstrip(":"), container.digest, shipped, right)
