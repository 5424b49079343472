"""Helm's releases of the files' objects that no upgrade can begin from: Helm was killed in the middle of one.

https://github.com/helm/helm/issues/11863
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.kubernetes.selectors import labels_of
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.kubernetes import Manifest

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_PENDING = ("pending-install", "pending-upgrade", "pending-rollback")
_FLUX = "helm.toolkit.fluxcd.io/name"  # label: of Flux, which unlocks releases itself


def pending_releases(lives: Iterable[Object | None], context: Context, deadline: Deadline) -> Iterator[Manifest]:
    """Each release whose newest revision is pending, as an object that would be refused; needs reach "secrets"."""
    cluster = context.environment.kubernetes
    if cluster is None or "secrets" not in cluster.reach:
        return
    for name, space in sorted({_release(each) for each in lives if each is not None} - {("", "")}):
        try:
            newest = _newest_status(name, space, context, deadline)
        except EvidenceProblem as error:
            deadline.note(f"whether the Helm release {name} is pending could not be read: {error.problem.message}")
            continue
        if newest in _PENDING:
            said = f"the release is {newest}: helm refuses, because another operation is in progress or was killed"
            yield Manifest(f"Helm release {space}/{name}", "v1", "Secret", served=True, accepted=False, said=said,
                           way="helm upgrade")  # fmt: skip


def _release(live: Object) -> tuple[str, str]:
    notes = table(live, "metadata", "annotations")
    if _FLUX in labels_of(live):
        return "", ""
    return str(notes.get("meta.helm.sh/release-name") or ""), str(notes.get("meta.helm.sh/release-namespace") or "")


def _newest_status(name: str, space: str, context: Context, deadline: Deadline) -> str:
    """Of most releases nothing is read: their revisions are large, and none is pending."""
    path, mine = f"/api/v1/namespaces/{quote(space, safe='')}/secrets", f"owner=helm,name={name}"
    server = api(context, deadline)
    if not server.items(path, deadline, labels_of, labelSelector=f"{mine},status in ({','.join(_PENDING)})"):
        return ""
    revisions = server.items(path, deadline, labels_of, labelSelector=mine)
    newest: dict[str, str] = max(revisions, key=_revision, default={})
    return newest.get("status", "")


def _revision(labels: dict[str, str]) -> int:
    return int(labels["version"]) if labels.get("version", "").isdecimal() else 0
