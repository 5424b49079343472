"""What the cluster's faults are: made for real in the API server, undone by name; which check detects each."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import shop
from tests.cluster.control_plane import ControlPlane

_PRE, _SMOKE = "pre_deploy.kubernetes.", "smoke.kubernetes."
API, NODES, PODS, CAPACITY = f"{_PRE}api", f"{_PRE}nodes", f"{_PRE}pods", f"{_PRE}capacity"
QUOTA, VOLUMES, DISRUPTION, INGRESS = f"{_PRE}quota", f"{_PRE}volumes", f"{_PRE}disruption", f"{_PRE}ingress"
JOBS, AUTOSCALERS = f"{_PRE}jobs", f"{_PRE}autoscalers"
ROLLOUT, RESTARTS = f"{_SMOKE}rollout", f"{_SMOKE}restarts"
_FILES = "pre_deploy.configuration."
DRY_RUN, DEPRECATIONS, REFERENCES = f"{_FILES}manifests", f"{_FILES}deprecations", f"{_FILES}references"
IMAGES, MADE, SETTINGS = f"{_FILES}images", f"{_FILES}workload", f"{_FILES}settings"
PLAN, VERSION = "pre_deploy.rollback.plan", "smoke.service.version"
SECURITY, STORAGE = "security.kubernetes.pods", "security.encryption.storage"


# what the gate of shop.TOML selects
CHECKS = ("*.kubernetes.*", "pre_deploy.configuration.*", PLAN, STORAGE, VERSION)


@dataclass
class Bench:
    """What a fault can change: the cluster, and the files that are about to be applied."""

    plane: ControlPlane
    build: Path

    def files(self, change: Callable[[list[dict[str, Any]]], None]) -> None:
        """The files anew, changed."""
        import yaml

        objects = copy.deepcopy(shop.shipped())
        change(objects)
        (self.build / "shop.yaml").write_text(yaml.safe_dump_all(objects))

    def pods(self, app: str) -> list[dict[str, Any]]:
        """The live pods of a workload."""
        _, found = self.plane.ask("GET", f"/api/v1/namespaces/shop/pods?labelSelector=app%3D{app}")
        return [each for each in found["items"] if "deletionTimestamp" not in each["metadata"]]

    def status(self, pod: dict[str, Any], status: dict[str, Any]) -> None:
        """Sets what a kubelet would have said of a pod."""
        name, space = pod["metadata"]["name"], pod["metadata"]["namespace"]
        self.plane.patch(f"/api/v1/namespaces/{space}/pods/{name}/status", {"status": status})

    def container(self, app: str, **state: Any) -> None:
        """Sets the state of the container of the first pod of a workload."""
        pod = self.pods(app)[0]
        whole = {**pod["status"]["containerStatuses"][0], **state}
        self.status(pod, {"containerStatuses": [whole]})

    def node(self, name: str, **conditions: str) -> None:
        """Sets conditions of a node, as its kubelet would."""
        _, found = self.plane.ask("GET", f"/api/v1/nodes/{name}")
        kept = [each for each in found["status"].get("conditions", []) if each["type"] not in conditions]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        told = [
            {"type": kind, "status": status, "reason": "Test", "message": "set by the test",
             "lastHeartbeatTime": now, "lastTransitionTime": now}
            for kind, status in conditions.items()
        ]  # fmt: skip
        self.plane.patch(f"/api/v1/nodes/{name}/status", {"status": {"conditions": kept + told}})


@dataclass(frozen=True)
class Fault:
    """A fault: how it is made, which checks must notice it (`errored` for what cannot be told) and which may too."""

    name: str
    make: Callable[[Bench], None]
    notices: tuple[str, ...]
    also: tuple[str, ...] = ()
    outcome: str = "failed"

    @property
    def in_files(self) -> bool:
        """Whether it changes the files alone, so that the cluster stays as it is."""
        return getattr(self.make, "in_files", False) or self.name.startswith("files-")


def _waiting(reason: str) -> Callable[[Bench], None]:
    return lambda bench: bench.container("storefront", ready=False, state={"waiting": {"reason": reason}})


def _files(path: str, value: Any, index: int = 1) -> Callable[[Bench], None]:
    """Sets one value of one object of the files; "spec.template.spec.containers.0.image"."""

    def change(objects: list[dict[str, Any]]) -> None:
        inside: Any = objects[index]
        *parents, last = path.split(".")
        for part in parents:
            inside = inside[int(part)] if part.isdecimal() else inside.setdefault(part, {})
        if value is None:
            inside.pop(last, None)
        else:
            inside[int(last) if last.isdecimal() else last] = value

    return _in_files(change)


def _added(item: dict[str, Any]) -> Callable[[Bench], None]:
    return _in_files(lambda objects: objects.append(item))


def _in_files(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Bench], None]:
    def make(bench: Bench) -> None:
        bench.files(change)

    make.in_files = True  # type: ignore[attr-defined]
    return make


def _live(item: dict[str, Any]) -> Callable[[Bench], None]:
    return lambda bench: bench.plane.apply(item)


def _patched(path: str, **body: Any) -> Callable[[Bench], None]:
    return lambda bench: bench.plane.patch(path, body)


def _full_quota(bench: Bench) -> None:
    """What the files change is rolled out, for which there is no room; left as it is, nothing would be."""
    _files("spec.template.metadata.labels.rolled", "out")(bench)
    bench.plane.patch(ROOM, {"spec": {"hard": {"requests.cpu": "2"}}})


def _deleted(path: str) -> Callable[[Bench], None]:
    return lambda bench: bench.plane.delete(path)


def _fourth(bench: Bench, ready: str) -> None:
    """A node that kwok does not play, and so does not heal."""
    bench.plane.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-4"}})
    bench.node("node-4", Ready=ready)


def _cordoned(bench: Bench) -> None:
    for number in (1, 2, 3):
        bench.plane.patch(f"/api/v1/nodes/node-{number}", {"spec": {"unschedulable": True}})


def _in_the_clear(bench: Bench) -> None:
    bench.plane.delete(FAST)
    bench.plane.apply({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"},
        "provisioner": "ebs.csi.aws.com", "parameters": {"encrypted": "false"},
    })  # fmt: skip


def _removed_files(bench: Bench) -> None:
    (bench.build / "shop.yaml").unlink()


def _garbled_files(bench: Bench) -> None:
    (bench.build / "shop.yaml").write_text("a: [")


def _lost_claim(bench: Bench) -> None:
    """A claim that nothing binds, and a pod that waits for it."""
    bench.plane.apply(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "lost", **_HERE},
         "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                  "resources": {"requests": {"storage": "1Gi"}}}},
        _bare_pod("waits", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "lost"}}]),
    )  # fmt: skip


def _another_build(bench: Bench) -> None:
    """One of two pods runs what was built later under the same name."""
    bench.container("storefront", imageID=f"registry.test/shop@sha256:{'c' * 64}")


def _killed(bench: Bench) -> None:
    ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 600))
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": ended}}
    bench.container("orders", restartCount=1, lastState=last)


def _failed_job(bench: Bench) -> None:
    """A Job whose time is over: its controller says so."""
    pod = {"restartPolicy": "Never", "containers": [shop.container()]}
    bench.plane.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate", **_HERE},
                       "spec": {"activeDeadlineSeconds": 1, "parallelism": 0, "template": {"spec": pod}}})  # fmt: skip


def _blind_autoscaler(bench: Bench) -> None:
    """As its controller has said for an hour of one whose metrics nobody answers."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    told = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics",
            "lastTransitionTime": since}  # fmt: skip
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "orders"}
    bench.plane.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                       "metadata": {"name": "orders", **_HERE},
                       "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 2}})  # fmt: skip
    path = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/orders/status"
    bench.plane.patch(path, {"status": {"conditions": [told], "desiredReplicas": 2}})


