"""Nodes that come and go: which will soon be gone, which are taken back at will, which are no machines."""

from __future__ import annotations

import dataclasses

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.selectors import labels_of
from pytest_prodcheck.records.kubernetes import Node

# taints that say so: cluster autoscaler, Karpenter (v1 and before), AWS node termination handler, cloud providers, GKE
_LEAVING = (
    "ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted", "karpenter.sh/disruption",
    "aws-node-termination-handler/", "node.cloudprovider.kubernetes.io/shutdown",
    "cloud.google.com/impending-node-termination", "node.kubernetes.io/out-of-service",
)  # fmt: skip
# taints that a new node loses once its agents run: cloud providers', Karpenter's, Cilium's, CSI drivers', autoscaler's
_STARTUP = (
    "node.cloudprovider.kubernetes.io/uninitialized", "karpenter.sh/unregistered", "node.cilium.io/agent-not-ready",
    "ebs.csi.aws.com/agent-not-ready", "efs.csi.aws.com/agent-not-ready",
    "startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/",
)  # fmt: skip
_SPOT = (
    ("karpenter.sh/capacity-type", "spot"), ("eks.amazonaws.com/capacityType", "SPOT"),
    ("cloud.google.com/gke-spot", "true"),
    ("cloud.google.com/gke-preemptible", "true"), ("kubernetes.azure.com/scalesetpriority", "spot"),
    ("node.kubernetes.io/lifecycle", "spot"), ("kops.k8s.io/instancegroup-lifecycle", "spot"),
)  # fmt: skip
_VIRTUAL = (("type", "virtual-kubelet"), ("eks.amazonaws.com/compute-type", "fargate"))
_VIRTUAL_TAINT = "virtual-kubelet.io/"


def leaving_reason(node: Object) -> str:
    """Why a node will soon be gone, "" where nothing says so."""
    if "deletionTimestamp" in table(node, "metadata"):
        return "it is being deleted"
    return next((f"taint {key}" for key in _taints(node) if key.startswith(_LEAVING)), "")


def without_startup_taints(node: Node, since: float) -> Node:
    """A node that joined after `since` as it will be once its agents run: without its taints for the start."""
    if node.joined_at <= since:
        return node
    return dataclasses.replace(node, taints=tuple(each for each in node.taints if not each[0].startswith(_STARTUP)))


def is_spot(node: Object) -> bool:
    """Whether its cloud may take it back at any time."""
    return bool(labels_of(node).items() & set(_SPOT))


def is_virtual(node: Object) -> bool:
    """Whether it is no machine of its own."""
    tainted = any(each.startswith(_VIRTUAL_TAINT) for each in _taints(node))
    return tainted or bool(labels_of(node).items() & set(_VIRTUAL))


def _taints(node: Object) -> list[str]:
    return [str(each.get("key", "")) for each in rows(node, "spec", "taints")]
