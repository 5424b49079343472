"""How an object will be applied: as its annotations say, as is declared, or as its live copy was applied before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.merge_patches import LAST_APPLIED
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.owned_fields import owned, shared

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.kubernetes import Kubernetes

# field managers that take over fields from others, as they are usually run
FLUX = "kustomize-controller"
FORCING = ("argocd-controller", FLUX)
KUBECTL = "kubectl-client-side-apply"
_CONTROLLERS = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-apiserver", "kubectl-last-applied")
_BY_HAND = ("kubectl", "kubectl-annotate", "kubectl-autoscale", "kubectl-create", "kubectl-edit", "kubectl-expose",
            "kubectl-label", "kubectl-patch", "kubectl-rollout", "kubectl-run", "kubectl-set")  # fmt: skip
_INSTALLS = {"pre-install", "post-install"}


@dataclass(frozen=True)
class ApplyMethod:
    """One way of applying.

    kind: "server-side", "client-side" (kubectl's patch), "helm" (Helm 3's, and of others that update), "replace",
    "create", "anew" (deleted and created), "untouched".
    """

    kind: str
    manager: str = KUBECTL
    force: bool = False
    original: Object | None = None  # what was applied last
    recreates: bool = False  # deletes and creates anew what cannot be changed

    @property
    def shown(self) -> str:
        """The way in a few words."""
        if self.kind == "server-side":
            return f"server-side apply by {self.manager}{', taking over fields' if self.force else ''}"
        if self.kind == "helm" and not self.manager.startswith("helm"):
            return f"patch by {self.manager}"
        return {"client-side": "kubectl apply", "helm": "helm upgrade", "anew": "deleted and created again"}.get(
            self.kind, self.kind
        )


def apply_method(item: Object, live: Object | None, settings: Kubernetes) -> ApplyMethod | None:
    """The way of one object; None for one that is new and goes the way of the others."""
    told = method_of_annotations(item, live)
    if told is not None:
        return told
    if not table(item, "metadata").get("name"):
        return ApplyMethod("create", "kubectl-create")
    if settings.apply != "auto":
        return _declared(settings, live)
    if live is None:
        return None
    return method_of_manager(item, live) or ApplyMethod("client-side", original=last_applied(live))


def method_of_annotations(item: Object, live: Object | None) -> ApplyMethod | None:
    """Hooks of Helm and Argo CD, and what Argo CD and Flux are told to do; None where nothing is said.

    https://helm.sh/docs/topics/charts_hooks/ , https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/ ,
    https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources
    """
    notes = table(item, "metadata", "annotations")
    for name, first in (("helm.sh/hook", "before-hook-creation"), ("argocd.argoproj.io/hook", "BeforeHookCreation")):
        if name in notes and table(item, "metadata").get("name"):
            policies = _comma_separated(notes.get(f"{name}-delete-policy"))
            if not policies or first in policies:
                return ApplyMethod("anew", "helm" if name.startswith("helm") else "argocd-controller")
            if live is None or name.startswith("helm"):
                installed = live is not None and _comma_separated(notes[name]) <= _INSTALLS
                return ApplyMethod("untouched" if installed else "create", "helm")
    options = _comma_separated(notes.get("argocd.argoproj.io/sync-options"))
    if "Replace=true" in options and live is not None:
        return ApplyMethod("anew" if "Force=true" in options else "replace", "argocd-controller")
    if "ServerSideApply=true" in options:
        return ApplyMethod("server-side", "argocd-controller", force=True)
    flux = str(notes.get("kustomize.toolkit.fluxcd.io/ssa", "")).lower()
    return ApplyMethod("untouched") if flux == "ignore" or (flux == "ifnotpresent" and live is not None) else None


def _comma_separated(text: object) -> set[str]:
    return {part.strip() for part in str(text or "").split(",") if part.strip()}


def _declared(settings: Kubernetes, live: Object | None) -> ApplyMethod:
    if settings.apply == "server-side":
        manager = settings.field_manager or "kubectl"
        force = manager in FORCING if settings.force_conflicts is None else settings.force_conflicts
        return ApplyMethod("server-side", manager, force)
    if settings.apply == "helm":
        return ApplyMethod("helm", settings.field_manager or "helm", original=_by_helm(live) if live else None)
    if settings.apply == "replace":
        return ApplyMethod("replace", settings.field_manager or "kubectl-replace")
    return ApplyMethod("client-side", settings.field_manager or KUBECTL, original=last_applied(live) if live else None)


def last_applied(live: Object) -> Object:
    """What kubectl noted of its last apply, {} where it noted nothing."""
    try:
        told = json.loads(table(live, "metadata", "annotations").get(LAST_APPLIED) or "{}")
    except (TypeError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def method_of_manager(item: Object, live: Object) -> ApplyMethod | None:
    """The way of the manager that set most of what the file names; None where it is none that deploys."""
    content = {name: value for name, value in item.items() if name not in ("apiVersion", "kind")}
    metadata = table(item, "metadata")
    content["metadata"] = {name: metadata[name] for name in ("labels", "annotations") if name in metadata}
    found = [(shared(content, part), str(entry.get("time", "")), entry, part) for entry, part in _managed(live)]
    if not found:
        return None
    share, _, entry, part = max(found, key=lambda each: each[:2])
    manager = str(entry.get("manager", ""))
    if entry.get("operation") == "Apply":
        return ApplyMethod("server-side", manager, manager in FORCING)
    if LAST_APPLIED in table(live, "metadata", "annotations"):
        return ApplyMethod("client-side", KUBECTL if manager == "unknown" else manager, original=last_applied(live))
    if manager == "kubectl-replace":
        return ApplyMethod("replace", manager)
    if 2 * share < shared(content, live):  # a controller that sets an annotation, say
        return None
    return ApplyMethod("helm", manager, original=_set_by_helm(part))


def _managed(live: Object) -> Iterator[tuple[Object, Object]]:
    for entry in rows(live, "metadata", "managedFields"):
        by_hand = _updates(entry) and entry.get("manager") in _BY_HAND  # `kubectl apply --server-side` is an Apply
        if not entry.get("subresource") and not by_hand and entry.get("manager") not in _CONTROLLERS:
            yield entry, owned(live, table(entry, "fieldsV1"))


def _updates(entry: Object) -> bool:
    return entry.get("operation") != "Apply"


def _by_helm(live: Object) -> Object:
    parts = [part for entry, part in _managed(live) if _updates(entry)]
    return _set_by_helm(max(parts, key=lambda part: shared(part, live), default={}))


def _set_by_helm(part: Object) -> Object:
    """Without Helm's own marks, which rendered files do not have."""
    metadata = dict(table(part, "metadata"))
    for name in ("labels", "annotations"):
        if name in metadata:
            metadata[name] = {
                key: value for key, value in table(metadata, name).items()
                if not key.startswith("meta.helm.sh/") and key != "app.kubernetes.io/managed-by"
            }  # fmt: skip
    return {**part, "metadata": metadata}


def most_common(ways: Iterable[ApplyMethod | None]) -> ApplyMethod:
    """The way of objects that are new: that of most others; kubectl's where there are none."""
    counted: dict[tuple[str, str, bool], int] = {}
    for each in ways:
        if each is not None and each.kind in ("server-side", "client-side", "helm"):
            key = (each.kind, each.manager, each.force)
            counted[key] = counted.get(key, 0) + 1
    if not counted:
        return ApplyMethod("client-side")
    return ApplyMethod(*max(counted, key=lambda key: counted[key]))
