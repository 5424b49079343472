"""Reports of files that the server takes, and whose pods it then refuses: quotas of the same files, names, types."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_prodcheck.demo.runtime.certificate_kinds import DAY, CertificateRequest, issue
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.dry_run import kubernetes_manifests
from pytest_prodcheck.evidence.kubernetes.manifest_facts import manifest_facts
from pytest_prodcheck.evidence.kubernetes.quotas import kubernetes_quota
from suites.pre_deploy.test_configuration import test_everything_named_is_there as everything_is_there
from suites.pre_deploy.test_kubernetes import test_quotas_leave_room as quotas_leave_room
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import context_for, emptied, files
from tests.judged import outcomes

Object = dict[str, Any]
SPACE = "field-same-set"
LONG = "argocd-sharding-algorithm-test-application-controller-of-us"  # 59 characters


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    emptied(plane, SPACE)
    yield plane
    plane.delete(f"/api/v1/namespaces/{SPACE}")


def item(kind: str, name: str, version: str = "v1", **more: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": SPACE}, **more}


def workload(name: str = "web", kind: str = "Deployment", **resources: Any) -> Object:
    labels = {"app": "web"}
    app = {"name": "app", "image": "registry.test/web:1", "resources": resources}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [app]}}
    told: Object = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return item(kind, name, "apps/v1", spec=told | ({"serviceName": "none"} if kind == "StatefulSet" else {}))


@pytest.mark.parametrize(
    ("comes", "amount", "said"),
    [
        (item("ResourceQuota", "room", spec={"hard": {"requests.cpu": "3"}}), "2", "needs 4 more, the quota is 3"),
        (item("ResourceQuota", "room", spec={"hard": {"requests.cpu": "9"}}), "2", ""),
        (item("LimitRange", "small", spec={"limits": [{"type": "Container", "max": {"cpu": "1"}}]}), "2",
         "container app: asks for 2 cpu, small allows 1 a container"),
        (item("LimitRange", "small", spec={"limits": [{"type": "Container", "max": {"cpu": "2"}}]}), "2", ""),
    ],
    ids=["quota", "large-quota", "range", "large-range"],
)  # fmt: skip
def test_quotas_of_the_same_files(
    comes: Object, amount: str, said: str, space: ControlPlane, tmp_path: Path
) -> None:
    """helm/helm#9272, #3538: the release is deployed, its quota or limit range is as well, and no pod is made.

    What then happens is shown by the real control plane.
    """
    wanted = workload(requests={"cpu": amount}, limits={"cpu": amount})
    context = files(context_for(tmp_path, SPACE, space), comes, wanted)
    found = kubernetes_quota.gather(SPACE, context, Deadline(20))
    told = outcomes(quotas_leave_room, found)
    assert told.startswith("failed: ") if said else told == "passed"
    assert said in told
    emptied(space, SPACE)
    space.apply(comes)
    counted = f"/api/v1/namespaces/{SPACE}/resourcequotas/room"
    end = time.monotonic() + 60
    while comes["kind"] == "ResourceQuota" and "used" not in space.get(counted).get("status", {}):
        assert time.monotonic() < end
        time.sleep(0.1)
    space.apply(wanted)
    while True:
        made = space.get(f"/api/v1/namespaces/{SPACE}/pods")["items"]
        events = space.get(f"/api/v1/namespaces/{SPACE}/events")["items"]
        refused = any(each["reason"] == "FailedCreate" for each in events)
        if refused or len(made) == 2:
            break
        assert time.monotonic() < end, (made, events)
        time.sleep(0.1)
    assert refused == bool(said)
    emptied(space, SPACE)


@pytest.mark.parametrize(("name", "good"), [(LONG, False), (LONG[:52], True)])
def test_a_stateful_set_with_a_long_name(name: str, good: bool, space: ControlPlane, tmp_path: Path) -> None:
    """kubernetes/kubernetes#64023, argoproj-labs/argocd-operator#2181: no pod can be made, its labels are too long."""
    context = files(context_for(tmp_path, SPACE, space), workload(name, "StatefulSet"))
    found = kubernetes_manifests.gather(SPACE, context, Deadline(20)).manifests
    refused = [(each.name.rpartition(": ")[2], each.said) for each in found if not each.accepted]
    if good:
        assert refused == []
        return
    ((what, said),) = refused
    assert what == "its pods"
    assert "must be no more than 63 " in said


