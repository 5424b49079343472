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
    # how long nodes may be not ready that come (just joined) or go (cordoned, marked by an autoscaler or their cloud,
    # spot); where left out ten minutes with `autoscaling`, else none
    node_grace: Seconds | None = None
    # files that are about to be applied, globs allowed, relative to prodcheck.toml; `{unit}` and `{revision}` are
    # filled in
    manifests: tuple[str, ...] = ()
    # how they will be applied, which their dry run repeats: "auto" goes by what the live objects tell of it
    # (managedFields, hooks, annotations of Argo CD and Flux); "client-side" is `kubectl apply`, "server-side"
    # `kubectl apply --server-side`, "replace" `kubectl replace`, "helm" `helm upgrade` of Helm 3
    apply: Literal["auto", "client-side", "server-side", "replace", "helm"] = "auto"
    field_manager: str | None = None  # where apply is not "auto"; left out: that tool's own ("kubectl", "helm")
    # whether a server-side apply takes over fields that others manage; left out: as the tool is usually run (Argo CD
    # and Flux take over, kubectl and Helm do not)
    force_conflicts: bool | None = None
    # whether the deployer deletes and creates anew what cannot be changed (`force` of a Flux Kustomization, `kubectl
    # apply --force`); left out: as annotation and Kustomization of objects say that Flux applied
    recreate: bool | None = None
    timeout: Seconds = 20.0  # for one list, all its pages and retries included
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts


def _rules(environment: Environment, root: Path) -> Iterator[Complaint]:
    if environment.kubernetes is not None:
        yield from file(("kubernetes", "kubeconfig"), environment.kubernetes.kubeconfig, root)
        yield from _applying(environment.kubernetes)


def _applying(cluster: Kubernetes) -> Iterator[Complaint]:
    for name, value, ways in (
        ("field_manager", cluster.field_manager, ("client-side", "server-side", "replace", "helm")),
        ("force_conflicts", cluster.force_conflicts, ("server-side",)),
    ):
        if value is not None and cluster.apply not in ways:
            shown = " or ".join(f'"{each}"' for each in ways)
            yield ("kubernetes", name), f'has no meaning with apply = "{cluster.apply}"', f"set apply = {shown}"


KINDS = (
    Kind(
        section="kubernetes",
        awaited={"kubernetes": (), "workload": ("kubernetes-rollout",)},
        targets=kubernetes_targets,
        rules=_rules,
        paths={"workload": lambda _environment, name: ("services", name)},
        single=True,
        brings=("rollback",),
    ),
)
