"""Made cases: an object, how it came there, what others changed since, and the file that is to be applied now."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Change = Callable[[random.Random, Object], None]


@dataclass
class Case:
    """One case; before is None for an object that is new, drift None where nobody else changed it."""

    before: Object | None
    was_server: bool  # how it was applied
    server: bool  # how it is applied now
    drift: Object | None  # a merge patch of somebody else
    after: Object


def cases(count: int, seed: int, space: str) -> list[Case]:
    """So many, each with a name of its own: one of three by kubectl's patch, one server-side, one changes over."""
    chances = (random.Random(f"{seed}-{number}") for number in range(count))
    return [_case(chance, f"it-{number}", number % 3, space) for number, chance in enumerate(chances)]


def _case(chance: random.Random, name: str, way: int, space: str) -> Case:
    was_server, server = way == 1, way > 0
    make, changes, drifts = chance.choice(_KINDS)
    item = make(chance, name)
    item["metadata"] |= {"name": name, "namespace": space}
    after = copy.deepcopy(item)
    for change in chance.sample(changes, chance.choice((0, 1, 1, 1, 2, 3))):
        change(chance, after)
    if chance.random() < 0.2:
        return Case(None, was_server, server, None, after)
    drift = copy.deepcopy(chance.choice(drifts)) if drifts and chance.random() < 0.4 else None
    return Case(item, was_server, server, drift, after)


def _pod(chance: random.Random, name: str) -> Object:
    app: Object = {
        "name": "app", "image": "registry.test/web:1.0",
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 53},
                  {"name": "dns-udp", "containerPort": 53, "protocol": "UDP"}][: chance.choice((1, 2, 3))],
        "env": [{"name": f"V{number}", "value": str(number)} for number in range(chance.randint(1, 4))],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}},
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
        "args": ["serve", "--verbose"],
    }  # fmt: skip
    side = {"name": "side", "image": "registry.test/side:1.0"}
    return {
        "containers": [app, side][: chance.choice((1, 2))], "volumes": [{"name": "work", "emptyDir": {}}],
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "one"}, {"name": "two"}][: chance.choice((1, 2))],
        "securityContext": {"runAsUser": 1000},
    }  # fmt: skip


def _workload(kind: str) -> Callable[[random.Random, str], Object]:
    def make(chance: random.Random, name: str) -> Object:
        labels = {"app": name}
        told: Object = {"selector": {"matchLabels": labels},
                        "template": {"metadata": {"labels": dict(labels)}, "spec": _pod(chance, name)}}  # fmt: skip
        if kind == "Deployment":
            told |= {"replicas": 0, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
        if kind == "StatefulSet":
            told |= {"replicas": 0, "serviceName": name}
        if kind == "DaemonSet":
            told["template"]["spec"]["nodeSelector"] = {"none": "of-them"}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"labels": {"team": "a"}}, "spec": told}

    return make


def _job(chance: random.Random, name: str) -> Object:
    spec = {"suspend": True, "backoffLimit": 2, "template": {"spec": {**_pod(chance, name), "restartPolicy": "Never"}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": spec}


def _cron(chance: random.Random, name: str) -> Object:
    spec = {"schedule": "0 4 * * *", "suspend": True, "jobTemplate": {"spec": _job(chance, name)["spec"]}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {}, "spec": spec}


def _service(chance: random.Random, name: str) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "metrics", "port": 9090}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"annotations": {"note": "x"}},
            "spec": {"selector": {"app": name}, "ports": ports[: chance.choice((1, 2))]}}  # fmt: skip


def _map(chance: random.Random, name: str) -> Object:
    made: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"finalizers": ["shop.test/keep"]},
                    "data": {f"k{number}": "v" for number in range(chance.randint(1, 4))}}  # fmt: skip
    return made | ({"immutable": True} if chance.random() < 0.3 else {})


def _ingress(chance: random.Random, name: str) -> Object:
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": 80}}}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {},
            "spec": {"rules": [{"host": f"{name}.test", "http": {"paths": [path]}}]}}  # fmt: skip


def _policy(chance: random.Random, name: str) -> Object:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {},
            "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}}  # fmt: skip


def _budget(chance: random.Random, name: str) -> Object:
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}}}  # fmt: skip


def _account(chance: random.Random, name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {}, "imagePullSecrets": [{"name": "one"}]}


def _role(chance: random.Random, name: str) -> Object:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}  # fmt: skip


def _claim(chance: random.Random, name: str) -> Object:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}  # fmt: skip


