"""Namespaces of single cases: emptied, and judged as the administrator sees them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pytest_prodcheck.environments.loading import load
from pytest_prodcheck.environments.redaction import Redactor
from pytest_prodcheck.environments.secrets import SecretResolver
from pytest_prodcheck.evidence.context import Context
from tests.cluster.control_plane import ADMIN, ControlPlane

_KINDS = {
    "apps/v1": ("deployments", "statefulsets", "daemonsets", "replicasets"), "batch/v1": ("jobs", "cronjobs"),
    "v1": ("pods", "services", "configmaps", "secrets", "resourcequotas", "limitranges", "persistentvolumeclaims",
           "events"),
    "policy/v1": ("poddisruptionbudgets",), "autoscaling/v2": ("horizontalpodautoscalers",),
    "networking.k8s.io/v1": ("ingresses",), "rbac.authorization.k8s.io/v1": ("rolebindings", "roles"),
}  # fmt: skip


def emptied(plane: ControlPlane, space: str, **labels: str) -> None:
    """A namespace without anything in it; one that is there is kept, for its deletion takes five seconds and more."""
    path = f"/api/v1/namespaces/{space}"
    end = time.monotonic() + 120
    while (found := plane.ask("GET", path))[0] == 200 and found[1]["status"]["phase"] == "Terminating":
        assert time.monotonic() < end, f"{space} is not gone"
        time.sleep(0.1)
    if found[0] == 200:
        told = {key: labels.get(key) for key in found[1]["metadata"]["labels"] if key != "kubernetes.io/metadata.name"}
        plane.patch(path, {"metadata": {"labels": {**told, **labels}}})
        lists = [f"/api{'s' if '/' in version else ''}/{version}/namespaces/{space}/{kind}"
                 for version, kinds in _KINDS.items() for kind in kinds]  # fmt: skip
        for each in lists:
            plane.delete(f"{each}?fieldSelector=metadata.name!=kube-root-ca.crt")
        while any(_left(plane, each) for each in lists if not each.endswith("/events")):
            assert time.monotonic() < end, f"{space} is not empty"
            time.sleep(0.1)
    else:
        plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": labels}})


def _left(plane: ControlPlane, path: str) -> list[str]:
    names = [each["metadata"]["name"] for each in plane.get(path)["items"]]
    return [each for each in names if each != "kube-root-ca.crt"]


def context_for(
    folder: Path, space: str, plane: ControlPlane, extra: str = "", reach: tuple[str, ...] = ("namespace", "nodes")
) -> Context:
    """A run about one namespace, with the administrator's rights."""
    (folder / "kubeconfig").write_bytes(plane.kubeconfig("whole", ADMIN).read_bytes())
    (folder / "prodcheck.toml").write_text(
        f'version = 1\n[environments.c.kubernetes]\nnamespace = "{space}"\nreach = {json.dumps(reach)}\n'
        f'kubeconfig = "kubeconfig"\nmanifests = ["build/*.yaml"]\n{extra}'
    )
    environment = load(folder / "prodcheck.toml").environment("c")
    return Context(environment, folder, secrets=SecretResolver(folder), redactor=Redactor(), revision="r1")


def files(context: Context, *objects: dict[str, Any] | str) -> Context:
    """The same run with these objects about to be applied; a text goes in as it is."""
    (context.root / "build").mkdir(exist_ok=True)
    text = "\n---\n".join(each if isinstance(each, str) else json.dumps(each) for each in objects)
    (context.root / "build" / "after.yaml").write_text(text)
    return context
