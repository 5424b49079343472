"""Namespaces whose Pod Security level changes with the same files: their pods are judged by the level to come."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_prodcheck.evidence.kubernetes.objects import Object
from pytest_prodcheck.evidence.kubernetes.pod_security import baseline, restricted
from pytest_prodcheck.evidence.kubernetes.selectors import labels_of
from pytest_prodcheck.evidence.kubernetes.standard_versions import minor_of
from pytest_prodcheck.records.kubernetes import Manifest

_ENFORCE = "pod-security.kubernetes.io/enforce"
REFUSED = "violates PodSecurity"  # as the admission plug-in words it


@dataclass(frozen=True)
class Standard:
    """What a namespace will enforce: "privileged", "baseline" or "restricted", in a minor version."""

    level: str
    minor: int
    name: str  # "restricted:v1.34"

    def broken_by(self, pod: Object) -> list[str]:
        """What of a pod it forbids."""
        if self.level == "privileged":
            return []
        found = list(baseline(pod, self.minor))
        if self.level == "restricted":
            found += restricted(pod, self.minor)
        return [what for _, what in found]


def changed(live: Object | None, coming: Object, server: int) -> Standard | None:
    """What a namespace will enforce that enforces something else now; None for no change.

    coming: the namespace as it will be; server: the minor version of the API server.
    """
    before, after = (_enforced_standard(labels_of(each)) for each in (live or {}, coming))
    if before == after:
        return None
    level, version = after
    return Standard(level, min(server, minor_of(version)), f"{level}:{version}")


def _enforced_standard(labels: dict[str, str]) -> tuple[str, str]:
    return labels.get(_ENFORCE) or "privileged", labels.get(f"{_ENFORCE}-version") or "latest"


def manifest_under_standard(made: Manifest, pod: Object, standard: Standard) -> Manifest:
    """A pod that was dry-run, as the namespace will take it; pod: as the server filled it in, if it took it."""
    by_old = not made.accepted and REFUSED in made.said
    if not made.accepted and not by_old:
        return made
    if broken := standard.broken_by(pod):
        later = "which its namespace will enforce after the same files are applied"
        said = f'{REFUSED} "{standard.name}", {later}: {"; ".join(broken)}'
        return replace(made, accepted=False, said=said)
    if by_old:
        return replace(made, said="", waits="the same files change the Pod Security level of its namespace")
    return made