def _inside(path: str) -> Callable[[Object], tuple[Any, Any]]:
    def find(item: Object) -> tuple[Any, Any]:
        inside: Any = item
        *parents, last = path.split(".")
        for part in parents:
            if part == "template" and "jobTemplate" in inside:
                inside = inside["jobTemplate"]["spec"]
            inside = inside[int(part)] if part.isdecimal() else inside.setdefault(part, {})
        return inside, int(last) if last.isdecimal() else last

    return find


def put(path: str, *values: Any) -> Change:
    """Sets one of the values."""
    find = _inside(path)

    def change(chance: random.Random, item: Object) -> None:
        inside, last = find(item)
        value = copy.deepcopy(chance.choice(values))
        if isinstance(inside, list) and last >= len(inside):
            inside.append(value)
        else:
            inside[last] = value

    return change


def drop(path: str) -> Change:
    """Takes something away."""
    find = _inside(path)

    def change(chance: random.Random, item: Object) -> None:
        inside, last = find(item)
        if isinstance(inside, list):
            del inside[last : last + 1]
        else:
            inside.pop(last, None)

    return change


def _reversed(path: str) -> Change:
    find = _inside(path)

    def change(chance: random.Random, item: Object) -> None:
        inside, last = find(item)
        inside[last] = list(reversed(inside.get(last) or []))

    return change


