"""The suites on a cluster of 1,000 nodes and 10,000 pods, beside `kubectl get pods -A`: time and memory."""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local
from typing import Any

from bench.measure import PYTHON, row, side_by_side
from tests.cluster import shop
from tests.cluster.build import folder, missing
from tests.cluster.conftest import wait_for_shop
from tests.cluster.control_plane import ADMIN, READER, ControlPlane, control_plane
from tests.cluster.faults import Bench
from tests.project import Project

NODES, PODS = 1000, 10_000
SLOWER, MEGABYTES = 1.2, 150


def main(runs: int = 3) -> bool:
    """At most 1.2 times the time of kubectl, and 150 MB."""
    if lacking := missing():
        print(f"      no {', '.join(lacking)}: `make cluster` builds them (needs Go)")
        return True
    with control_plane() as plane, tempfile.TemporaryDirectory() as name:
        project = Project.make(Path(name), shop.TOML.replace('manifests  = ["build/*.yaml"]\n', ""), "")
        (project.folder / "reader.kubeconfig").write_bytes(plane.kubeconfig("reader", READER).read_bytes())
        shop.make(plane)
        wait_for_shop(Bench(plane, plane.place), 120)  # kwok plays none of the nodes that are made next
        plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "others"}})
        _fill(plane)
        suite = [PYTHON, "-m", "pytest_prodcheck.cli", "run", "cluster", "--env", "cluster"]
        kubectl = [f"{folder()}/kubectl", "--kubeconfig", f"{plane.place}/admin.kubeconfig", "get", "pods", "-A"]
        taken = side_by_side(project.folder, runs, kubectl=kubectl, suite=suite)
    ours, theirs = taken["suite"], taken["kubectl"]
    what = f"the Kubernetes checks of {NODES:,} nodes and {PODS:,} pods / `kubectl get pods -A`"
    aside = f"; {ours.wall:.1f} s and {theirs.wall:.1f} s; processor {ours.cpu:.1f} s and {theirs.cpu:.1f} s"
    kept = row(what, ours.wall / theirs.wall, SLOWER, aside)
    aside = f" ({ours.memory:.0f} MB; kubectl {theirs.memory:.0f} MB)"
    return row(f"most memory of it / {MEGABYTES} MB", ours.memory / MEGABYTES, 1.0, aside) and kept


def _fill(plane: ControlPlane) -> None:
    """Makes nodes and pods that run, as their kubelets would say it."""
    at = local()

    def send(method: str, path: str, body: Any) -> None:
        if not hasattr(at, "link"):
            at.link = http.client.HTTPSConnection("127.0.0.1", plane.port, context=plane.trust, timeout=60)
        kind = "application/json" if method == "POST" else "application/merge-patch+json"
        at.link.request(method, path, json.dumps(body), {"Authorization": f"Bearer {ADMIN}", "Content-Type": kind})
        answer = at.link.getresponse()
        said = answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:300]!r}")

    def node(item: dict[str, Any]) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is ready"}
        item["metadata"].pop("annotations")
        send("POST", "/api/v1/nodes", item)
        path = f"/api/v1/nodes/{item['metadata']['name']}/status"
        send("PATCH", path, {"status": {**item["status"], "conditions": [ready]}})

    def pod(item: dict[str, Any]) -> None:
        send("POST", "/api/v1/namespaces/others/pods", item)
        runs(item)

    def runs(item: dict[str, Any]) -> None:
        told = [{"type": name, "status": "True"} for name in ("PodScheduled", "Ready", "ContainersReady")]
        container = item["spec"]["containers"][0]
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        state = {"name": container["name"], "image": container["image"], "ready": True, "restartCount": 0}
        state |= {"imageID": container["image"], "state": running}
        status = {"phase": "Running", "podIP": "10.0.0.1", "conditions": told, "containerStatuses": [state]}
        path = f"/api/v1/namespaces/{item['metadata']['namespace']}/pods/{item['metadata']['name']}/status"
        send("PATCH", path, {"status": status})

    print(f"      making {NODES:,} nodes and {PODS:,} pods …", file=sys.stderr, flush=True)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(node, shop.nodes(NODES)[3:]))
        list(pool.map(pod, _pods()))
    for each in plane.get("/api/v1/namespaces/shop/pods")["items"]:
        runs(each)  # kwok tells no digest of what runs


def _pods() -> Iterator[dict[str, Any]]:
    for number in range(PODS - 4):  # those of the shop besides
        container = shop.container()
        container.pop("envFrom"), container.pop("env")
        yield {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"p-{number}", "namespace": "others", "labels": {"app": f"app-{number % 100}"}},
            "spec": {"containers": [container], "nodeName": f"node-{number % NODES + 1}"},
        }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
