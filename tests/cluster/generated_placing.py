"""Drawn workloads whose pods want something of other pods, of zones, volumes or devices; each on nodes of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
SPACE, OTHER = "placing", "placing-others"
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
GPU, PAGES = "example.com/gpu", "hugepages-2Mi"


@dataclass
class Placing:
    """A workload as it is and as it shall be, its nodes, and what is there besides."""

    name: str
    nodes: list[Object] = field(default_factory=list)
    beside: list[Object] = field(default_factory=list)  # other workloads, volumes, classes and claims, made before it
    before: Object | None = None
    after: Object = field(default_factory=dict)
    fits: bool | None = None  # as the report tells; None: as the scheduler says
    told: list[str] = field(default_factory=list)  # what was drawn, for messages

    def __repr__(self) -> str:
        return f"{self.name}: {', '.join(self.told)}"


class _Drawn(Placing):
    """One of a seed."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name, told=[f"seed {seed}"])
        self.seed, self._draw = seed, random.Random(seed)
        self._zones = [f"{self.name}-{each}" for each in "abc"[: self._draw.randint(1, 3)]]
        for number in range(self._draw.randint(2, 5)):
            self.nodes.append(self._node(number))
        kind = self._draw.choice(["Deployment", "Deployment", "Deployment", "StatefulSet", "DaemonSet"])
        pod: Object = {}
        for each in self._draw.sample([self._near, self._apart, self._spread, self._devices, self._volume],
                                      self._draw.choice([1, 1, 1, 2, 2, 3])):  # fmt: skip
            each(pod, kind)
        cpus = [250 * self._draw.randint(1, 8), 250 * self._draw.randint(1, 12)]
        was, will = self._draw.randint(1, 4), self._draw.randint(1, 6)
        strategy = self._draw.choice(
            [None, _rolling(1, 0), _rolling(0, 1), _rolling("50%", "50%"), {"type": "Recreate"}]
        )
        self.after = self._workload(kind, cpus[1], will, pod, strategy)
        if self._draw.random() < 0.75:
            old = pod if kind == "StatefulSet" or self._draw.random() < 0.5 else {}
            self.before = self._workload(kind, cpus[0], was, old, strategy)

    def _node(self, number: int) -> Object:
        room = {"cpu": str(self._draw.choice([4, 8])), "memory": "16Gi", "pods": "20"}
        if self._draw.random() < 0.6:
            room |= {GPU: str(self._draw.randint(1, 4)), PAGES: f"{64 * self._draw.randint(1, 4)}Mi"}
        labels: Object = {}
        if number < len(self._zones) or self._draw.random() < 0.9:
            labels[ZONE] = self._zones[number % len(self._zones)]
        effect = "NoSchedule" if number >= 2 and self._draw.random() < 0.1 else "PreferNoSchedule"
        return node(self.name, number, room, effect, **labels)

    def _workload(self, kind: str, cpu: int, replicas: int, more: Object, strategy: Object | None) -> Object:
        asked = {"cpu": f"{cpu}m", "memory": "64Mi", **more.get("asked", {})}
        container = {"name": "app", "image": "registry.test/web:1", "resources": {"requests": asked}}
        if devices := {name: amount for name, amount in asked.items() if name in (GPU, PAGES)}:
            container["resources"] = {"requests": asked, "limits": devices}
        labels = {"app": self.name, **more.get("labels", {})}
        pod = {**more.get("pod", {}), "nodeSelector": {"pool": self.name}, "containers": [container]}
        spec: Object = {"selector": {"matchLabels": {"app": self.name}},
                        "template": {"metadata": {"labels": labels}, "spec": pod}}  # fmt: skip
        self.told.append(f"{kind} {replicas} x {cpu}m")
        if kind != "DaemonSet":
            spec["replicas"] = replicas
        if kind == "Deployment" and strategy:
            spec["strategy"] = strategy
            self.told.append(str(strategy))
        if kind == "StatefulSet":
            policy = "Parallel" if self.seed % 2 else "OrderedReady"
            spec |= {"serviceName": "none", "podManagementPolicy": policy, **more.get("set", {})}
        return _object("apps/v1", kind, self.name, spec)

    def _other(self, space: str, replicas: int, **pod: Any) -> Object:
        """Another workload on the same nodes."""
        name = f"{self.name}-other"
        container = {"name": "app", "image": "registry.test/web:1", "resources": {"requests": {"cpu": "100m"}}}
        spec = {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                         "spec": {"nodeSelector": {"pool": self.name}, "containers": [container], **pod}},
        }  # fmt: skip
        return _object("apps/v1", "Deployment", name, spec, space)

    def _near(self, pod: Object, kind: str) -> None:
        """Affinity to other pods, or to its own."""
        key = self._draw.choice([ZONE, ZONE, HOST])
        term: Object = {"topologyKey": key}
        if self._draw.random() < 0.3:
            self.told.append(f"near its own by {key}")
            term["labelSelector"] = {"matchLabels": {"app": self.name}}
        else:
            space = self._draw.choice([SPACE, SPACE, OTHER])
            count = self._draw.choice([0, 1, 1, 2])
            self.told.append(f"near {count} others of {space} by {key}")
            self.beside.append(self._other(space, count))
            term["labelSelector"] = {"matchLabels": {"app": f"{self.name}-other"}}
            if space == OTHER:
                term |= self._draw.choice([
                    {"namespaces": [OTHER]}, {"namespaceSelector": {}},
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": OTHER}}},
                ])  # fmt: skip
        _affinity(pod, "podAffinity", term)

    def _apart(self, pod: Object, kind: str) -> None:
        """Anti-affinity to others, to its own, or of others to it."""
        key = self._draw.choice([ZONE, HOST, HOST])
        which = self._draw.choice(["own", "others", "theirs", "this version"])
        self.told.append(f"apart ({which}) by {key}")
        term: Object = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": self.name}}}
        if which == "theirs":
            theirs = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
            space = self._draw.choice([SPACE, OTHER])
            if space == OTHER:
                term["namespaces"] = [SPACE]
            self.beside.append(self._other(space, self._draw.randint(1, 2), affinity=theirs))
            return
        if which == "others":
            self.beside.append(self._other(SPACE, self._draw.randint(1, 2)))
            term["labelSelector"] = {"matchExpressions": [
                {"key": "app", "operator": "In", "values": [f"{self.name}-other"]}]}  # fmt: skip
        if which == "this version" and kind == "Deployment":
            term["matchLabelKeys"] = ["pod-template-hash"]
        _affinity(pod, "podAntiAffinity", term)

    def _spread(self, pod: Object, kind: str) -> None:
        """A spread constraint that must hold."""
        key = self._draw.choice([ZONE, ZONE, HOST])
        one: Object = {
            "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "maxSkew": self._draw.choice([1, 1, 2]),
            "labelSelector": {"matchLabels": {"app": self.name}},
        }  # fmt: skip
        if self._draw.random() < 0.2:
            one["minDomains"] = self._draw.randint(2, 3)
        if self._draw.random() < 0.3:
            one["nodeTaintsPolicy"] = "Honor"
        if self._draw.random() < 0.2:
            one["nodeAffinityPolicy"] = "Ignore"
        if kind == "Deployment" and self._draw.random() < 0.4:
            one["matchLabelKeys"] = ["pod-template-hash"]
        self.told.append(f"spread {one}")
        pod.setdefault("pod", {})["topologySpreadConstraints"] = [one]

    def _devices(self, pod: Object, kind: str) -> None:
        """GPUs, hugepages or host ports."""
        asked = self._draw.choice([{GPU: str(self._draw.randint(1, 2))}, {PAGES: f"{32 * self._draw.randint(1, 4)}Mi"}])
        self.told.append(f"asks for {asked}")
        pod.setdefault("asked", {}).update(asked)

    def _volume(self, pod: Object, kind: str) -> None:
        """A claim that is bound in a zone, claims that are bound with their pods, or volumes that lie ready."""
        zone = self._draw.choice(self._zones)
        which = self._draw.choice(["bound", "made", "ready"] if kind == "StatefulSet" else ["bound", "made"])
        self.told.append(f"volume {which} in {zone}")
        claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}},
                 "storageClassName": self.name}  # fmt: skip
        kept = {"key": ZONE, "operator": "In", "values": [zone]}
        only = [{"matchLabelExpressions": [{"key": ZONE, "values": [zone]}]}] if self._draw.random() < 0.6 else []
        self.beside.append({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": self.name},
            "provisioner": "prodcheck.test/zonal" if which == "made" else "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer", **({"allowedTopologies": only} if which == "made" else {}),
        })  # fmt: skip
        if which != "made":
            for number in range(1 if which == "bound" else self._draw.randint(1, 5)):
                self.beside.append(volume(f"{self.name}-{number}", self.name, kept))
        if which == "bound":
            self.beside[-1]["spec"]["claimRef"] = {"namespace": SPACE, "name": self.name}
            claim["volumeName"] = f"{self.name}-0"
        if kind == "StatefulSet" and which != "bound":
            pod["set"] = {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}]}
            return
        self.beside.append(_object("v1", "PersistentVolumeClaim", self.name, claim))
        pod.setdefault("pod", {})["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": self.name}}]


