"""The dry run of what Helm 3 installed against Helm itself: it refuses what `helm upgrade` then fails on, and no more.

`helm upgrade --dry-run=server` renders and sends no object: it takes what the server refuses. So the upgrade is done.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.dry_run import kubernetes_manifests
from pytest_prodcheck.records.kubernetes import Manifest
from tests.cluster.build import folder
from tests.cluster.control_plane import ADMIN, ControlPlane, path_of
from tests.cluster.namespaces import context_for, emptied, files
from tests.cluster.test_deployers import APP, changed, service, web

Object = dict[str, Any]
SPACE = "helm"
_PORTS = [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]
_FIELD = {"name": "LEVEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
_CONFIG = {"name": "work", "configMap": {"name": "w"}}
# name: (what is installed, path, new value)
CASES: dict[str, tuple[Object, str, Any]] = {
    "value-from": (web("a"), f"{APP}.env.0", _FIELD), "volume": (web("b"), "spec.template.spec.volumes.0", _CONFIG),
    "probe": (web("c"), f"{APP}.readinessProbe", {"tcpSocket": {"port": "http"}}),
    "recreate": (web("d"), "spec.strategy", {"type": "Recreate"}),
    "service-port": (service("e"), "spec.ports.0.port", 8080),
    "nameless": (service("f", *_PORTS), "spec.ports", [{"port": 80}, {"port": 81}]),
    "selector": (web("g"), "spec.selector.matchLabels.app", "other"),
    "no-image": (web("h"), f"{APP}.image", None), "wrong-type": (web("i"), "spec.replicas", "two"),
}


def helm_words(plane: ControlPlane, *words: str) -> list[str]:
    config = plane.place / "helm.kubeconfig"
    if not config.exists():
        plane.kubeconfig("helm", ADMIN)
        document = json.loads(config.read_text())
        document["clusters"][0]["cluster"] = {"server": plane.url, "insecure-skip-tls-verify": True}
        config.write_text(json.dumps(document))
    return [f"{folder()}/helm", f"--kubeconfig={config}", f"--namespace={SPACE}", *words]


def helm(plane: ControlPlane, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(helm_words(plane, *words), capture_output=True, text=True, timeout=120, check=False,
                          cwd=plane.place)  # fmt: skip


def chart(place: Path, item: Object) -> str:
    (place / "templates").mkdir(parents=True, exist_ok=True)
    (place / "Chart.yaml").write_text(json.dumps({"apiVersion": "v2", "name": place.name, "version": "1.0.0"}))
    (place / "templates" / "all.yaml").write_text(json.dumps(item))
    return str(place)


@pytest.fixture(scope="module")
def told(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Manifest]]:
    """All installed, then one dry run of all new files."""
    emptied(plane, SPACE)
    place = tmp_path_factory.mktemp("helm")
    after = {}
    for name, (item, path, value) in CASES.items():
        here = _in_space(item)
        done = helm(plane, "install", name, chart(place / name, here))
        assert done.returncode == 0, done.stderr
        after[name] = changed(here, path, value)
        chart(place / name, after[name])
    context = files(context_for(place, SPACE, plane), *after.values())
    found = kubernetes_manifests.gather(SPACE, context, Deadline(120)).manifests
    context.close()
    yield dict(zip(CASES, (each for each in found if not each.name.endswith("its pods")), strict=True))
    plane.delete(f"/api/v1/namespaces/{SPACE}")


def _in_space(item: Object) -> Object:
    return {**item, "metadata": {**item["metadata"], "namespace": SPACE}}


@pytest.mark.parametrize("name", CASES)
def test_as_helm_then_upgrades(name: str, told: dict[str, Manifest], plane: ControlPlane, tmp_path: Path) -> None:
    item, path, value = CASES[name]
    after = changed(_in_space(item), path, value)
    here = chart(tmp_path / name, after)
    found = told[name]
    assert (found.problem, found.way) == (None, "helm upgrade")
    if name == "wrong-type":  # once: it would show nothing else of the others
        assert helm(plane, "upgrade", name, here, "--dry-run=server").returncode == 0
    done = helm(plane, "upgrade", name, here)
    assert found.accepted == (done.returncode == 0), (found.said, done.stderr)
    if found.accepted:
        _is_there(plane.get(path_of(after))["spec"], after["spec"])


def test_a_release_that_is_pending(told: dict[str, Manifest], plane: ControlPlane, tmp_path: Path) -> None:
    """helm/helm#11863, #30601, #7476, fluxcd/helm-controller#149: Helm was killed while it waited for its pods."""
    item = _in_space(web("stuck"))
    here = chart(tmp_path / "stuck", item)
    assert helm(plane, "install", "stuck", here).returncode == 0
    context = files(context_for(tmp_path, SPACE, plane, reach=("namespace", "secrets")), item)

    def refused() -> list[str]:
        found = kubernetes_manifests.gather(SPACE, context, Deadline(60)).manifests
        return [f"{each.name}: {each.said}" for each in found if not each.accepted]

    assert refused() == []
    after = changed(item, "spec.template.spec.nodeSelector", {"none": "such"})
    chart(tmp_path / "stuck", after)
    words = helm_words(plane, "upgrade", "stuck", here, "--wait", "--timeout=100s")
    waiting = subprocess.Popen(words, cwd=plane.place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        pending = f"/api/v1/namespaces/{SPACE}/secrets?labelSelector=name%3Dstuck%2Cstatus%3Dpending-upgrade"
        while not plane.get(pending)["items"]:
            assert time.monotonic() < end
            time.sleep(0.2)
    finally:
        waiting.kill()
        waiting.wait()
    (said,) = refused()
    assert said.startswith(f"Helm release {SPACE}/stuck: the release is pending-upgrade")
    done = helm(plane, "upgrade", "stuck", here)
    assert done.returncode != 0
    assert "another operation (install/upgrade/rollback) is in progress" in done.stderr
    assert helm(plane, "rollback", "stuck", "1").returncode == 0
    assert refused() == []


def _is_there(live: Any, asked: Any) -> None:
    """What the file asks for is what the server has."""
    if isinstance(asked, dict):
        for key, value in asked.items():
            _is_there(live[key], value)
    elif isinstance(asked, list):
        assert len(live) == len(asked)
        for one, other in zip(live, asked, strict=True):
            _is_there(one, other)
    else:
        assert live == asked
