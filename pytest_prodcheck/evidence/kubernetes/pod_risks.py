"""What a pod may do to its node (grave), and what makes it easier to get there (slight)."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_prodcheck.evidence.kubernetes.objects import Object
from pytest_prodcheck.evidence.kubernetes.pod_security import LATEST, baseline, restricted

_OPEN_ALONE = ("hostPorts", "hostProbes")  # forbidden by the baseline standard, and no power over the node


def baseline_violations(pod: Object, minor: int = LATEST) -> Iterator[str]:
    """What the baseline standard forbids, but for ports and probes of the host."""
    return (what for rule, what in baseline(pod, minor) if rule not in _OPEN_ALONE)


def restricted_violations(pod: Object, minor: int = LATEST) -> Iterator[str]:
    """Those, and what the restricted standard forbids besides."""
    yield from (what for rule, what in baseline(pod, minor) if rule in _OPEN_ALONE)
    yield from (what for _, what in restricted(pod, minor))
