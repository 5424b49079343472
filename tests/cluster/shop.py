"""The healthy cluster of the tests: three nodes, a shop of two workloads, and what belongs to them."""

from __future__ import annotations

from typing import Any

from tests.cluster.control_plane import READER, ControlPlane

Object = dict[str, Any]
TOML = """\
version = 1
project = "shop"

[environments.cluster]
revision = "r1"
[environments.cluster.kubernetes]
namespace  = "shop"
kubeconfig = "reader.kubeconfig"
reach      = ["namespace", "secrets", "nodes", "storage"]
manifests  = ["build/*.yaml"]
[environments.cluster.services.storefront]
url      = "http://127.0.0.1:9"
vantage  = "nowhere"
workload = "deployment/storefront"
[environments.cluster.services.orders]
workload = "statefulset/orders"
[environments.cluster.services.shelf]
url      = "http://127.0.0.1:9"
workload = "deployment/storefront"
[environments.cluster.settings.colours]
configmap = "colours"
keys      = { primary = { one_of = ["green", "blue"] } }

[gates.cluster]
select = [
  "*.kubernetes.*", "pre_deploy.configuration.*", "pre_deploy.rollback.plan", "security.encryption.storage",
  "smoke.service.version",
]
"""


def nodes(count: int = 3, cpu: str = "8") -> list[Object]:
    """Nodes that kwok plays."""
    room = {"cpu": cpu, "memory": "16Gi", "pods": "110"}
    return [
        {
            "apiVersion": "v1", "kind": "Node", "metadata": {
                "name": f"node-{number}", "annotations": {"kwok.x-k8s.io/node": "fake"},
                "labels": {"kubernetes.io/hostname": f"node-{number}", "type": "kwok"},
            },
            "status": {"allocatable": room, "capacity": room},
        }
        for number in range(1, count + 1)
    ]  # fmt: skip


def container(image: str = "registry.test/shop:1.0@sha256:" + "a" * 64) -> Object:
    """A container made as it should be."""
    return {
        "name": "app", "image": image, "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}}],
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 1000, "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }  # fmt: skip


def workload(kind: str, name: str, replicas: int = 2) -> Object:
    """A Deployment or StatefulSet of the shop."""
    labels = {"app": name}
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
              "labelSelector": {"matchLabels": labels}}  # fmt: skip
    specification: Object = {
        "replicas": replicas, "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [container()], "serviceAccountName": "shop", "topologySpreadConstraints": [spread]},
        },
    }  # fmt: skip
    if kind == "StatefulSet":
        specification |= {"serviceName": name, "podManagementPolicy": "Parallel"}
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": specification,
    }  # fmt: skip


def service(name: str) -> Object:
    """A service in front of a workload."""
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": name}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
    }  # fmt: skip


def ingress() -> Object:
    """The way in."""
    backend = {"service": {"name": "storefront", "port": {"number": 80}}}
    rule = {"host": "shop.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "shop", "namespace": "shop"}, "spec": {"rules": [rule]},
    }  # fmt: skip


def shipped() -> list[Object]:
    """What the files that are about to be applied hold."""
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"},
         "data": {"color": "green"}},
        workload("Deployment", "storefront"), workload("StatefulSet", "orders"), service("storefront"),
        service("orders"), ingress(),
    ]  # fmt: skip


def beside() -> list[Object]:
    """What the namespace has besides."""
    here = {"namespace": "shop"}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", **here}, "stringData": {"api": "x" * 20}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "shop", **here}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "colours", **here},
         "data": {"primary": "green"}},
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "room", **here},
         "spec": {"hard": {"requests.cpu": "10", "requests.memory": "10Gi", "pods": "20"}}},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "storefront", **here},
         "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "storefront"}}}},
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"},
         "provisioner": "ebs.csi.aws.com", "parameters": {"encrypted": "true"}},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk-1"},
         "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                  "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "disk-1"},
                  "claimRef": {"name": "data", "namespace": "shop"}}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", **here},
         "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeName": "disk-1",
                  "resources": {"requests": {"storage": "1Gi"}}}},
    ]  # fmt: skip


def make(plane: ControlPlane) -> None:
    """Makes the healthy shop, on nodes that take pods again; who reads may list, review and dry-run."""
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    for each in nodes():
        plane.apply(each)
        plane.patch(f"/api/v1/nodes/{each['metadata']['name']}", {"spec": {"unschedulable": None, "taints": None}})
        plane.patch(f"/api/v1/nodes/{each['metadata']['name']}/status", {"status": each["status"]})
    plane.apply(*rights(), *beside(), *shipped())
    plane.patch("/apis/networking.k8s.io/v1/namespaces/shop/ingresses/shop/status",
                {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}})  # fmt: skip


def rights() -> list[Object]:
    """Everything may be read, and applied as far as a dry run goes: RBAC cannot tell a dry run from the real one."""
    rules = [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]},
        {"apiGroups": ["", "apps", "networking.k8s.io", "policy", "discovery.k8s.io"], "resources": ["*"],
         "verbs": ["patch", "create"]},
    ]  # fmt: skip
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": rules},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "reader"},
         "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "reader"},
         "subjects": [{"kind": "User", "name": "prodcheck", "apiGroup": group}]},
    ]  # fmt: skip


__all__ = ["READER", "TOML", "beside", "make", "shipped"]