def node(pool: str, number: int, room: Object, effect: str = "PreferNoSchedule", **labels: str) -> Object:
    """A node of kwok's for one workload."""
    told = {"pool": pool, HOST: f"{pool}-{number}", "type": "kwok", **labels}
    return {"apiVersion": "v1", "kind": "Node", "spec": {"taints": [{"key": "pool", "value": pool, "effect": effect}]},
            "metadata": {"name": f"{pool}-{number}", "labels": told, "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "status": {"allocatable": room, "capacity": room}}  # fmt: skip


def volume(name: str, kind: str, kept: Object | None) -> Object:
    """A PersistentVolume; kept: where it can be used."""
    affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [kept]}]}}} if kept else {}
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "storageClassName": kind,
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/data"}, **affinity},
    }  # fmt: skip


def _object(version: str, kind: str, name: str, spec: Object, space: str = SPACE) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": space}, "spec": spec}


def _affinity(pod: Object, which: str, term: Object) -> None:
    told = pod.setdefault("pod", {}).setdefault("affinity", {})
    told[which] = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}


def _rolling(surge: object, unavailable: object) -> Object:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def drawn(count: int, seed: int) -> Iterator[Placing]:
    """So many of them."""
    for number in range(count):
        yield _Drawn(f"p{number}", seed * 1000 + number)
