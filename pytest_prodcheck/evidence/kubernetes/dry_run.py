"""`kubernetes-manifests`: each object that is about to be applied, as a dry run on the server takes it.

A server-side apply with `dryRun=All`: admission, defaults and validation run, nothing is stored. Needs the right to
patch those kinds. https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.cluster import host, seconds
from pytest_prodcheck.evidence.kubernetes.manifest_files import documents, shown
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.template_pods import counts, pod_of
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.kubernetes import KubernetesManifests, Manifest

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_NO_SUCH_FIELD = "failed to create typed patch object"  # a field that the schema lacks: answered with 500
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')  # RFC 9110 had it; Kubernetes sends it for deprecations


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    cluster = environment.kubernetes
    where = f"Kubernetes API ({(cluster and cluster.context) or 'current context'})"
    return (Sending(where, "PATCH each object of kubernetes.manifests with dryRun=All, which stores nothing"),
            Sending(where, "POST a pod of each template in them with dryRun=All"))  # fmt: skip


@evidence("kubernetes-manifests", axis="kubernetes", feature="manifests", seconds=seconds, host=host, sends=_sends)
def kubernetes_manifests(target: str, context: Context, deadline: Deadline) -> KubernetesManifests:
    """All objects of the files, dry-run one after the other."""
    version = str(api(context, deadline).get("/version", deadline).get("gitVersion", ""))
    found = documents(context)
    told = []
    for file, each in found:
        told.append(_dry_run(file, each, context, deadline))
        if told[-1].accepted and (pod := pod_of(each)) is not None:
            told.append(_its_pods(told[-1], each, pod, [item for _, item in found], context, deadline))
    return KubernetesManifests(tuple(told), version)


def _its_pods(
    of: Manifest, item: Object, pod: Object, objects: list[Object], context: Context, deadline: Deadline
) -> Manifest:
    server = api(context, deadline)
    space = str(table(item, "metadata").get("namespace") or server.namespace)
    answer = server.create(f"/api/v1/namespaces/{quote(space, safe='')}/pods", pod, deadline)
    made = _told(f"{of.name}: its pods", "v1", "Pod", answer, "create")
    if made.accepted or made.problem is not None or counts(made.said, objects):
        return made
    return Manifest(made.name, "v1", "Pod", served=True, accepted=True)


def _dry_run(file: str, item: Object, context: Context, deadline: Deadline) -> Manifest:
    name, kind, version = f"{file}: {shown(item)}", str(item["kind"]), str(item["apiVersion"])
    try:
        resource = _resource(version, kind, context, deadline)
    except EvidenceProblem as error:
        return Manifest(name, version, kind, True, False, problem=error.problem)
    if resource is None:
        return Manifest(name, version, kind, served=False, accepted=False, said=f"{version} {kind} is not served")
    plural, namespaced = resource
    server = api(context, deadline)
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    own = str(table(item, "metadata").get("name", ""))
    space = table(item, "metadata").get("namespace") or server.namespace
    where = f"/namespaces/{quote(str(space), safe='')}" if namespaced else ""
    path = f"{root}{where}/{plural}/{quote(own, safe='')}"
    return _told(name, version, kind, server.apply(path, item, deadline), "patch")


def _told(name: str, version: str, kind: str, answer: tuple[int, bytes, str], verb: str) -> Manifest:
    status, content, warnings = answer
    told = tuple(found.replace('\\"', '"') for found in _WARNING.findall(warnings))
    if 200 <= status < 300:
        return Manifest(name, version, kind, True, True, warnings=told)
    said = _message(content)
    if status in (401, 403) and "forbidden: User" in said:
        hint = f"grant {verb} on it to the role that prodcheck uses: `prodcheck grants --kubernetes` prints the rest"
        return Manifest(name, version, kind, True, False, said, told, Problem("denied", f"{name}: {said}", hint))
    if (status == 429 or status >= 500) and _NO_SUCH_FIELD not in said:
        return Manifest(name, version, kind, True, False, said, told, Problem("protocol", f"{name}: {status}: {said}"))
    return Manifest(name, version, kind, True, False, said, told)


def _message(content: bytes) -> str:
    try:
        document = json.loads(content)
    except ValueError:
        return "no JSON"
    return str(document.get("message", ""))[:1000] if isinstance(document, dict) else "no JSON object"


def _resource(version: str, kind: str, context: Context, deadline: Deadline) -> tuple[str, bool] | None:
    """Plural and whether it lies in a namespace; None where the server does not serve this version of the kind."""
    path = f"/apis/{version}" if "/" in version else f"/api/{version}"

    def ask() -> dict[str, tuple[str, bool]] | None:
        status, text = api(context, deadline).text(path, deadline)
        if status == 404:
            return None
        if status != 200:
            raise EvidenceProblem(Problem("protocol", f"GET {path}: answered {status}"))
        return {
            str(each.get("kind")): (str(each.get("name")), bool(each.get("namespaced")))
            for each in rows(json.loads(text), "resources")
            if "/" not in str(each.get("name"))
        }

    known = context.once(("kubernetes-resources", version), ask, deadline)
    return None if known is None else known.get(kind)
