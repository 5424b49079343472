"""Made pods that keep or break the Pod Security Standards in one place or some."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
Change = Callable[[random.Random, Object], None]
_SAFE = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


def pods(count: int, seed: int, space: str) -> list[Object]:
    """So many, half of them restricted but for a few changes, half as pods mostly are."""
    return [_pod(random.Random(f"{seed}-{number}"), f"pod-{number}", space) for number in range(count)]


def _pod(chance: random.Random, name: str, space: str) -> Object:
    kinds = {"containers": chance.choice((1, 1, 2)), "initContainers": chance.choice((0, 0, 1))}
    context = copy.deepcopy(_SAFE) if chance.random() < 0.6 else {}
    told: Object = {
        kind: [
            {"name": f"{kind[:4]}-{number}", "image": "registry.test/x:1", "securityContext": copy.deepcopy(context)}
            for number in range(many)
        ]
        for kind, many in kinds.items()
        if many
    }  # fmt: skip
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": space}, "spec": told}
    if chance.random() < 0.15:
        _windows(pod)
    for change in chance.sample(_CHANGES, chance.choice((0, 1, 1, 2, 3))):
        change(chance, pod)
    return pod


def _windows(pod: Object) -> None:
    pod["spec"]["os"] = {"name": "windows"}
    for kind in ("containers", "initContainers"):
        for each in pod["spec"].get(kind, ()):
            each["securityContext"] = {"runAsNonRoot": True} if each["securityContext"] else {}


def _whole(**values: tuple[Any, ...]) -> Change:
    def change(chance: random.Random, pod: Object) -> None:
        pod["spec"] |= {name: copy.deepcopy(chance.choice(choices)) for name, choices in values.items()}

    return change


def _context(**values: tuple[Any, ...]) -> Change:
    def change(chance: random.Random, pod: Object) -> None:
        told = {name: copy.deepcopy(chance.choice(choices)) for name, choices in values.items()}
        _one(chance, pod).setdefault("securityContext", {}).update(told)

    return change


def _container(**values: tuple[Any, ...]) -> Change:
    def change(chance: random.Random, pod: Object) -> None:
        told = {name: copy.deepcopy(chance.choice(choices)) for name, choices in values.items()}
        pod["spec"]["containers"][0].update(told)

    return change


def _whole_context(**values: tuple[Any, ...]) -> Change:
    def change(chance: random.Random, pod: Object) -> None:
        told = {name: copy.deepcopy(chance.choice(choices)) for name, choices in values.items()}
        pod["spec"].setdefault("securityContext", {}).update(told)

    return change


def _one(chance: random.Random, pod: Object) -> Object:
    found: list[Object] = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]
    return chance.choice(found)


def _noted(chance: random.Random, pod: Object) -> None:
    name = chance.choice(("unconfined", "runtime/default", "localhost/x", ""))
    container = pod["spec"]["containers"][0]["name"]
    pod["metadata"]["annotations"] = {f"container.apparmor.security.beta.kubernetes.io/{container}": name}


def _without(*names: str) -> Change:
    def change(chance: random.Random, pod: Object) -> None:
        for each in pod["spec"]["containers"]:
            each["securityContext"].pop(chance.choice(names), None)

    return change


_SELINUX: tuple[Object, ...] = (
    {"type": "container_t"}, {"type": "container_engine_t"}, {"type": "spc_t"}, {"user": "u"}, {"role": "r"},
    {"level": "s0"}, {},
)  # fmt: skip
_SECCOMP = ({"type": "Unconfined"}, {"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": "p.json"})
_APPARMOR = ({"type": "Unconfined"}, {"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": "p"})
_SYSCTLS = ("kernel.shm_rmid_forced", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.ipv4.tcp_keepalive_time",
            "net.ipv4.ip_local_reserved_ports", "kernel.msgmax", "net.core.somaxconn")  # fmt: skip
_VOLUMES: tuple[Object, ...] = (
    {"hostPath": {"path": "/var"}}, {"nfs": {"server": "s", "path": "/"}}, {"emptyDir": {}},
    {"configMap": {"name": "c"}}, {"csi": {"driver": "x"}}, {"persistentVolumeClaim": {"claimName": "c"}},
    {"image": {"reference": "x"}},
    {"gitRepo": {"repository": "x"}}, {"iscsi": {"targetPortal": "x", "iqn": "iqn.2001-04.com.example:x", "lun": 0}},
    {"projected": {"sources": []}}, {"azureFile": {"secretName": "s", "shareName": "x"}}, {},
    {"ephemeral": {"volumeClaimTemplate": {"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}},
)  # fmt: skip
_HTTP = {"httpGet": {"port": 80, "host": "10.0.0.1"}}
_CHANGES: list[Change] = [
    _whole(hostNetwork=(True, False)), _whole(hostPID=(True,)), _whole(hostIPC=(True,)),
    _whole(hostUsers=(False, False, True)), _whole(volumes=tuple([{"name": "v", **each}] for each in _VOLUMES)),
    _whole_context(sysctls=tuple([{"name": each, "value": "1"}] for each in _SYSCTLS)),
    _whole_context(seLinuxOptions=_SELINUX), _whole_context(seccompProfile=_SECCOMP),
    _whole_context(appArmorProfile=_APPARMOR), _whole_context(runAsNonRoot=(True, False)),
    _whole_context(runAsUser=(0, 1000)), _whole_context(windowsOptions=({"hostProcess": True}, {"hostProcess": False})),
    _context(seLinuxOptions=_SELINUX), _context(seccompProfile=(*_SECCOMP, None)), _context(appArmorProfile=_APPARMOR),
    _context(runAsNonRoot=(True, False, None)), _context(runAsUser=(0, 1000)), _context(privileged=(True, False)),
    _context(allowPrivilegeEscalation=(True, None)), _context(procMount=("Default", "Unmasked")),
    _context(windowsOptions=({"hostProcess": True}, {})),
    _context(capabilities=({"add": ["NET_ADMIN"], "drop": ["ALL"]}, {"add": ["CHOWN"], "drop": ["ALL"]}, {},
                           {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}, {"add": ["CAP_CHOWN"]}, {"drop": ["all"]},
                           {"add": ["ALL"]}, {"add": ["NET_RAW"]}, {"drop": ["CHOWN"]})),
    _container(ports=([{"containerPort": 80, "hostPort": 80}], [{"containerPort": 80, "hostPort": 0}])),
    _container(livenessProbe=(_HTTP, {"tcpSocket": {"port": 80, "host": "x"}}, {"httpGet": {"port": 80}})),
    _container(lifecycle=({"preStop": _HTTP}, {"postStart": {"exec": {"command": ["x"]}}})),
    _noted, _without("seccompProfile", "capabilities"), _without("runAsNonRoot", "allowPrivilegeEscalation"),
    _whole_context(runAsNonRoot=(True,), seccompProfile=({"type": "RuntimeDefault"},)),
]  # fmt: skip
