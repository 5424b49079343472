"""Reports of files whose every object the server takes, while a name in them leads nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.runtime.certificate_kinds import CertificateRequest, issue
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.image_names import image_fault
from pytest_prodcheck.evidence.kubernetes.manifest_facts import manifest_facts
from suites.pre_deploy.test_configuration import test_everything_named_is_there as everything_is_there
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import context_for, emptied, files
from tests.judged import outcomes

Object = dict[str, Any]
SPACE = "field-names"
APP = {"name": "app", "image": "registry.test/web:1"}
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    emptied(plane, SPACE)
    yield plane
    plane.delete(f"/api/v1/namespaces/{SPACE}")


def item(kind: str, name: str, version: str = "v1", **more: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": SPACE}, **more}


@pytest.fixture
def told(space: ControlPlane, tmp_path: Path) -> Any:
    def judged(*objects: Object) -> str:
        context = files(context_for(tmp_path, SPACE, space, reach=("namespace", "secrets")), *objects)
        return outcomes(everything_is_there, manifest_facts.gather(SPACE, context, Deadline(20)))

    return judged


@pytest.mark.parametrize(("image", "said"), [
    ("registry.test/web:1", ""), ("localhost/web:1", ""), ("[::1]:5000/web:1", ""), (f"web:latest@{DIGEST}", ""),
    ("MyOrg/web:1", ""), ("a_b.c/web:1", ""), ("registry.test:5000/a__b/web--x:1", ""),
    ("ghcr.io/MyOrg/web:1", "the repository must be in lower case"),
    ("registry.test/web:1.2.3+build.7", "'1.2.3+build.7' is no tag"), ("registry.test/web:", "'' is no tag"),
    ("registry.test/web:${TAG}", "'${TAG}' is no tag"), ("registry.test/{{ .Values.image }}:1", "is no repository"),
    ("https://ghcr.io/org/web:1", "https: is no registry"), ("registry..test/web:1", "registry..test is no registry"),
    ("registry.test/web@sha256:abc", "'sha256:abc' is no digest"), ("registry.test//web:1", "is no repository"),
    ("a" * 64, "is no repository"), (f"registry.test/web:{'x' * 129}", "is no tag"),
    ("registry.test:5000/web", "neither a tag nor a digest"), ("web:latest", "the tag latest"),
])  # fmt: skip
def test_images_as_runtimes_read_them(image: str, said: str) -> None:
    """CodeForPhilly/chime#371, renku#281, kubefirst#771: the API server takes each, the kubelet says InvalidImageName.

    60,000 generated names were compared with github.com/distribution/reference 0.6.0, which the kubelet uses.
    """
    found = image_fault(image)
    assert said in found if said else found == ""


def pod(mount: Object, **volume: Any) -> Object:
    mounts = [{"name": "files", "mountPath": "/x", **mount}]
    volumes = [{"name": "files", **volume}]
    return item("Pod", "web", spec={"containers": [{**APP, "volumeMounts": mounts}], "volumes": volumes})


@pytest.mark.parametrize(("path", "more", "said"), [
    ("config.yaml", {}, "it has no key config.yaml"), ("config.yml", {}, ""), ("./config.yml", {}, ""),
    ("etc/a.yml", {"items": [{"key": "config.yml", "path": "etc/a.yml"}]}, ""),
    ("etc", {"items": [{"key": "config.yml", "path": "etc/a.yml"}]}, ""),
    ("config.yml", {"items": [{"key": "config.yml", "path": "a.yml"}]}, "the items of its ConfigMap volume have no"),
    ("config.yaml", {"optional": True}, ""),
])  # fmt: skip
def test_a_file_that_is_mounted_by_itself(path: str, more: Object, said: str, told: Any) -> None:
    """kubernetes/kubernetes#126186, #62156, onedr0p/home-ops#4951: the kubelet makes an empty directory of it."""
    settings = item("ConfigMap", "settings", data={"config.yml": "x"})
    found = told(settings, pod({"subPath": path}, configMap={"name": "settings", **more}))
    assert said in found if said else found == "passed"


