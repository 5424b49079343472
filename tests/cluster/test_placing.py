"""Workloads that want something of other pods, zones, volumes and devices: judged, then done by the real scheduler.

PRODCHECK_SOAK=1 draws 160 of them, PRODCHECK_SEED=… others.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.capacity import kubernetes_capacity
from tests.cluster.control_plane import ControlPlane, path_of
from tests.cluster.faults import Bench
from tests.cluster.generated_placing import OTHER, SPACE, ZONE, Placing, drawn, volume
from tests.cluster.namespaces import context_for, emptied, files
from tests.cluster.reported_placing import reported
from tests.soak import SOAK

Object = dict[str, Any]
DRAWN = 160 if SOAK else 12
SEED = int(os.environ.get("PRODCHECK_SEED", "7"))
SETTLED, LONGEST = 14.0, 300.0  # seconds without a change: the scheduler tries again after ten; in all
CLUSTER_WIDE = ("StorageClass", "PersistentVolume", "PriorityClass")
DOUBTFUL = 0.1  # of the drawn ones at most: where it depends on draws of the scheduler


def _settled(plane: ControlPlane) -> list[Object]:
    """The pods when nothing has moved for a while; makes the volumes that they wait for meanwhile."""
    began = changed = time.monotonic()
    last: object = None
    while True:
        pods = [each for space in (SPACE, OTHER)
                for each in plane.get(f"/api/v1/namespaces/{space}/pods?limit=3000")["items"]]  # fmt: skip
        now = sorted((each["metadata"]["name"], each["status"].get("phase"), _ready(each)) for each in pods)
        if now != last or _provision(plane):
            last, changed = now, time.monotonic()
        if time.monotonic() - changed > SETTLED or time.monotonic() - began > LONGEST:
            return pods
        time.sleep(0.5)


def _ready(pod: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def _provision(plane: ControlPlane) -> bool:
    """What a provisioner does: a volume in the zone of the node that the scheduler has chosen."""
    made = False
    for claim in plane.get(f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims")["items"]:
        chosen = claim["metadata"].get("annotations", {}).get("volume.kubernetes.io/selected-node")
        if not chosen or claim["spec"].get("volumeName"):
            continue
        name, kind = f"made-{claim['metadata']['name']}", claim["spec"]["storageClassName"]
        if plane.ask("GET", f"/api/v1/persistentvolumes/{name}")[0] == 200:
            continue
        zone = plane.get(f"/api/v1/nodes/{chosen}")["metadata"]["labels"].get(ZONE)
        item = volume(name, kind, {"key": ZONE, "operator": "In", "values": [zone]} if zone else None)
        item["spec"]["claimRef"] = {"namespace": SPACE, "name": claim["metadata"]["name"],
                                    "uid": claim["metadata"]["uid"]}  # fmt: skip
        plane.apply(item)
        made = True
    return made


@pytest.fixture
def cases(bench: Bench, plane: ControlPlane) -> Iterator[list[Placing]]:
    """Drawn workloads as they are before, all at once in one cluster."""
    emptied(plane, SPACE)
    emptied(plane, OTHER)
    made = [*reported(), *drawn(DRAWN, SEED)]
    try:
        for case in made:
            for node in case.nodes:
                plane.apply(node)
                plane.patch(f"/api/v1/nodes/{node['metadata']['name']}/status", {"status": node["status"]})
            plane.apply(*case.beside)
        plane.apply(*(each.before for each in made if each.before))
        _settled(plane)
        yield made
    finally:
        for path in _far(plane, made):
            plane.delete(path)


def _far(plane: ControlPlane, made: Iterable[Placing]) -> Iterator[str]:
    for space in (SPACE, OTHER):
        yield f"/api/v1/namespaces/{space}"
    for each in made:
        yield from (path_of(node) for node in each.nodes)
        yield from (path_of(item) for item in each.beside if item["kind"] in CLUSTER_WIDE)
    for each in plane.get("/api/v1/persistentvolumes")["items"]:
        if each["metadata"]["name"].startswith("made-"):
            yield f"/api/v1/persistentvolumes/{each['metadata']['name']}"


def test_what_the_scheduler_then_does_with_them(cases: list[Placing], plane: ControlPlane, tmp_path: Path) -> None:
    context = files(context_for(tmp_path, SPACE, plane), *(case.after for case in cases))
    found = kubernetes_capacity.gather(SPACE, context, Deadline(120))
    judged = {each.what.partition("/")[2]: each for each in found.fits}
    plane.apply(*(case.after for case in cases))
    time.sleep(2)
    pods = _settled(plane)
    waiting = {each["metadata"]["labels"]["app"]: each for each in pods if each["status"]["phase"] == "Pending"}
    figures: Counter[str] = Counter()
    wrong = []
    for case in cases:
        fit, runs = judged[case.name], case.name not in waiting
        fits = not fit.left or bool(fit.ends)
        told = "doubt" if fit.doubt else "fits" if fits else "does not fit"
        figures[f"{told}, {'runs' if runs else 'waits'}"] += 1
        if (not fit.doubt and fits != runs) or (case.fits is not None and (case.fits != runs or fit.doubt)):
            said = waiting[case.name]["status"].get("conditions") if not runs else ""
            wrong.append(f"{case}\n  judged {fit}\n  scheduler {said}")
    print(dict(figures))
    assert not wrong, f"{dict(figures)}\n" + "\n".join(wrong)
    assert figures["doubt, runs"] + figures["doubt, waits"] <= max(1, DOUBTFUL * len(cases)), figures
