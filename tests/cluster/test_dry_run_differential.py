"""Made cases against `kubectl apply --dry-run=server`: the same verdict, and the same object where it is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.api import Api
from pytest_prodcheck.evidence.kubernetes.dry_run import kubernetes_manifests
from tests.cluster.control_plane import ControlPlane, path_of
from tests.cluster.deployers import Kubectl
from tests.cluster.generated_manifests import Case, cases
from tests.cluster.namespaces import context_for, emptied, files
from tests.soak import SOAK

Object = dict[str, Any]
SPACE = "generated"
REPLACED = "generated-replaced"  # of its own, for finalizers of the cases keep the other one
COUNT = 400 if SOAK else 30
SEED = 19


def test_as_kubectl_takes_them(plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cases(COUNT, SEED, SPACE)
    emptied(plane, SPACE)
    kubectl = Kubectl(plane, SPACE)
    for server in (False, True):
        kubectl.apply(*(each.before for each in made if each.before and each.was_server == server), server=server)
    for each in made:
        if each.before and each.drift:
            _changed_by_hand(plane, each)
    refused: dict[str, str] = {}
    taken: dict[str, Object] = {}
    for server in (False, True):
        objects = [each.after for each in made if each.server == server]
        refused |= kubectl.refused(*objects, server=server)
        taken |= kubectl.results(*(each for each in objects if not refused[each["metadata"]["name"]]), server=server)
    ours: dict[str, Object] = {}
    send: Any = Api.dry_run

    def noted(*arguments: Any, **query: str) -> Any:
        answer = send(*arguments, **query)
        document = json.loads(answer[1])
        if document["kind"] != "Status" and "name" in document["metadata"]:
            ours.setdefault(document["metadata"]["name"], document)
        return answer

    monkeypatch.setattr(Api, "dry_run", noted)
    wrong = []
    for server in (False, True):
        half = [each for each in made if each.server == server]
        declared = 'apply = "server-side"' if server else ""
        (tmp_path / str(server)).mkdir()
        context = context_for(tmp_path / str(server), SPACE, plane, declared)
        found = kubernetes_manifests.gather(SPACE, files(context, *(each.after for each in half)), Deadline(300))
        whole = [each for each in found.manifests if not each.name.endswith("its pods")]
        for case, each in zip(half, whole, strict=True):
            name = case.after["metadata"]["name"]
            assert each.problem is None, each
            if each.accepted != (name in taken):
                lines = [line for line in refused[name].splitlines() if f'"{name}"' in line or f"{name}:" in line]
                wrong.append((name, each, lines, case))
            elif name in taken and name in ours and case.before:
                assert _judged(ours[name]) == _judged(taken[name]), (name, each, case)
    assert not wrong, f"{len(wrong)}: {wrong[0]}"
    assert len(taken) > COUNT / 5, "most of the cases are refused: they show little"
    assert len(taken) < COUNT * 9 / 10, "most of the cases are taken: they show little"


def test_as_kubectl_replaces_them(plane: ControlPlane, tmp_path: Path) -> None:
    made = [each for each in cases(COUNT, SEED + 1, REPLACED) if each.before]
    emptied(plane, REPLACED)
    kubectl = Kubectl(plane, REPLACED)
    kubectl.apply(*(each.before for each in made if each.before))
    objects = [each.after for each in made]
    refused = kubectl.refused(*objects, verb="replace")
    context = files(context_for(tmp_path, REPLACED, plane, 'apply = "replace"'), *objects)
    found = kubernetes_manifests.gather(REPLACED, context, Deadline(300)).manifests
    for item, each in zip(objects, (each for each in found if not each.name.endswith("its pods")), strict=True):
        name = item["metadata"]["name"]
        assert (each.accepted, each.problem) == (not refused[name], None), (each, item, refused[name])
    assert 0 < sum(each.accepted for each in found) < len(found)


def _changed_by_hand(plane: ControlPlane, case: Case) -> None:
    assert case.before is not None
    path = f"{path_of(case.before)}?fieldManager=kubectl-edit"
    status, _ = plane.ask("PATCH", path, case.drift, "application/strategic-merge-patch+json")
    assert status in (200, 422)


def _judged(item: Object) -> Object:
    """Without what differs from one dry run to the next."""
    metadata = {name: value for name, value in item["metadata"].items() if name not in
                ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation")}  # fmt: skip
    return {**item, "metadata": metadata, "status": {}}