_HERE = {"namespace": "shop"}
_C0 = "spec.template.spec.containers.0"
_APPS, _CORE = "/apis/apps/v1/namespaces/shop", "/api/v1/namespaces/shop"
STOREFRONT, ORDERS = f"{_APPS}/deployments/storefront", f"{_APPS}/statefulsets/orders"
COLOURS = f"{_CORE}/configmaps/colours"
ROOM, FAST = f"{_CORE}/resourcequotas/room", "/apis/storage.k8s.io/v1/storageclasses/fast"
BUDGET = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/storefront"
WAY_IN = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/shop"
RIGHTS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/reader"
FROM_FILES = (DRY_RUN, REFERENCES, IMAGES, MADE, DEPRECATIONS, CAPACITY, QUOTA)


def _bare_pod(name: str, **specification: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **_HERE},
        "spec": {"containers": [{**shop.container(), "envFrom": [], "env": []}], **specification},
    }  # fmt: skip


def _risky(**context: Any) -> dict[str, Any]:
    pod = _bare_pod("risky")
    pod["spec"]["containers"][0]["securityContext"] |= context
    return pod


_SMALL = {
    "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small", **_HERE},
    "spec": {"limits": [{"type": "Pod", "max": {"cpu": "250m"}}]},
}  # fmt: skip
_OLD_BUDGET = {
    "apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {"name": "old", **_HERE},
    "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "x"}}},
}  # fmt: skip
_OLD_ENDPOINTS = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "old", **_HERE}, "subsets": []}
_TILL = {"apiVersion": "shop.test/v1", "kind": "Till", "metadata": {"name": "till", **_HERE}}
_CLAIM = [{"name": "v", "persistentVolumeClaim": {"claimName": "absent"}}]
_NO_ADDRESS = {"loadBalancer": {"ingress": None}}
_ROOT = {"name": "v", "hostPath": {"path": "/"}}

