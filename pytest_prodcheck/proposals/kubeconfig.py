"""From a kubeconfig: its current context. The file is named, nothing of it is copied."""

from __future__ import annotations

import os
from typing import Any

from pytest_prodcheck.proposals.proposal import CannotPropose, Proposal, name_of


def from_kubeconfig(document: dict[str, Any], source: str) -> Proposal:
    """Raises CannotPropose where it has no current context."""
    current = document.get("current-context")
    contexts = {str(each.get("name")): each.get("context") for each in document["contexts"] if isinstance(each, dict)}
    context = contexts.get(str(current))
    if not isinstance(context, dict):
        known = ", ".join(list(contexts)[:5]) or "none"
        raise CannotPropose(f"{source} has no current context (there are: {known}): kubectl config use-context NAME")
    namespace = name_of(str(context.get("namespace") or "default"))
    section = {"namespace": namespace, "context": str(current), "kubeconfig": os.path.abspath(source)}
    notes = [
        "`prodcheck grants --env NAME --kubernetes` prints the permissions that it needs.",
        'add "nodes" and "storage" to `reach` if prodcheck may read them.',
        "declare the services that run there: prodcheck init --from https://…",
    ]
    return Proposal(namespace, True, {"kubernetes": section}, notes)