@pytest.mark.parametrize("value", ["y", "N", "on"])
def test_a_truth_where_a_text_belongs(value: str, space: ControlPlane, tmp_path: Path) -> None:
    """oxheadalpha/tezos-k8s#452, helm/helm#2782: `value: y` without quotes is true for kubectl, and refused."""
    text = yaml.safe_dump(workload()).replace("- image:", f"- env: [{{name: A, value: {value}}}]\n        image:", 1)
    context = files(context_for(tmp_path, SPACE, space), text)
    (found,) = kubernetes_manifests.gather(SPACE, context, Deadline(20)).manifests
    assert not found.accepted
    assert "bool" in found.said
    quoted = text.replace(f"value: {value}", f"value: '{value}'")
    context = files(context_for(tmp_path, SPACE, space), quoted)
    assert all(each.accepted for each in kubernetes_manifests.gather(SPACE, context, Deadline(20)).manifests)


@pytest.mark.parametrize(("label", "outcome"), [("web", "passed"), ("wbe", "warned: ")])
def test_a_service_that_selects_nothing(label: str, outcome: str, space: ControlPlane, tmp_path: Path) -> None:
    """restatedev/restate#3905, helm/charts#5455, vllm-project/vllm#37942: its endpoints will be empty."""
    service = item("Service", "web", spec={"selector": {"app": label}, "ports": [{"port": 80}]})
    context = files(context_for(tmp_path, SPACE, space), service, workload())
    told = outcomes(everything_is_there, manifest_facts.gather(SPACE, context, Deadline(20)))
    assert told.startswith(outcome), told
    assert outcome == "passed" or "no pod in the files or the namespace has the labels app=wbe" in told


@pytest.mark.parametrize(("keys", "good"), [(("tls.crt", "tls.key"), True), (("cert.pem", "key.pem"), False)])
def test_a_secret_without_the_pair(keys: tuple[str, str], good: bool, space: ControlPlane, tmp_path: Path) -> None:
    """kubernetes/ingress-nginx#10216, #3834: the secret is there, and visitors get the controller's own certificate."""
    secret = item("Secret", "certificate", stringData=dict.fromkeys(keys, "x"))
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    ingress = item("Ingress", "web", "networking.k8s.io/v1",
                   spec={"tls": [{"secretName": "certificate"}], "defaultBackend": backend})  # fmt: skip
    service = item("Service", "web", spec={"ports": [{"port": 80}]})
    reach = ("namespace", "secrets")
    context = files(context_for(tmp_path, SPACE, space, reach=reach), secret, ingress, service)
    told = outcomes(everything_is_there, manifest_facts.gather(SPACE, context, Deadline(20)))
    assert told == "passed" if good else told.startswith("failed: ") and "it has no key tls.crt" in told


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("issued", "key_of", "said"),
    [
        (CertificateRequest(age=90 * DAY, left=-2 * DAY), "", "its certificate ended 2.0 days ago"),
        (CertificateRequest(), "another", "its tls.key is not the key of the certificate in tls.crt"),
        (CertificateRequest(age=-DAY), "", "its certificate is not valid yet"),
        (CertificateRequest(), "", ""),
    ],
    ids=["ended", "other-key", "to-come", "good"],
)
def test_certificates_in_secrets(
    issued: CertificateRequest, key_of: str, said: str, live: bool, space: ControlPlane, tmp_path: Path
) -> None:
    """kubernetes/ingress-nginx#851, #8414, #4680; RFC 5280, 4.1.2.5: the Secret is there, and browsers refuse it."""
    pair = issue(issued, None)
    key = issue(CertificateRequest(), None).pem() if key_of else pair.pem()
    key = key[: key.index(b"-----BEGIN CERTIFICATE")]
    whole = pair.pem()
    values = {"tls.crt": whole[whole.index(b"-----BEGIN CERTIFICATE") :].decode(), "tls.key": key.decode()}
    secret = item("Secret", "pair", type="kubernetes.io/tls", stringData=values)
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    ingress = item("Ingress", "web", "networking.k8s.io/v1",
                   spec={"tls": [{"secretName": "pair"}], "defaultBackend": backend})  # fmt: skip
    objects = [item("Service", "web", spec={"ports": [{"port": 80}]}), ingress]
    if live:
        space.apply(secret)
    context = context_for(tmp_path, SPACE, space, reach=("namespace", "secrets"))
    found = outcomes(everything_is_there, manifest_facts.gather(
        SPACE, files(context, *objects, *(() if live else (secret,))), Deadline(20)))  # fmt: skip
    assert found.startswith("failed: ") and said in found if said else found == "passed"
    assert "BEGIN" not in found
