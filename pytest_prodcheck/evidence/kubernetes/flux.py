"""Whether Flux deletes and makes anew what it cannot change: `force` of a Kustomization, or of one object.

https://fluxcd.io/flux/components/kustomize/kustomizations/#force
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_MARK = "kustomize.toolkit.fluxcd.io"


def forces(item: Object, live: Object | None, context: Context, deadline: Deadline) -> bool:
    """Told by the object's label or annotation, else by the Kustomization that its live copy names."""
    for part in ("annotations", "labels"):
        if str(table(item, "metadata", part).get(f"{_MARK}/force", "")).lower() == "enabled":
            return True
    labels = table(live, "metadata", "labels")
    name, space = str(labels.get(f"{_MARK}/name") or ""), str(labels.get(f"{_MARK}/namespace") or "")
    if not name or not space:
        return False
    path = f"/apis/{_MARK}/v1/namespaces/{quote(space, safe='')}/kustomizations/{quote(name, safe='')}"

    def ask() -> bool:
        try:
            found = api(context, deadline).live(path, deadline)
        except EvidenceProblem as error:
            deadline.note(f"cannot read whether the Kustomization {space}/{name} sets force: {error.problem.message}")
            return False
        return table(found, "spec").get("force") is True

    return context.once(("flux-kustomization", space, name), ask, deadline)
