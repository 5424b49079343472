"""Made pods against the admission plug-in of a namespace that enforces a standard: the same verdict in each version."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pytest_prodcheck.evidence.kubernetes.pod_security import baseline, restricted
from tests.cluster.control_plane import ControlPlane
from tests.cluster.generated_pods import pods
from tests.soak import SOAK

Object = dict[str, Any]
COUNT = 400 if SOAK else 60
SEED = 10
# those in which a rule changed; fields of seccomp are rules since 1.19
OTHERS = ["v1.36", "v1.31", "v1.28", "v1.26", "v1.22", "v1.19"]
VERSIONS = ["latest", "v1.34", "v1.30", "v1.24", *(OTHERS if SOAK else [])]
Space = Callable[[str, str], str]
_DEBUGGER = {"name": "debugger", "image": "registry.test/tools:1"}
_DEBUGGED: tuple[tuple[str, Object], ...] = (
    ("baseline", {"privileged": True}),
    ("baseline", {"capabilities": {"add": ["SYS_PTRACE"]}}), ("baseline", {}), ("restricted", {}),
    ("restricted", {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}),
)  # fmt: skip


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Space:
    """Namespaces that enforce a standard in a version, made when first asked for."""

    def named(level: str, version: str) -> str:
        name = f"security-{level}-{version.replace('.', '-')}"
        told = {f"pod-security.kubernetes.io/{key}": value for key, value in (
            ("enforce", level), ("enforce-version", version))}  # fmt: skip
        plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": told}})
        return name

    return named


def _refused(plane: ControlPlane, name: str, pod: Object) -> str | None:
    """What the plug-in says, "" for nothing; None for a pod that is refused for something else."""
    path = f"/api/v1/namespaces/{name}/pods?dryRun=All"
    status, said = plane.ask("POST", path, {**pod, "metadata": {**pod["metadata"], "namespace": name}})
    if status in (200, 201):
        return ""
    message = str(said.get("message"))
    return message if "violates PodSecurity" in message else None


@pytest.mark.parametrize("version", VERSIONS)
def test_pods_are_judged_as_by_the_plug_in(version: str, plane: ControlPlane, space: Space) -> None:
    minor = 10_000 if version == "latest" else int(version.partition(".")[2])
    made = pods(COUNT, SEED, "x")
    counted = {"baseline": 0, "restricted": 0, "taken": 0}
    for level in ("baseline", "restricted"):
        name = space(level, version)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda pod, name=name: _refused(plane, name, pod), made))
        for pod, said in zip(made, answers, strict=True):
            found = list(baseline(pod, minor))
            if level == "restricted":
                found += restricted(pod, minor)
            if said is not None:
                assert bool(found) == bool(said), (level, pod, said, found)
                counted[level if said else "taken"] += 1
    assert min(counted.values()) > COUNT / 10, counted


def test_ephemeral_containers(plane: ControlPlane, space: Space) -> None:
    safe = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    app = {"name": "app", "image": "x", "securityContext": {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}  # fmt: skip
    for level in ("baseline", "restricted"):
        name = space(level, "latest")
        pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "debugged", "namespace": name},
                       "spec": {"securityContext": safe, "containers": [app]}}  # fmt: skip
        plane.apply(pod)
        for _, context in (each for each in _DEBUGGED if each[0] == level):
            with_it = copy.deepcopy(pod)
            with_it["spec"]["ephemeralContainers"] = [{**_DEBUGGER, "securityContext": context}]
            status, said = plane.ask(
                "PATCH", f"/api/v1/namespaces/{name}/pods/debugged/ephemeralcontainers?dryRun=All",
                {"spec": {"ephemeralContainers": with_it["spec"]["ephemeralContainers"]}},
                "application/strategic-merge-patch+json",
            )  # fmt: skip
            found = [*baseline(with_it), *(restricted(with_it) if level == "restricted" else ())]
            assert status in (200, 403), said
            assert bool(found) == (status == 403), (context, said, found)