@pytest.mark.parametrize(("names", "host", "said"), [
    (("shop.test",), "shop.test", ""), (("*.shop.test",), "a.shop.test", ""), (("*.shop.test",), "*.shop.test", ""),
    (("*.shop.test",), "a.b.shop.test", "for DNS:*.shop.test, not for a.b.shop.test"),
    (("*.shop.test",), "shop.test", "not for shop.test"), (("old.test",), "SHOP.test", "not for SHOP.test"),
    (("old.test",), "", ""),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["Ingress", "Gateway"])
def test_the_names_of_a_certificate(kind: str, names: tuple[str, ...], host: str, said: str, told: Any) -> None:
    """kubernetes/ingress-nginx#6905, #1873, #195; RFC 9525, 6.3: browsers refuse it, or get the controller's own."""
    pair = issue(CertificateRequest(names), None).pem().decode()
    cut = pair.index("-----BEGIN CERTIFICATE")
    secret = item("Secret", "pair", type="kubernetes.io/tls", stringData={"tls.crt": pair[cut:], "tls.key": pair[:cut]})
    if kind == "Ingress":
        tls = {"secretName": "pair"} | ({"hosts": [host]} if host else {})
        way = item(kind, "web", "networking.k8s.io/v1", spec={"tls": [tls]})
    else:
        listener = {"tls": {"certificateRefs": [{"name": "pair"}]}} | ({"hostname": host} if host else {})
        way = item(kind, "web", "gateway.networking.k8s.io/v1", spec={"listeners": [listener]})
    found = told(secret, way)
    assert said in found if said else "its certificate" not in found
    assert "BEGIN" not in found


@pytest.mark.parametrize(("version", "said"), [
    ("apps/v1", ""), ("apps/v1beta1", ""), ("extensions/v1beta1", "its apiVersion is extensions/v1beta1"),
    ("v1", "its apiVersion is v1"), (None, "its apiVersion is missing"),
])  # fmt: skip
def test_an_autoscaler_that_looks_in_another_group(version: str | None, said: str, told: Any) -> None:
    """metrics-server#389, kubernetes/kubernetes#86032, mercari/tortoise#407: FailedGetScale, and nothing is scaled."""
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [APP]}}
    web = item("Deployment", "web", "apps/v1", spec={"selector": {"matchLabels": labels}, "template": template})
    target = {"kind": "Deployment", "name": "web"} | ({"apiVersion": version} if version else {})
    scaler = item("HorizontalPodAutoscaler", "web", "autoscaling/v2", spec={"scaleTargetRef": target, "maxReplicas": 3})
    found = told(web, scaler)
    assert said in found if said else found == "passed"


DNS: Object = {"ports": [{"port": 53, "protocol": "UDP"}]}
DATABASE: Object = {"ports": [{"port": 5432}]}


def policy(name: str, selector: Object, *rules: Object, kinds: tuple[str, ...] = ("Egress",)) -> Object:
    return item("NetworkPolicy", name, "networking.k8s.io/v1",
                spec={"podSelector": selector, "policyTypes": list(kinds), "egress": list(rules)})  # fmt: skip


@pytest.mark.parametrize(("policies", "warned"), [
    ((policy("deny", {}),), True), ((policy("own", {"matchLabels": {"app": "web"}}, DATABASE),), True),
    ((policy("other", {"matchLabels": {"app": "other"}}, DATABASE),), False),
    ((policy("own", {}, {"ports": [{"port": 53}]}),), True),  # by TCP alone
    ((policy("own", {}, DATABASE, DNS),), False), ((policy("all", {}, {}),), False),
    ((policy("own", {}, {"ports": [{"port": 1, "endPort": 65535, "protocol": "UDP"}]}),), False),
    ((policy("deny", {}), policy("dns", {}, DNS)), False),
    ((policy("deny", {}), policy("dns", {"matchLabels": {"app": "other"}}, DNS)), True),
    ((policy("in", {}, kinds=("Ingress",)),), False),
], ids=["deny", "own", "other", "tcp", "dns", "all", "range", "two", "two-others", "ingress"])  # fmt: skip
def test_pods_that_may_not_ask_dns(policies: tuple[Object, ...], warned: bool, told: Any) -> None:
    """kubernetes/website#54997, #38267, killer-sh/cks-course-environment#2: pods find nobody by name."""
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [APP]}}
    web = item("Deployment", "web", "apps/v1", spec={"selector": {"matchLabels": labels}, "template": template})
    found = told(web, *policies)
    assert found.startswith("warned: ") if warned else found == "passed"
    assert ("may not ask DNS" in found) is warned
