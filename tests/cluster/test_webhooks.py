"""Dry runs and admission webhooks: what one refuses is refused, one that cannot be asked is told as that."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.dry_run import kubernetes_manifests
from pytest_prodcheck.evidence.kubernetes.dry_run_answers import with_answer as answered
from pytest_prodcheck.records.kubernetes import Manifest
from tests.cluster import shop
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import context_for, emptied, files
from tests.cluster.webhooks import Webhook, webhook

Object = dict[str, Any]
SPACE, NAME = "webhooks", "policy.shop.test"
PATH = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{NAME}"
ASKED = Manifest("a.yaml: ConfigMap a", "v1", "ConfigMap", served=True, accepted=False)


@pytest.fixture(scope="module")
def hook(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    emptied(plane, SPACE)
    with webhook(tmp_path_factory.mktemp("webhook")) as server:
        told = server.configuration(NAME, SPACE, "configmaps", "pods")
        assert plane.ask("POST", PATH.rpartition("/")[0], told)[0] == 201
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": SPACE}}
        end = time.monotonic() + 120
        while not server.asked:  # until the API server has noticed
            assert time.monotonic() < end
            plane.ask("POST", f"/api/v1/namespaces/{SPACE}/configmaps?dryRun=All", probe)
            time.sleep(0.1)
        yield server
        plane.delete(PATH)


def manifests_of_files(plane: ControlPlane, folder: Path) -> list[Manifest]:
    """A ConfigMap, a Deployment and its pods."""
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}
    web = shop.workload("Deployment", "web")
    del web["metadata"]["namespace"]
    context = files(context_for(folder, SPACE, plane), settings, web)
    return list(kubernetes_manifests.gather(SPACE, context, Deadline(30)).manifests)


def test_one_that_takes_them(hook: Webhook, plane: ControlPlane, tmp_path: Path) -> None:
    hook.verdict = None
    hook.asked.clear()
    assert [each.accepted for each in manifests_of_files(plane, tmp_path)] == [True, True, True]
    assert {each["kind"]["kind"] for each in hook.asked} == {"ConfigMap", "Pod"}
    assert all(each["dryRun"] for each in hook.asked)


@pytest.mark.parametrize("code", [403, 429, 500])
def test_one_that_refuses(code: int, hook: Webhook, plane: ControlPlane, tmp_path: Path) -> None:
    """With whatever status it likes."""
    hook.verdict = {"code": code, "message": "no owner is named"}
    settings, web, pods = manifests_of_files(plane, tmp_path)
    assert web.accepted
    for each in (settings, pods):
        assert (each.accepted, each.problem) == (False, None)
        assert each.said == f'admission webhook "{NAME}" denied the request: no owner is named'


def test_one_that_is_down(hook: Webhook, plane: ControlPlane, tmp_path: Path) -> None:
    gone = hook.configuration(NAME, SPACE, "configmaps", "pods")
    gone["webhooks"][0]["clientConfig"]["url"] = "https://127.0.0.1:9/"
    there = {"webhooks": gone["webhooks"]}
    plane.patch(PATH, there)
    end = time.monotonic() + 120
    while (found := manifests_of_files(plane, tmp_path))[0].problem is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    there["webhooks"] = hook.configuration(NAME, SPACE, "configmaps", "pods")["webhooks"]
    plane.patch(PATH, there)
    for each in (found[0], found[2]):
        assert each.problem is not None
        assert f"the webhook {NAME} does not answer" in each.problem.message


@pytest.mark.parametrize(
    ("status", "message", "kind", "words"),
    [
        (400, 'admission webhook "w.test" does not support dry run', "protocol", "w.test does not support dry runs"),
        (403, 'configmaps "a" is forbidden: User "x" cannot patch resource', "denied", "cannot patch"),
        (403, 'roles "a" is forbidden: user "x" (groups=[]) is attempting to grant RBAC permissions not currently held',
         "denied", "attempting to grant"),
        (401, "Unauthorized", "protocol", "Unauthorized"),
        (429, "storage is (re)initializing", "protocol", "429"),
        (504, "request did not complete within the allowed duration", "protocol", "504"),
        (403, 'pods "a" is forbidden: exceeded quota: q', "", ""), (422, "is invalid", "", ""),
        (409, "Apply failed with 1 conflict", "", ""), (404, 'namespaces "x" not found', "", ""),
        (500, "failed to create typed patch object (x/y; v1, Kind=ConfigMap): .dato: field not declared", "", ""),
    ],
)  # fmt: skip
def test_answers(status: int, message: str, kind: str, words: str) -> None:
    """The API server's own wording (1.36), where a current one cannot be brought to say it too."""
    found = answered(ASKED, (status, json.dumps({"kind": "Status", "message": message}).encode(), ""), "patch")
    assert not found.accepted
    assert (found.problem.kind if found.problem else "") == kind
    assert words in (found.problem.message if found.problem else "")
