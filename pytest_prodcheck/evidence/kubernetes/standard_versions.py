"""Which version of the Pod Security Standards the namespace is measured by: the one it enforces, else the server's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.objects import table
from pytest_prodcheck.evidence.kubernetes.pod_security import LATEST
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_LABEL = "pod-security.kubernetes.io/enforce-version"


def enforced_minor(context: Context, deadline: Deadline) -> int:
    """The minor version; LATEST where neither namespace nor server tell one."""

    def ask() -> int:
        server = api(context, deadline)
        told = minor_of(server.get("/version", deadline).get("gitVersion"))
        try:
            space = server.live(f"/api/v1/namespaces/{server.namespace}", deadline) or {}
        except EvidenceProblem as error:
            if error.problem.kind != "denied":
                raise
            deadline.note(
                "prodcheck may not read the labels of the namespace: pods are checked against "
                "the server's own version of the standard"
            )
            return told
        return min(told, minor_of(table(space, "metadata", "labels").get(_LABEL)))

    return context.once(("kubernetes-standard",), ask, deadline)


def minor_of(version: object) -> int:
    """34 of "v1.34" and "1.34.2"; LATEST of what tells none."""
    found = re.match(r"v?1\.([0-9]{1,4})", str(version or ""))
    return int(found[1]) if found else LATEST
