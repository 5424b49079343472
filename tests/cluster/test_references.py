"""What files refer to, in each direction that the API has: by kind, namespace and name, on the real control plane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.manifest_facts import manifest_facts
from suites.pre_deploy.test_configuration import test_everything_named_is_there as everything_is_there
from tests.cluster import shop
from tests.cluster.control_plane import ControlPlane, path_of
from tests.cluster.namespaces import context_for, emptied, files
from tests.judged import outcomes

Object = dict[str, Any]
SPACE, OTHER = "refs", "refs-other"
GATEWAY = "gateway.networking.k8s.io"
APPROVED = {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2997"}
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def definition(group: str, version: str, kind: str, plural: str, **notes: str) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": notes},
        "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                 "versions": [{"name": version, "served": True, "storage": True, "schema": schema}]},
    }  # fmt: skip


OPERATORS = (
    definition("external-secrets.io", "v1", "ExternalSecret", "externalsecrets"),
    definition(GATEWAY, "v1", "Gateway", "gateways", **APPROVED),
    definition(GATEWAY, "v1beta1", "ReferenceGrant", "referencegrants", **APPROVED),
)


def item(kind: str, name: str, version: str = "v1", space: str = SPACE, **more: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": space}, **more}


def pod(name: str = "web", labels: Object | None = None, **spec: Any) -> Object:
    made = item("Pod", name)
    made["metadata"]["labels"] = labels or {"app": "web"}
    app = {"name": "app", "image": "registry.test/web:1", "ports": [{"name": "http", "containerPort": 80}]}
    return {**made, "spec": {"containers": [{**app, **spec.pop("app", {})}], **spec}}


def service(port: Any = "http", protocol: str = "TCP", name: str = "web") -> Object:
    told = [{"name": "web", "port": 80, "targetPort": port, "protocol": protocol}]
    return item("Service", name, spec={"selector": {"app": "web"}, "ports": told})


def external(name: str, **spec: Any) -> Object:
    return item("ExternalSecret", name, "external-secrets.io/v1", spec=spec)


def uses(secret: str, key: str = "") -> Object:
    if not key:
        return pod(app={"envFrom": [{"secretRef": {"name": secret}}]})
    value = {"secretKeyRef": {"name": secret, "key": key}}
    return pod(app={"env": [{"name": "X", "valueFrom": value}]})


def volume(**source: Any) -> Object:
    return pod(volumes=[{"name": "v", **source}])


def ingress(secret: str = "tls", backend: tuple[str, Any] = ("web", 80), noted: Object | None = None) -> Object:
    port = {"number": backend[1]} if isinstance(backend[1], int) else {"name": backend[1]}
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend[0], "port": port}}}]
    made: Object = item("Ingress", "shop", "networking.k8s.io/v1",
                spec={"tls": [{"secretName": secret}], "rules": [{"http": {"paths": paths}}]})  # fmt: skip
    made["metadata"]["annotations"] = noted or {}
    return made


def binding(role: str, account: str, space: str = SPACE) -> Object:
    group = "rbac.authorization.k8s.io"
    return item("RoleBinding", "b", f"{group}/v1", roleRef={"apiGroup": group, "kind": "Role", "name": role},
                subjects=[{"kind": "ServiceAccount", "name": account, "namespace": space}])  # fmt: skip


def scaler(kind: str, name: str) -> Object:
    target = {"apiVersion": "apps/v1", "kind": kind, "name": name}
    return item("HorizontalPodAutoscaler", "h", "autoscaling/v2", spec={"scaleTargetRef": target, "maxReplicas": 3})


def route(to: str, port: int = 80, space: str = "", kind: str = "HTTPRoute", **parent: Any) -> Object:
    backend: Object = {"name": to, "port": port, **({"namespace": space} if space else {})}
    spec = {"rules": [{"backendRefs": [backend]}], **({"parentRefs": [parent]} if parent else {})}
    return item(kind, "r", f"{GATEWAY}/v1", spec=spec)


def grant(kind: str = "HTTPRoute", of: str = SPACE, to: str = "Service", **name: str) -> Object:
    who = {"group": GATEWAY, "kind": kind, "namespace": of}
    return item("ReferenceGrant", f"g-{kind}-{of}".lower(), f"{GATEWAY}/v1beta1", OTHER,
                spec={"from": [who], "to": [{"group": "", "kind": to, **name}]})  # fmt: skip


def gateway(name: str, lets_in: Object | None, space: str = OTHER, secret: Object | None = None) -> Object:
    listener: Object = {"name": "web", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [secret or {}]}}
    if lets_in is not None:
        listener["allowedRoutes"] = {"namespaces": lets_in}
    return item("Gateway", name, f"{GATEWAY}/v1", space, spec={"listeners": [listener]})


def attached(name: str, **more: Any) -> Object:
    return route("web", name=name, namespace=OTHER, **more)


def _meshed() -> Object:
    made = route("far", space=OTHER)
    made["spec"]["parentRefs"] = [{"group": "", "kind": "Service", "name": "far", "namespace": OTHER}]
    return made


def probed(port: str) -> Object:
    return pod(app={"readinessProbe": {"httpGet": {"port": port}}})


PAIR = {"tls.crt": "x", "tls.key": "x"}
LIVE = (
    item("Secret", "keys", stringData={"api": "x" * 20}), item("Secret", "tls", stringData=PAIR),
    item("ConfigMap", "settings", data={"a": "b"}), item("ServiceAccount", "shop"), service(),
    item("ConfigMap", "elsewhere", space=OTHER, data={"a": "b"}), item("ServiceAccount", "robot", space=OTHER),
    item("Service", "far", space=OTHER, spec={"ports": [{"port": 80}]}),
    item("Service", "partner", spec={"type": "ExternalName", "externalName": "api.test"}),
)  # fmt: skip
PULLED = item("Deployment", "pulled", "apps/v1", spec={
    "selector": {"matchLabels": {"app": "pulled"}}, "template": {"metadata": {"labels": {"app": "pulled"}}, "spec": {
        "imagePullSecrets": [{"name": "unused"}], "containers": [{"name": "a", "image": "registry.test/web:1"}]}},
})  # fmt: skip


def _by_section() -> Object:
    made = gateway("by-section", {"from": "All"})
    made["spec"]["listeners"].append({"name": "admin", "port": 80, "protocol": "HTTP"})
    return made


GATES = (
    gateway("open", {"from": "All"}), gateway("closed", None), gateway("others", {"from": "Selector", "selector": {
        "matchLabels": {"team": "others"}}}),
    gateway("chosen", {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": SPACE}}}),
    _by_section(), grant("GRPCRoute"), item("Secret", "cert", space=OTHER, stringData=PAIR),
)  # fmt: skip
FAILING = {**external("failing", target={"name": "never"}), "status": {"conditions": [
    {"type": "Ready", "status": "False", "message": "could not get secret data from provider"}]}}  # fmt: skip
SYNCING = {**external("syncing", target={"name": "soon"}), "status": {"conditions": [
    {"type": "Ready", "status": "True", "message": "secret synced"}]}}  # fmt: skip


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    import time

    shop.make(plane)
    for each in (SPACE, OTHER):
        emptied(plane, each)
    for kind in OPERATORS:
        assert plane.ask("POST", CRDS, kind)[0] in (201, 409)
    plane.apply(*LIVE, PULLED)
    for made in (FAILING, SYNCING, *GATES):
        end = time.monotonic() + 120
        while plane.ask("POST", path_of(made).rpartition("/")[0], made)[0] not in (201, 409):
            assert time.monotonic() < end
            time.sleep(0.2)
    while not plane.get(path_of(PULLED))["status"].get("readyReplicas"):
        assert time.monotonic() < end
        time.sleep(0.2)
    yield plane
    for definition_ in OPERATORS:
        plane.delete(f"{CRDS}/{definition_['metadata']['name']}")
    for each in (SPACE, OTHER):
        plane.delete(f"/api/v1/namespaces/{each}")


CASES: dict[str, tuple[list[Object], str, str]] = {
    "secret there": ([uses("keys", "api")], "passed", ""),
    "no such key": ([uses("keys", "other")], "failed", "it has no key other"),
    "of another namespace": ([pod(app={"envFrom": [{"configMapRef": {"name": "elsewhere"}}]})], "failed", "elsewhere"),
    "every namespace has it": ([volume(configMap={"name": "kube-root-ca.crt"})], "passed", ""),
    "an operator's, in files": ([uses("made"), external("made", data=[{"secretKey": "a"}])], "warned", "creates it"),
    "an operator's key": ([uses("made", "a"), external("made", data=[{"secretKey": "a"}])], "warned", "creates it"),
    "not its key": ([uses("made", "b"), external("made", data=[{"secretKey": "a"}])], "failed", "Secret made"),
    "by its target": ([uses("t"), external("made", target={"name": "t"}, dataFrom=[{}])], "warned", "creates it"),
    "merged into what is not there": ([uses("m"), external("m", target={"creationPolicy": "Merge"})], "failed", "m"),
    "an operator that fails": ([uses("never")], "failed", "could not get secret data from provider"),
    "an operator at work": ([uses("soon")], "warned", "ExternalSecret syncing creates it"),
    "sealed": ([uses("s", "a"), item("SealedSecret", "s", "bitnami.com/v1alpha1", spec={"encryptedData": {"a": "x"}})],
               "warned", "SealedSecret s"),
    "a certificate": ([ingress("cert"), item("Certificate", "c", "cert-manager.io/v1", spec={"secretName": "cert"})],
                      "warned", "Certificate c creates it"),
    "a certificate by annotation": ([ingress("cert", noted={"cert-manager.io/cluster-issuer": "le"})], "passed", ""),
    "no TLS secret": ([ingress("absent")], "failed", "Secret absent"),
    "TLS and back end": ([ingress()], "passed", ""),
    "back end without that port": ([ingress(backend=("web", 81))], "failed", "it has no port 81"),
    "back end by name of port": ([ingress(backend=("web", "web"))], "passed", ""),
    "no back end": ([ingress(backend=("absent", 80))], "failed", "Service absent"),
    "back end in the files": ([ingress(backend=("new", 80)), service(name="new"), pod()], "passed", ""),
    "back end outside": ([ingress(backend=("partner", 443))], "passed", ""),
    "an action": ([ingress(backend=("go", "use-annotation"), noted={"alb.ingress.kubernetes.io/actions.go": "{}"})],
                  "passed", ""),
    "basic auth": ([ingress(noted={"nginx.ingress.kubernetes.io/auth-secret": "users"})], "failed", "Secret users"),
    "no role": ([binding("absent", "shop")], "failed", "Role absent"),
    "role in the files": ([binding("r", "shop"), item("Role", "r", "rbac.authorization.k8s.io/v1")], "passed", ""),
    "no subject": ([binding("r", "shpo"), item("Role", "r", "rbac.authorization.k8s.io/v1")], "failed", "shpo"),
    "subject elsewhere": ([binding("r", "robot", OTHER), item("Role", "r", "rbac.authorization.k8s.io/v1")],
                          "passed", ""),
    "scales nothing": ([scaler("Deployment", "absent")], "failed", "Deployment absent"),
    "scales what it knows not": ([scaler("Rollout", "absent")], "passed", ""),
    "a route": ([route("web")], "passed", ""),
    "a route to nothing": ([route("absent")], "failed", "Service absent"),
    "a route elsewhere": ([route("far", space=OTHER), grant()], "passed", ""),
    "no grant": ([route("far", space=OTHER)], "failed", "no ReferenceGrant in refs-other allows HTTPRoutes of refs"),
    "another kind's grant": ([route("far", space=OTHER, kind="TLSRoute"), grant()],
                             "failed", "allows TLSRoutes of refs"),
    "another namespace's grant": ([route("far", space=OTHER), grant(of="elsewhere")], "failed", "no ReferenceGrant"),
    "grant of another service": ([route("far", space=OTHER), grant(name="near")], "failed", "no ReferenceGrant"),
    "grant of this service": ([route("far", space=OTHER), grant(name="far")], "passed", ""),
    "a live grant": ([route("far", space=OTHER, kind="GRPCRoute")], "passed", ""),
    "a mesh": ([_meshed()], "passed", ""),
    "a certificate elsewhere": ([gateway("own", None, SPACE, {"name": "cert", "namespace": OTHER})],
                                "failed", "allows Gateways of refs to refer to it"),
    "a certificate that may be used": ([gateway("own", None, SPACE, {"name": "cert", "namespace": OTHER}),
                                        grant("Gateway", to="Secret")], "passed", ""),
    "a gateway for all": ([attached("open")], "passed", ""),
    "a gateway for its own": ([attached("closed")], "failed", "none of its listeners allows routes of refs"),
    "a gateway by labels": ([attached("chosen")], "passed", ""),
    "a gateway for others": ([attached("others")], "failed", "allowedRoutes"),
    "the open one of two listeners": ([attached("by-section", sectionName="web")], "passed", ""),
    "the closed one of two listeners": ([attached("by-section", sectionName="admin")], "failed", "allowedRoutes"),
    "no such listener": ([attached("open", sectionName="admin")], "failed", "it has no such listener"),
    "a route's port": ([route("web", 8080)], "failed", "it has no port 8080"),
    "projected": ([volume(projected={"sources": [{"secret": {"name": "absent"}}]})], "failed", "Secret absent"),
    "projected, optional": ([volume(projected={"sources": [{"secret": {"name": "absent", "optional": True}}]})],
                            "passed", ""),
    "CSI": ([volume(csi={"driver": "d", "nodePublishSecretRef": {"name": "absent"}})], "failed", "Secret absent"),
    "old volumes": ([volume(cephfs={"monitors": ["m"], "secretRef": {"name": "absent"}})], "failed", "Secret absent"),
    "old account field": ([pod(serviceAccount="absent")], "failed", "ServiceAccount absent"),
    "account's pull secret": ([item("ServiceAccount", "a", imagePullSecrets=[{"name": "absent"}])], "failed", "absent"),
    "a pull secret": ([pod(imagePullSecrets=[{"name": "absent"}])], "failed", "Secret absent"),
    "a pull secret that nobody asks for": ([pod(imagePullSecrets=[{"name": "unused"}])], "warned", "Secret unused"),
    "RabbitMQ's user": ([uses("mq-default-user", "password"), item("RabbitmqCluster", "mq", "rabbitmq.com/v1beta1")],
                        "warned", "RabbitmqCluster mq creates it"),
    "claim": ([volume(persistentVolumeClaim={"claimName": "absent"})], "failed", "PersistentVolumeClaim absent"),
    "port of a bare pod": ([service("http", name="s"), pod()], "passed", ""),
    "no port of a bare pod": ([service("grpc", name="s"), pod()], "failed", "no container of its pods has a TCP port"),
    "port by another protocol": ([service("http", "UDP", "s"), pod()], "failed", "a UDP port"),
    "port of a sidecar": ([service("side", name="s"), pod(initContainers=[
        {"name": "i", "image": "registry.test/s:1", "restartPolicy": "Always",
         "ports": [{"name": "side", "containerPort": 9}]}])], "passed", ""),
    "port of what runs before": ([service("side", name="s"), pod(initContainers=[
        {"name": "i", "image": "registry.test/s:1", "ports": [{"name": "side", "containerPort": 9}]}])],
        "failed", "port side"),
    "port of a probe": ([probed("http")], "passed", ""),
    "no port of a probe": ([probed("htpt")], "failed", "port htpt"),
    "governing service": ([item("StatefulSet", "s", "apps/v1", spec={"serviceName": "absent"})], "warned", "absent"),
    "Knative's Service": ([route("kn"), item("Service", "kn", "serving.knative.dev/v1")], "failed", "Service kn"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_reference(name: str, space: ControlPlane, tmp_path: Path) -> None:
    objects, outcome, words = CASES[name]
    context = files(context_for(tmp_path, SPACE, space, reach=("namespace", "secrets")), *objects)
    said = outcomes(everything_is_there, manifest_facts.gather("c", context, Deadline(20)))
    context.close()
    assert (said.partition(":")[0], words in said) == (outcome, True), said


def test_kinds_that_are_out_of_reach_are_not_judged(space: ControlPlane, tmp_path: Path) -> None:
    context = files(context_for(tmp_path, SPACE, space), uses("absent"), route("web"))
    found = manifest_facts.gather("c", context, Deadline(20))
    context.close()
    assert found.unread == ("Secret",)
    assert outcomes(everything_is_there, found) == "passed"
