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


def emptied(plane: ControlPlane, space: str, **labels: str) -> None:
    """A namespace without anything in it."""
    path = f"/api/v1/namespaces/{space}"
    if plane.ask("GET", path)[0] == 200:
        for kind in ("deployments", "statefulsets", "daemonsets"):
            plane.delete(f"/apis/apps/v1/namespaces/{space}/{kind}")
        for kind in ("pods", "resourcequotas", "limitranges", "configmaps"):
            plane.delete(f"{path}/{kind}")
        plane.delete(path)
    end = time.monotonic() + 60
    while plane.ask("GET", path)[0] == 200:
        assert time.monotonic() < end, f"{space} is not gone"
        time.sleep(0.1)
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": labels}})


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
