"""The cluster: where its API is, what may be read there, what is about to be applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.release import kubernetes_targets
from pytest_prodcheck.environments.rules.common import file
from pytest_prodcheck.environments.sections.base import Name, Seconds, Section

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.toml.error_collector import Complaint

Reach = Literal["namespace", "secrets", "nodes", "storage"]


class Kubernetes(Section):
    """The Kubernetes API, through a kubeconfig file or, in a pod, its service account."""

    namespace: Name  # the namespace that the services run in
    # context of the kubeconfig file; where left out its current one, or the service account of the pod it runs in
    context: str | None = None
    # kubeconfig file, relative to prodcheck.toml; where left out, KUBECONFIG or ~/.kube/config
    kubeconfig: str | None = None
    # what may be read: "namespace" (its pods, workloads, services, …), "secrets" (their names and keys), "nodes" (nodes
    # and all pods on them), "storage" (storage classes); checks of what is not listed are skipped `out-of-reach`
    reach: Annotated[tuple[Reach, ...], Field(min_length=1)] = ("namespace",)
    autoscaling: bool = False  # true: nodes are added when needed, so that a surge that does not fit now only warns
    # files that are about to be applied, globs allowed, relative to prodcheck.toml; `{unit}` and `{revision}` are
    # filled in
    manifests: tuple[str, ...] = ()
    timeout: Seconds = 20.0  # for one list, all its pages and retries included
    # from where it is reached; a run looks from one place (`--vantage`), what is elsewhere is skipped `out-of-reach`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts


def _rules(environment: Environment, root: Path) -> Iterator[Complaint]:
    if environment.kubernetes is not None:
        yield from file(("kubernetes", "kubeconfig"), environment.kubernetes.kubeconfig, root)


KINDS = (
    Kind(
        section="kubernetes",
        awaited={"kubernetes": (), "workload": ()},
        targets=kubernetes_targets,
        rules=_rules,
        paths={"workload": lambda _environment, name: ("services", name)},
        single=True,
        brings=("rollback",),
    ),
)
