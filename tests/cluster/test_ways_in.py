"""Ingresses and services as the endpoint slices of a real control plane have them; redirects and the like need none."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.ingresses import kubernetes_ingress
from pytest_prodcheck.records.kubernetes import KubernetesIngress
from suites.pre_deploy.test_kubernetes import test_traffic_gets_in as traffic_gets_in
from tests.cluster import shop
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import context_for, emptied
from tests.judged import outcomes

Object = dict[str, Any]
SPACE = "ways-in"
META = {"namespace": SPACE}
ALB = "alb.ingress.kubernetes.io/actions."
REDIRECT = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}


def forward(*services: str) -> Object:
    return {"type": "forward", "forwardConfig": {"targetGroups": [{"serviceName": each, "servicePort": 80}
                                                                  for each in services]}}  # fmt: skip


def workload(name: str, replicas: int = 1, port: str = "http") -> Object:
    labels = {"app": name}
    app = {"name": "app", "image": "registry.test/web:1", "ports": [{"name": port, "containerPort": 8080}]}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, **META},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [app]}}},
    }  # fmt: skip


def service(name: str, app: str = "web", ports: tuple[Any, ...] = ("http",), **more: Any) -> Object:
    told = [{"name": f"to-{each}", "port": 80 + at, "targetPort": each} for at, each in enumerate(ports)]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, **META},
            "spec": {"selector": {"app": app}, "ports": told, **more}}  # fmt: skip


def ingress(
    name: str, *backends: tuple[str, int | str], labels: Object | None = None, noted: Object | None = None
) -> Object:
    paths = [
        {"path": f"/{at}", "pathType": "Prefix", "backend": {"service": {
            "name": of, "port": {"number": port} if isinstance(port, int) else {"name": port}}}}
        for at, (of, port) in enumerate(backends)
    ]  # fmt: skip
    told = {key: each if isinstance(each, str) else json.dumps(each) for key, each in (noted or {}).items()}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "annotations": told, "labels": labels or {}, **META},
            "spec": {"rules": [{"http": {"paths": paths}}]}}  # fmt: skip


def pod(name: str) -> Object:
    """A pod that no node takes, so that nobody but the test says how it is."""
    app = {"name": "app", "image": "registry.test/web:1", "ports": [{"name": "http", "containerPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}, **META},
            "spec": {"schedulerName": "nobody", "containers": [app]}}  # fmt: skip


OBJECTS = (
    workload("web", 2), workload("renamed", port="web"), workload("report", 0), pod("starting"), pod("done"),
    service("web"), service("renamed", "renamed"), service("report", "report"),
    service("several", ports=("http", "grpc")),
    service("numbered", ports=(8080,)), service("peers", ports=(), clusterIP="None"),
    service("discovery", ports=("grpc",), clusterIP="None"), service("nobody", "nobody"),
    service("starting", "starting", publishNotReadyAddresses=True), service("done", "done"),
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "partner", **META},
     "spec": {"type": "ExternalName", "externalName": "api.partner.test"}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "by-hand", **META},
     "spec": {"ports": [{"name": "to-http", "port": 80}]}},
    {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
     "metadata": {"name": "by-hand", "labels": {"kubernetes.io/service-name": "by-hand"}, **META},
     "endpoints": [{"addresses": ["10.9.9.9"]}], "ports": [{"name": "to-http", "port": 8080, "protocol": "TCP"}]},
    ingress("plain", ("web", 80), ("web", "to-http"), ("web", 81), ("absent", 80), ("renamed", 80), ("report", 80),
            ("several", "to-http"), ("several", "to-grpc"), ("starting", 80), ("by-hand", 80)),
    ingress("external", ("partner", 443)),
    ingress("alb", ("to-https", "use-annotation"), ("some", "use-annotation"), ("gone", "use-annotation"),
            noted={f"{ALB}to-https": REDIRECT, f"{ALB}some": forward("web", "absent-group")}),
    ingress("moved", ("dummy", 80), noted={"nginx.ingress.kubernetes.io/permanent-redirect": "https://shop.test"}),
    ingress("cm-acme-http-solver-x", ("cm-acme-x", 8089), labels={"acme.cert-manager.io/http01-solver": "true"}),
)  # fmt: skip
STATES = {
    "starting": {"phase": "Running", "podIP": "10.8.0.1", "podIPs": [{"ip": "10.8.0.1"}],
                 "conditions": [{"type": "Ready", "status": "False"}]},
    "done": {"phase": "Succeeded"},
}  # fmt: skip
EXPECTED = {"web": 2, "renamed": 1, "several": 2, "numbered": 2, "peers": 2, "discovery": 2, "starting": 1}


@pytest.fixture(scope="module")
def found(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesIngress]:
    shop.make(plane)
    emptied(plane, SPACE)
    plane.apply(*OBJECTS)
    for name, status in STATES.items():
        plane.patch(f"/api/v1/namespaces/{SPACE}/pods/{name}/status", {"status": status})
    end = time.monotonic() + 180
    while (seen := addresses(plane)) != EXPECTED:
        assert time.monotonic() < end, (seen, states(plane))
        time.sleep(0.2)
    context = context_for(tmp_path_factory.mktemp("ways"), SPACE, plane)
    yield kubernetes_ingress.gather("c", context, Deadline(20))
    context.close()
    plane.delete(f"/api/v1/namespaces/{SPACE}")


def addresses(plane: ControlPlane) -> dict[str, int]:
    """Service -> endpoints that its slices list, ready or not."""
    listed = Counter[str]()
    for each in plane.get(f"/apis/discovery.k8s.io/v1/namespaces/{SPACE}/endpointslices")["items"]:
        listed[each["metadata"]["labels"]["kubernetes.io/service-name"]] += len(each.get("endpoints") or ())
    return {name: listed[name] for name in EXPECTED}


def states(plane: ControlPlane) -> list[tuple[str, Object]]:
    pods = plane.get(f"/api/v1/namespaces/{SPACE}/pods")["items"]
    return [(each["metadata"]["name"], each["status"]) for each in pods]


def test_services(found: KubernetesIngress) -> None:
    """kubernetes/ingress-nginx#9141, linkerd/linkerd2#5912, argoproj/argo-cd#5424: ports to nowhere; asleep."""
    assert dict(found.services) == {
        "web": 2, "renamed": 0, "several, port to-http": 2, "several, port to-grpc": 0, "numbered": 2, "peers": 2,
        "discovery": 2, "nobody": 0, "starting": 0,
    }  # fmt: skip
    assert set(found.asleep) == {"report", "done"}


def test_ingresses(found: KubernetesIngress) -> None:
    """stackrox/kube-linter#410, jcmoraisjr/haproxy-ingress#938, kubernetes/ingress-nginx#1605."""
    assert {each.name: dict(each.backends) for each in found.ingresses} == {
        "plain": {
            "web:80": 2, "web:to-http": 2, "web:81": -1, "absent:80": -1, "renamed:80": 0, "report:80": 0,
            "several:to-http": 2, "several:to-grpc": 0, "starting:80": 0, "by-hand:80": 1,
        },
        "external": {"partner:443": 1},
        "alb": {"web:80": 2, "absent-group:80": -1, "gone:use-annotation": -1},
        "moved": {},
    }  # fmt: skip


def test_what_is_asleep_is_no_failure(found: KubernetesIngress) -> None:
    quiet = KubernetesIngress((), (("web", 2),), found.asleep)
    assert outcomes(traffic_gets_in, quiet) == "passed"
    assert outcomes(traffic_gets_in, KubernetesIngress((), (), ("report",))) == "passed"
    assert outcomes(traffic_gets_in, KubernetesIngress((), (), ())).startswith("failed")
