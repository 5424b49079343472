"""One control plane for all tests of this folder, and a project that judges it; skips where it is not built."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster import shop
from tests.cluster.build import missing
from tests.cluster.control_plane import READER, ControlPlane, control_plane
from tests.cluster.faults import BUDGET, ROOM, Bench
from tests.project import Project

Judge = Callable[..., dict[str, Any]]


_RUNNING: list[ControlPlane] = []  # of this process: other folders of tests have this fixture too


@pytest.fixture(scope="package")
def plane() -> Iterator[ControlPlane]:
    pytest.importorskip("kubernetes", reason="no Kubernetes client: pip install kubernetes")
    if lacking := missing():
        pytest.skip(f"no {', '.join(lacking)}: install them with `make cluster` (needs Go)")
    if _RUNNING:
        yield _RUNNING[0]
        return
    with control_plane() as running:
        _RUNNING.append(running)
        yield running
        _RUNNING.clear()


@pytest.fixture(scope="package")
def home(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project whose prodcheck.toml describes the cluster."""
    folder = tmp_path_factory.mktemp("cluster")
    project = Project.make(folder, shop.TOML, "")
    (folder / "build").mkdir()
    (folder / "reader.kubeconfig").write_bytes(plane.kubeconfig("reader", READER).read_bytes())
    shop.make(plane)
    return project


@pytest.fixture
def bench(plane: ControlPlane, home: Project) -> Bench:
    """The healthy shop; made healthy again where a test before changed it."""
    made = Bench(plane, home.folder / "build")
    made.files(lambda objects: None)
    heal(made)
    return made


def heal(bench: Bench) -> None:
    """Makes the shop as it should be, and waits until it is."""
    plane, here = bench.plane, "/api/v1/namespaces/shop"
    if not getattr(plane, "dirty", True):
        return
    for path in ("/api/v1/nodes/node-4", f"{here}/pods/risky", f"{here}/pods/waits", f"{here}/limitranges/small",
                 f"{here}/persistentvolumeclaims/lost", "/apis/batch/v1/namespaces/shop/jobs/migrate",
                 "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/orders"):  # fmt: skip
        plane.delete(path)
    for number in (1, 2, 3):
        plane.patch(f"/api/v1/nodes/node-{number}", {"spec": {"unschedulable": None}})
        bench.node(f"node-{number}", Ready="True", DiskPressure="False", MemoryPressure="False")
    plane.delete("/apis/storage.k8s.io/v1/storageclasses/fast")
    plane.delete("/apis/policy/v1/namespaces/shop/poddisruptionbudgets/storefront")
    plane.delete(f"{here}/resourcequotas/room")  # one that lives through deletions counts anew only every 5 minutes
    plane.delete(f"{here}/pods")
    shop.make(plane)
    usual = {"paused": None, "replicas": 2, "revisionHistoryLimit": 10}
    plane.patch("/apis/apps/v1/namespaces/shop/deployments/storefront", {"spec": usual})
    wait_for_shop(bench, 90)
    for pod in (*bench.pods("storefront"), *bench.pods("orders")):  # kwok pulls nothing, so it tells no digest
        ran = {**pod["status"]["containerStatuses"][0], "imageID": shop.container()["image"]}
        bench.status(pod, {"containerStatuses": [ran]})
    plane.dirty = False  # type: ignore[attr-defined]


def wait_for_shop(bench: Bench, seconds: float) -> None:
    """Until nothing is lacking; raises RuntimeError."""
    began = time.monotonic()
    while lacks := lacking(bench):
        if time.monotonic() > began + seconds:
            raise RuntimeError(f"the shop did not come up: {lacks}")
        if lacks.startswith("quota"):  # its controller missed a pod, and counts anew only for a new specification
            bench.plane.patch(ROOM, {"spec": {"hard": {"services": str(50 + int(time.monotonic() - began))}}})
        time.sleep(0.3)


def lacking(bench: Bench) -> str:
    """What is not as it should be: pods ready and counted by all who count them, the claim bound; "" for nothing."""
    ready = [
        each
        for app in ("storefront", "orders")
        for each in bench.pods(app)
        if any(told["type"] == "Ready" and told["status"] == "True" for told in each["status"].get("conditions", ()))
    ]
    if len(ready) != 4:
        return f"{len(ready)} of 4 pods are ready"
    for kind, name in (("deployments", "storefront"), ("statefulsets", "orders")):
        found = bench.plane.get(f"/apis/apps/v1/namespaces/shop/{kind}/{name}")
        status = found.get("status", {})
        counts = [status.get(key) for key in ("replicas", "availableReplicas", "updatedReplicas")]
        if counts != [2, 2, 2] or status.get("observedGeneration") != found["metadata"]["generation"]:
            return f"{name}: {status}"
    budget = bench.plane.get(BUDGET).get("status", {})
    if budget.get("currentHealthy") != 2 or budget.get("disruptionsAllowed") != 1:
        return f"budget: {budget}"
    slices = bench.plane.get("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices")["items"]
    if (endpoints := sum(len(each.get("endpoints") or ()) for each in slices)) != 4:
        return f"{endpoints} of 4 endpoints"
    if (claim := bench.plane.get("/api/v1/namespaces/shop/persistentvolumeclaims/data")["status"])["phase"] != "Bound":
        return f"claim: {claim}"
    for path in ("/api/v1/nodes", "/api/v1/namespaces/shop/serviceaccounts"):
        if (status := bench.plane.ask("GET", path, token=READER)[0]) != 200:
            return f"the reader's rights: {path} answers {status}"
    quota = bench.plane.get(ROOM).get("status", {}).get("used", {})
    return "" if quota.get("pods") == "4" else f"quota: {quota}"


@pytest.fixture
def judged(home: Project) -> Judge:
    """Judges for the gate about the cluster; returns its JSON report and pytest's exit code."""

    def run(*arguments: str) -> dict[str, Any]:
        report = home.folder / "report.json"
        words = ["--gate", "cluster", "--prodcheck-select", *arguments, f"--prodcheck-json={report}"]
        done = home.pytest(*words, env="cluster")
        assert report.is_file(), done.stdout + done.stderr
        document: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        report.unlink()
        return {**document, "exit": done.returncode, "stdout": done.stdout}

    return run


def colours(document: dict[str, Any]) -> dict[str, str]:
    """Check id -> worst outcome and reason of what is not green."""
    found: dict[str, str] = {}
    for result in document["run"]["results"]:
        if result["outcome"] in ("failed", "errored", "warned"):
            found[result["check"]] = f"{result['outcome']} {result['target']}: {result['reason'][:300]}"
    return found
