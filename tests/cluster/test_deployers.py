"""The dry run is the deployer's: what kubectl, Helm and Argo CD would apply and how, of objects applied by kubectl."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.dry_run import kubernetes_manifests
from pytest_prodcheck.records.kubernetes import Manifest
from tests.cluster.control_plane import ControlPlane, path_of
from tests.cluster.deployers import Kubectl
from tests.cluster.namespaces import context_for, emptied, files

Object = dict[str, Any]
AGAIN = "deleted and created again"
SPACE = "deployers"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def web(name: str) -> Object:
    """A Deployment whose parts the cases change."""
    labels = {"app": name}
    app = {
        "name": "app", "image": "registry.test/web:1.0", "env": [{"name": "LEVEL", "value": "info"}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
    }  # fmt: skip
    pod = {"volumes": [{"name": "work", "emptyDir": {}}], "containers": [app]}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "replicas": 0, "strategy": rolling, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }  # fmt: skip


def service(name: str, *ports: Object) -> Object:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": SPACE},
        "spec": {"selector": {"app": "web"}, "ports": list(ports) or [{"name": "http", "port": 80}]},
    }  # fmt: skip


def job(name: str, image: str = "registry.test/web:1.0", **notes: str) -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "app", "image": image}]}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": SPACE, "annotations": notes},
        "spec": {"suspend": True, "template": {"spec": pod}},
    }  # fmt: skip


def changed(item: Object, path: str, value: Any) -> Object:
    """The object with one value at "spec.ports.0.port"; None takes it away."""
    made = copy.deepcopy(item)
    inside: Any = made
    *parents, last = path.split(".")
    for part in parents:
        inside = inside[int(part)] if part.isdecimal() else inside.setdefault(part, {})
    if value is None:
        inside.pop(last)
    else:
        inside[int(last) if last.isdecimal() else last] = value
    return made


APP = "spec.template.spec.containers.0"
_TWO = ({"name": "http", "port": 80}, {"name": "metrics", "port": 9090})
_FIELD = {"name": "LEVEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
_NAMELESS = ({"port": 80}, {"port": 9090})
_HOOK = {"helm.sh/hook": "pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"}
_KEPT = {"helm.sh/hook": "pre-upgrade", "helm.sh/hook-delete-policy": "hook-failed"}
_ARGO = {"argocd.argoproj.io/hook": "PreSync"}
_REPLACED = {"argocd.argoproj.io/sync-options": "Replace=true,Force=true"}
_TAKES = {"argocd.argoproj.io/sync-options": "ServerSideApply=true"}
_OTHER = "registry.test/web:2.0"
_FLUX = "kustomize.toolkit.fluxcd.io"
_FORCED = {f"{_FLUX}/force": "enabled"}
_KUSTOMIZATIONS = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": f"kustomizations.{_FLUX}"},
    "spec": {"group": _FLUX, "scope": "Namespaced", "names": {"kind": "Kustomization", "plural": "kustomizations"},
             "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                 "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]},
}  # fmt: skip
Change = Callable[[Object], Object]
# name: (before, how it came there, the new file, words of the refusal or "", words of the way)
CASES: dict[str, tuple[Object, str, Change, str, str]] = {
    "value-from": (web("a"), "client", lambda it: changed(it, f"{APP}.env.0", _FIELD), "", "kubectl apply"),
    "service-port": (service("b"), "client", lambda it: changed(it, "spec.ports.0.port", 8080), "", "kubectl apply"),
    "container-port": (web("c"), "client", lambda it: changed(it, f"{APP}.ports.0.containerPort", 9090), "", ""),
    "volume": (
        web("d"), "client",
        lambda it: changed(it, "spec.template.spec.volumes.0", {"name": "work", "configMap": {"name": "w"}}), "", "",
    ),
    "probe": (
        web("e"), "client", lambda it: changed(it, f"{APP}.readinessProbe", {"tcpSocket": {"port": "http"}}), "", "",
    ),
    "recreate": (web("f"), "client", lambda it: changed(it, "spec.strategy", {"type": "Recreate"}), "", ""),
    "nameless": (
        service("g", *_TWO), "client", lambda it: changed(it, "spec.ports", list(_NAMELESS)), "Required value", "",
    ),
    "no-image": (web("h"), "client", lambda it: changed(it, f"{APP}.image", None), "Required value", "kubectl apply"),
    "server-side": (
        service("i"), "server", lambda it: changed(it, "spec.ports.0.port", 8080), "",
        "server-side apply by kubectl",
    ),
    "conflict": (web("j"), "server scale", lambda it: it, "1 conflict", "server-side apply by kubectl"),
    "scaled": (web("k"), "client scale", lambda it: it, "", "kubectl apply"),
    "hook": (job("l", **_HOOK), "client", lambda it: changed(it, f"{APP}.image", _OTHER), "", AGAIN),
    "hook-kept": (
        job("m", **_KEPT), "client", lambda it: changed(it, f"{APP}.image", _OTHER), "already exists", "create",
    ),
    "hook-wrong": (job("n", **_HOOK), "client", lambda it: changed(it, f"{APP}.image", None), "Required value", AGAIN),
    "argo-hook": (job("o", **_ARGO), "client", lambda it: changed(it, f"{APP}.image", _OTHER), "", AGAIN),
    "argo-replaced": (job("p", **_REPLACED), "client", lambda it: changed(it, f"{APP}.image", _OTHER), "", AGAIN),
    "job": (job("q"), "client", lambda it: changed(it, f"{APP}.image", _OTHER), "field is immutable", "kubectl apply"),
    "argo-takes-over": (
        web("r"), "client scale",
        lambda it: changed(it, "metadata.annotations", _TAKES), "", "by argocd-controller, taking over",
    ),
    "replaced": (service("s", *_TWO), "replace", lambda it: changed(it, "spec.ports", [_TWO[1]]), "", "replace"),
    "created": (service("t"), "create", lambda it: changed(it, "spec.ports.0.name", "web"), "", "kubectl apply"),
    "helm": (
        changed(web("u"), f"{APP}.env", [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]), "helm",
        lambda it: changed(it, f"{APP}.env", [{**_FIELD, "name": "B"}]), "", "helm upgrade",
    ),
    "helm-probe": (
        web("v"), "helm", lambda it: changed(it, f"{APP}.readinessProbe", {"tcpSocket": {"port": "http"}}), "",
        "helm upgrade",
    ),
    "flux": (web("w"), "flux scale", lambda it: it, "", "server-side apply by kustomize-controller, taking over"),
    "flux-job": (
        job("x"), "flux", lambda it: changed(it, f"{APP}.image", _OTHER), "field is immutable", "kustomize-controller",
    ),
    "flux-forced": (job("y", **_FORCED), "flux", lambda it: changed(it, f"{APP}.image", _OTHER), "", AGAIN),
    "flux-forced-wrong": (
        job("z", **_FORCED), "flux", lambda it: changed(it, f"{APP}.image", None), "Required value", AGAIN,
    ),
    "flux-kustomization": (
        changed(job("aa"), "metadata.labels", {f"{_FLUX}/name": "apps", f"{_FLUX}/namespace": SPACE}), "flux",
        lambda it: changed(it, f"{APP}.image", _OTHER), "", AGAIN,
    ),
    "flux-unforced": (
        changed(job("ab"), "metadata.labels", {f"{_FLUX}/name": "base", f"{_FLUX}/namespace": SPACE}), "flux",
        lambda it: changed(it, f"{APP}.image", _OTHER), "field is immutable", "kustomize-controller",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def told(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Manifest]]:
    """All before, each as it came there, then one dry run of all files."""
    emptied(plane, SPACE)
    plane.ask("POST", _CRDS, _KUSTOMIZATIONS)
    kubectl = Kubectl(plane, SPACE)
    kubectl.apply(*(before for before, how, *_ in CASES.values() if how.startswith("client")))
    kubectl.apply(*(before for before, how, *_ in CASES.values() if how.startswith("server")), server=True)
    for before, how, *_ in CASES.values():
        name = before["metadata"]["name"]
        if how.startswith("flux"):
            _by_flux(plane, before)
        if how.endswith("scale"):
            kubectl.done("scale", f"deployment/{name}", "--replicas=1")
        elif how in ("create", "replace", "helm"):
            _by_another(plane, before, {"create": "kubectl-create", "replace": "kubectl-replace"}.get(how, how))
    for name, force in (("apps", True), ("base", False)):
        _kustomization(plane, name, force)
    objects = [change(before) for before, _, change, *_ in CASES.values()]
    generated = job("x")
    generated["metadata"] = {"generateName": "migrate-"}
    context = files(context_for(tmp_path_factory.mktemp("deployers"), SPACE, plane), *objects, generated)
    found = kubernetes_manifests.gather(SPACE, context, Deadline(60)).manifests
    whole = [each for each in found if not each.name.endswith("its pods")]
    yield dict(zip([*CASES, "generated"], whole, strict=True))
    plane.delete(f"{_CRDS}/kustomizations.{_FLUX}")


def _by_another(plane: ControlPlane, item: Object, manager: str) -> None:
    path = f"/api{'s/apps' if item['kind'] == 'Deployment' else ''}/v1/namespaces/{SPACE}/{item['kind'].lower()}s"
    status, said = plane.ask("POST", f"{path}?fieldManager={manager}", item)
    assert status == 201, said


def _by_flux(plane: ControlPlane, item: Object) -> None:
    """As kustomize-controller applies: server-side, taking over what others manage."""
    path = f"{path_of(item)}?fieldManager=kustomize-controller&force=true"
    status, said = plane.ask("PATCH", path, item, "application/apply-patch+yaml")
    assert status == 201, said


def _kustomization(plane: ControlPlane, name: str, force: bool) -> None:
    path = f"/apis/{_FLUX}/v1/namespaces/{SPACE}/kustomizations"
    item = {"apiVersion": f"{_FLUX}/v1", "kind": "Kustomization", "metadata": {"name": name}, "spec": {"force": force}}
    end = time.monotonic() + 120
    while plane.ask("POST", path, item)[0] not in (201, 409):
        assert time.monotonic() < end, "the definition does not come"
        time.sleep(0.1)


@pytest.mark.parametrize("name", CASES)
def test_as_it_will_be_applied(name: str, told: dict[str, Manifest]) -> None:
    *_, words, how = CASES[name]
    found = told[name]
    assert found.problem is None
    assert found.accepted == (not words), found.said
    assert words in found.said
    assert how in found.way


def test_what_flux_makes_anew_is_told(told: dict[str, Manifest]) -> None:
    """fluxcd/flux2#3032, rwlove/home-ops#13277: with `force` no immutable field stops it, and the Job runs again."""
    for name in ("flux-forced", "flux-kustomization"):
        (lost,) = told[name].lost
        assert lost.startswith("applying deletes and creates it again: "), lost
        assert "field is immutable" in lost


def test_an_object_without_a_name_is_created(told: dict[str, Manifest]) -> None:
    assert told["generated"].accepted, told["generated"].said
    assert told["generated"].way == "create"