FAULTS = (
    Fault("crash-loop", _waiting("CrashLoopBackOff"), (PODS, ROLLOUT), (INGRESS,)),
    Fault("image-pull", _waiting("ImagePullBackOff"), (PODS, ROLLOUT), (INGRESS,)),
    Fault("bad-image-name", _waiting("InvalidImageName"), (PODS, ROLLOUT), (INGRESS,)),
    Fault("container-configuration", _waiting("CreateContainerConfigError"), (PODS, ROLLOUT), (INGRESS,)),
    Fault("restarted-often", lambda bench: bench.container("storefront", restartCount=7), (RESTARTS,)),
    Fault("restarted-twice", lambda bench: bench.container("orders", restartCount=2), (RESTARTS,), outcome="warned"),
    Fault("out-of-memory", _killed, (PODS,)),
    Fault("node-not-ready", lambda bench: _fourth(bench, "False"), (NODES,)),
    Fault("node-unknown", lambda bench: _fourth(bench, "Unknown"), (NODES,)),
    Fault("disk-pressure", lambda bench: bench.node("node-2", DiskPressure="True"), (NODES,)),
    Fault("memory-pressure", lambda bench: bench.node("node-2", MemoryPressure="True"), (NODES,)),
    Fault(
        "scaled-to-nothing", _patched(STOREFRONT, spec={"replicas": 0}), (ROLLOUT, INGRESS),
        (RESTARTS, DISRUPTION, VERSION, DRY_RUN),
    ),
    Fault("rollout-paused", _patched(STOREFRONT, spec={"paused": True}), (ROLLOUT,)),
    Fault("workload-gone", _deleted(ORDERS), (ROLLOUT,), (INGRESS, RESTARTS, VERSION)),
    Fault("quota-full", _full_quota, (QUOTA,), (DRY_RUN,)),
    Fault("quota-nearly-full", _patched(ROOM, spec={"hard": {"pods": "5"}}), (QUOTA,), outcome="warned"),
    Fault("limit-range-refuses", _live(_SMALL), (QUOTA,), (DRY_RUN,)),
    Fault("budget-blocks", _patched(BUDGET, spec={"maxUnavailable": 0}), (DISRUPTION,)),
    Fault("claim-pending", _lost_claim, (VOLUMES,)),
    Fault("ingress-without-address", _patched(f"{WAY_IN}/status", status=_NO_ADDRESS), (INGRESS,)),
    Fault("ingress-without-service", _deleted(f"{_CORE}/services/storefront"), (INGRESS,)),
    Fault(
        "selects-nothing", _patched(f"{_CORE}/services/orders", spec={"selector": {"app": "odd"}}), (INGRESS,),
        (DRY_RUN,),
    ),
    Fault("surge-does-not-fit", _files(f"{_C0}.resources.requests.cpu", "9"), (CAPACITY,), (QUOTA, DRY_RUN)),
    Fault("selector-fits-no-node", _files("spec.template.spec.nodeSelector", {"disk": "none"}), (CAPACITY,)),
    Fault("more-replicas-than-room", _files("spec.replicas", 60), (CAPACITY,), (QUOTA, ROLLOUT)),
    Fault("all-nodes-cordoned", _cordoned, (CAPACITY,)),
    Fault("removed-api", _added(_OLD_BUDGET), (DEPRECATIONS, DRY_RUN)),
    Fault("deprecated-api", _added(_OLD_ENDPOINTS), (DEPRECATIONS,), outcome="warned"),
    Fault("unknown-kind", _added(_TILL), (DEPRECATIONS, DRY_RUN)),
    Fault("misspelt-field", _files("spec.replica", 2), (DRY_RUN,)),
    Fault("wrong-type", _files("spec.replicas", "two"), (DRY_RUN,), (CAPACITY, QUOTA)),
    Fault("selector-changed", _files("spec.selector.matchLabels.app", "other"), (DRY_RUN,)),
    Fault("namespace-missing", _files("metadata.namespace", "nowhere", 0), (DRY_RUN,), (REFERENCES,)),
    Fault("configmap-missing", _files(f"{_C0}.envFrom", [{"configMapRef": {"name": "absent"}}]), (REFERENCES,)),
    Fault("secret-missing", _files(f"{_C0}.envFrom", [{"secretRef": {"name": "absent"}}]), (REFERENCES,)),
    Fault("key-missing", _files(f"{_C0}.env.0.valueFrom.secretKeyRef.key", "absent"), (REFERENCES,)),
    Fault("service-account-missing", _files("spec.template.spec.serviceAccountName", "absent"), (REFERENCES,)),
    Fault("claim-missing", _files("spec.template.spec.volumes", _CLAIM), (REFERENCES, CAPACITY)),
    Fault("port-missing", _files("spec.ports.0.targetPort", "grpc", 3), (REFERENCES,)),
    Fault("image-latest", _files(f"{_C0}.image", "registry.test/shop:latest"), (IMAGES,), (VERSION,)),
    Fault("image-without-tag", _files(f"{_C0}.image", "registry.test:5000/shop"), (IMAGES,), (VERSION,)),
    Fault("no-readiness-probe", _files(f"{_C0}.readinessProbe", None), (MADE,)),
    Fault("no-memory-limit", _files(f"{_C0}.resources.limits", None), (MADE,)),
    Fault("runs-as-root", _files(f"{_C0}.securityContext.runAsNonRoot", None), (MADE,)),
    Fault("writable-root", _files(f"{_C0}.securityContext.readOnlyRootFilesystem", None), (MADE,)),
    Fault("not-spread", _files("spec.template.spec.topologySpreadConstraints", None), (MADE,)),
    Fault("files-gone", _removed_files, (*FROM_FILES, SETTINGS, VERSION), outcome="errored"),
    Fault("files-no-yaml", _garbled_files, (*FROM_FILES, SETTINGS, VERSION), outcome="errored"),
    Fault("history-thrown-away", _patched(STOREFRONT, spec={"revisionHistoryLimit": 0}), (PLAN,)),
    Fault("another-build-runs", _another_build, (VERSION,)),
    Fault("build-not-told", lambda bench: bench.container("storefront", imageID=""), (VERSION,), outcome="errored"),
    Fault("another-build-shipped", _files(f"{_C0}.image", f"registry.test/shop:1.0@sha256:{'b' * 64}"), (VERSION,)),
    Fault("map-never-filled-in", _patched(COLOURS, data={"primary": "TODO"}), (SETTINGS,)),
    Fault("map-gone", _deleted(COLOURS), (SETTINGS,), outcome="errored"),
    Fault("job-fails", _failed_job, (JOBS,)),
    Fault("autoscaler-without-metrics", _blind_autoscaler, (AUTOSCALERS,)),
    Fault("privileged", _live(_risky(privileged=True, allowPrivilegeEscalation=True)), (SECURITY,)),
    Fault("host-path", _live(_bare_pod("risky", volumes=[_ROOT])), (SECURITY,)),
    Fault("host-network", _live(_bare_pod("risky", hostNetwork=True)), (SECURITY,)),
    Fault("capabilities", _live(_risky(capabilities={"add": ["SYS_ADMIN"]})), (SECURITY,)),
    Fault("may-be-root", _live(_risky(runAsNonRoot=False, runAsUser=0)), (SECURITY,), outcome="warned"),
    Fault("storage-in-the-clear", _in_the_clear, (STORAGE,)),
    Fault(
        "rights-missing", _deleted(RIGHTS), (API, NODES, PODS, CAPACITY, ROLLOUT, RESTARTS, PLAN, VERSION),
        (*FROM_FILES, SETTINGS, VOLUMES, DISRUPTION, INGRESS, SECURITY, STORAGE, JOBS, AUTOSCALERS), "errored",
    ),
)  # fmt: skip


def combinations(alone: bool = False) -> list[tuple[Fault, ...]]:
    """All faults, each once; of the cluster those at the same time that no check notices twice.

    alone: each by itself.
    """
    made: list[list[Fault]] = []
    for fault in FAULTS:
        single = alone or fault.in_files or fault.name in _WIDE
        fitting = (group for group in made if not single and all(_independent(fault, each) for each in group))
        if (group := next(fitting, None)) is not None:
            group.append(fault)
        else:
            made.append([fault])
    return [tuple(group) for group in made]


# what hides others or keeps them from being made
_WIDE = ("scaled-to-nothing", "workload-gone", "rights-missing", "rollout-paused", "quota-full", "quota-nearly-full",
         "limit-range-refuses")  # fmt: skip


# states of one container
_OF_STOREFRONT = ("crash-loop", "image-pull", "bad-image-name", "container-configuration", "restarted-often",
                  "another-build-runs", "build-not-told")  # fmt: skip


def _independent(one: Fault, other: Fault) -> bool:
    if other.in_files or other.name in _WIDE or {one.name, other.name} <= {*_OF_STOREFRONT}:
        return False
    return not {*one.notices, *one.also} & {*other.notices, *other.also}
