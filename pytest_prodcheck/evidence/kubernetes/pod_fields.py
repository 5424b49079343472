"""A page of pods decoded as far as what takes up room: of a large cluster most pods are of other namespaces."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

from pytest_prodcheck.evidence.kubernetes.objects import Object


class _Container(TypedDict, total=False):
    name: Any
    resources: Any
    ports: Any
    restartPolicy: Any


class _Metadata(TypedDict, total=False):
    name: Any
    namespace: Any
    creationTimestamp: Any
    deletionTimestamp: Any
    labels: Any
    ownerReferences: Any


class _Affinity(TypedDict, total=False):
    podAntiAffinity: Any


class _Specification(TypedDict, total=False):
    affinity: _Affinity | None
    hostNetwork: Any
    nodeName: Any
    schedulingGates: Any
    resources: Any
    overhead: Any
    priority: Any
    priorityClassName: Any
    preemptionPolicy: Any
    containers: list[_Container] | None
    initContainers: list[_Container] | None


class _Condition(TypedDict, total=False):
    type: Any
    status: Any
    reason: Any


class _Held(TypedDict, total=False):
    name: Any
    allocatedResources: Any
    resources: Any


class _Status(TypedDict, total=False):
    phase: Any
    reason: Any
    containerStatuses: list[_Held] | None
    initContainerStatuses: list[_Held] | None
    conditions: list[_Condition] | None


class _Pod(TypedDict, total=False):
    metadata: _Metadata
    spec: _Specification
    status: _Status


class _Page(TypedDict, total=False):
    kind: Any
    metadata: Any
    message: Any
    items: list[_Pod] | None


_DECODER = msgspec.json.Decoder(_Page)


def decoded(content: bytes) -> Object:
    """The page with those fields alone; raises ValueError."""
    page: Any = _DECODER.decode(content)
    return dict(page)