_C = "spec.template.spec.containers"
_FROM = {"fieldRef": {"fieldPath": "metadata.name"}}
_META: list[Change] = [
    put("metadata.labels", {"team": "b"}, {"team": "not valid!"}, {}, None),
    put("metadata.annotations", {"note": "<b> & ü"}, {"note": "x" * 140_000}, None),
    put("metadata.finalizers", ["shop.test/keep", "shop.test/more"], [], ["no-domain"]),
    put("metadata.unknown", 1), put("unknown", {"a": [1]}),
]  # fmt: skip
_POD: list[Change] = [
    put(f"{_C}.0.env.0", {"name": "V0", "valueFrom": _FROM}, {"name": "V0", "value": "x", "valueFrom": _FROM},
        {"name": "NEW", "value": "y"}, {"value": "nameless"}, {"name": "V1", "value": "twice"}),
    drop(f"{_C}.0.env"), _reversed(f"{_C}.0.env"), _reversed(_C), drop(f"{_C}.0.image"), drop(f"{_C}.0.name"),
    put(f"{_C}.0.name", "renamed"), put(f"{_C}.1", {"name": "app", "image": "x"}, {"name": "more", "image": "x"}),
    put(f"{_C}.0.ports", [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}], [], None,
        [{"name": "http", "containerPort": 9090}], [{"containerPort": 8080}, {"containerPort": 8081}], [{"name": "x"}]),
    put(f"{_C}.0.readinessProbe", {"tcpSocket": {"port": 1}}, {"httpGet": {"path": "/"}}, {"exec": {"command": ["a"]}}),
    put(f"{_C}.0.resources", {"requests": {"cpu": "0.2"}}, {"limits": {"memory": "1"}, "requests": {"memory": "2"}},
        {"requests": {"cpu": "many"}}, {"requests": {"cpu": 1}}),
    put(f"{_C}.0.args", ["other"], [1], "one"), put(f"{_C}.0.imagePullPolicy", "Sometimes", "Always"),
    put(f"{_C}.0.volumeMounts", [{"name": "none", "mountPath": "/x"}], [], [{"name": "work", "mountPath": "/other"}],
        [{"name": "work", "mountPath": "/work"}, {"name": "work", "mountPath": "/work"}]),
    put("spec.template.spec.volumes", [{"name": "work", "configMap": {"name": "x"}}],
        [{"name": "work", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "more", "emptyDir": {}}], [{"name": "work"}]),
    put("spec.template.spec.tolerations", [], [{"key": "b", "operator": "Exists"}], [{"operator": "Odd"}]),
    put("spec.template.spec.imagePullSecrets", [{"name": "two"}], [{}], [{"name": "one"}, {"name": "one"}]),
    put("spec.template.spec.initContainers", [{"name": "first", "image": "x"}], [{"name": "app", "image": "x"}]),
    put("spec.template.spec.securityContext", {}, {"runAsUser": -1}, {"runAsNonRoot": True}, None),
    put("spec.template.spec.restartPolicy", "OnFailure", "Always", "Perhaps"),
    put("spec.template.spec.hostNetwork", True, "yes"), put("spec.template.metadata.labels", {"app": "other"}),
    put("spec.template.spec.topologySpreadConstraints",
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}], [{"maxSkew": 0}]),
]  # fmt: skip
_SELECTOR = put("spec.selector", {"matchLabels": {"app": "other"}}, {}, None)
_REPLICAS = put("spec.replicas", 1, "2", -1, 1.5, None)
_DEPLOYMENT = [
    *_META, *_POD, _SELECTOR, _REPLICAS, put("spec.strategy", {"type": "Recreate"}, {"type": "Odd"}, {}, None,
    {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}, {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
]  # fmt: skip
_STATEFUL = [
    *_META, *_POD, _SELECTOR, _REPLICAS, put("spec.serviceName", "other"), put("spec.podManagementPolicy", "Parallel"),
]  # fmt: skip
_SERVICE = [
    *_META, put("spec.ports", [{"port": 80}, {"port": 9090}], [{"name": "http", "port": 8080}], [], [{"name": "x"}],
                [{"name": "a", "port": 53}, {"name": "b", "port": 53, "protocol": "UDP"}], [{"port": "http"}]),
    put("spec.type", "NodePort", "ExternalName", "Odd"), put("spec.clusterIP", "None", "10.0.0.300"),
    put("spec.selector", {"app": "b", "tier": "c"}, None), put("spec.sessionAffinity", "ClientIP", "None"),
]  # fmt: skip
_JOB = [*_META, *_POD, put("spec.parallelism", 2, -1), put("spec.backoffLimit", 1, "3"), put("spec.completions", 2)]
_CRON = [*_META, *_POD, put("spec.schedule", "never", "*/5 * * * *"), put("spec.concurrencyPolicy", "Forbid", "Odd")]
_MAP = [*_META, put("data", {"k0": "other"}, {}, {"k": 1}, {"bad key": "v"}, None), put("immutable", False, True, None)]
_INGRESS = [
    *_META, put("spec.rules", [], [{"host": "*.*.test"}], [{"host": "b.test"}]), put("spec.ingressClassName", "x", 3),
    put("spec.tls", [{"hosts": ["a.test"], "secretName": "s"}], [{"hosts": ["not valid!"]}]),
]  # fmt: skip
_OTHERS = [*_META, put("spec.selector", {"matchLabels": {"app": "b"}}, None), put("spec.maxUnavailable", 2, "x")]
_ROLE = [*_META, put("rules", [], [{"verbs": []}], [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])]
_ACCOUNT = [*_META, put("imagePullSecrets", [], [{"name": "two"}], [{"name": "one"}, {"name": "two"}])]
_CLAIM = [
    *_META, put("spec.resources.requests.storage", "2Gi", "1"), put("spec.accessModes", ["ReadWriteMany"], []),
    put("spec.storageClassName", "other"),
]  # fmt: skip
_SCALED: list[Object] = [
    {"spec": {"replicas": 0, "minReadySeconds": 3}}, {"spec": {"revisionHistoryLimit": 3}},
    {"metadata": {"labels": {"team": "hand"}, "annotations": {"by": "hand"}}},
    {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "by-hand"}]}}}},
    {"spec": {"template": {"spec": {"tolerations": [], "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["x"]}]}}}},
]
_MARKED: list[Object] = [{"metadata": {"labels": {"by": "hand"}, "annotations": {"note": "hand"}}}]
_KINDS: list[tuple[Callable[[random.Random, str], Object], list[Change], list[Object]]] = [
    (_workload("Deployment"), _DEPLOYMENT, _SCALED), (_workload("Deployment"), _DEPLOYMENT, _SCALED),
    (_workload("Deployment"), _DEPLOYMENT, _SCALED), (_workload("StatefulSet"), _STATEFUL, _SCALED[:3]),
    (_workload("DaemonSet"), [*_META, *_POD, _SELECTOR], _MARKED), (_service, _SERVICE, _MARKED),
    (_service, _SERVICE, [*_MARKED, {"spec": {"selector": {"more": "x"}}}]), (_job, _JOB, _MARKED),
    (_cron, _CRON, _MARKED), (_map, _MAP, [{"data": {"added": "by hand"}}]), (_ingress, _INGRESS, _MARKED),
    (_policy, _OTHERS, _MARKED), (_budget, _OTHERS, _MARKED), (_account, _ACCOUNT, _MARKED), (_role, _ROLE, _MARKED),
    (_claim, _CLAIM, _MARKED),
]  # fmt: skip
