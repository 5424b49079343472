"""`kubernetes-manifests`: each object that is about to be applied, dry-run on the server as its deployer will apply it.

How that is, is read from the live object (`apply_methods.py`). A pod of each template is dry-run as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.apply_methods import FLUX, ApplyMethod, apply_method, most_common
from pytest_prodcheck.evidence.kubernetes.apply_requests import applied
from pytest_prodcheck.evidence.kubernetes.cluster import host, seconds
from pytest_prodcheck.evidence.kubernetes.dry_run_answers import with_answer
from pytest_prodcheck.evidence.kubernetes.flux import forces
from pytest_prodcheck.evidence.kubernetes.future_pod_security import Standard, changed, manifest_under_standard
from pytest_prodcheck.evidence.kubernetes.helm_releases import pending_releases
from pytest_prodcheck.evidence.kubernetes.manifest_files import documents, kind_and_name
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.kubernetes.openapi import kind_description
from pytest_prodcheck.evidence.kubernetes.prerequisites import UNKNOWN, unmet_prerequisite
from pytest_prodcheck.evidence.kubernetes.resolved_objects import ResolvedObject, resolved_object
from pytest_prodcheck.evidence.kubernetes.standard_versions import minor_of
from pytest_prodcheck.evidence.kubernetes.template_pods import filled_in_later, pod_of, refuses_rollout
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.kubernetes import KubernetesManifests, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

    T = TypeVar("T")

AT_ONCE = 6  # requests


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    cluster = environment.kubernetes
    where = f"Kubernetes API ({(cluster and cluster.context) or 'current context'})"
    return (Sending(where, "GET each object of kubernetes.manifests"),
            Sending(where, "PATCH, PUT or POST each of them with dryRun=All, which stores nothing"),
            Sending(where, "POST a pod of each template in them with dryRun=All"),
            Sending(where, "GET secrets of Helm of pending releases, where reach names secrets"))  # fmt: skip


@dataclass(frozen=True)
class _DryRun:
    """One object with its way (None for one that is new and says nothing of it), or why it cannot be asked about."""

    asked: Manifest
    item: Object
    place: ResolvedObject | None = None
    way: ApplyMethod | None = None


@dataclass(frozen=True)
class _FileObjects:
    """All objects, and what their namespaces will enforce that enforce something else now."""

    objects: list[Object]
    standards: dict[str, Standard]


@evidence("kubernetes-manifests", axis="kubernetes", feature="manifests", seconds=seconds, host=host, sends=_sends)
def kubernetes_manifests(target: str, context: Context, deadline: Deadline) -> KubernetesManifests:
    """All objects of the files, and a pod of each template, in their order."""
    version = str(api(context, deadline).get("/version", deadline).get("gitVersion", ""))
    found = documents(context)
    jobs = _run_concurrently([partial(_plan_dry_run, file, each, context, deadline) for file, each in found], deadline)
    usual = most_common(each.way for each in jobs)
    files = _FileObjects([item for _, item in found], _standards(jobs, usual, version, context, deadline))
    results = _run_concurrently([partial(_dry_run, each, usual, files, context, deadline) for each in jobs], deadline)
    lives = [each.place.live for each in jobs if each.place is not None]
    pending = pending_releases(lives, context, deadline)
    return KubernetesManifests((*(each for pair in results for each in pair), *pending), version)


def _standards(
    jobs: Sequence[_DryRun], usual: ApplyMethod, version: str, context: Context, deadline: Deadline
) -> dict[str, Standard]:
    found = {}
    for each in jobs:
        if each.place is not None and (each.asked.api_version, each.asked.kind) == ("v1", "Namespace"):
            try:
                _, result = _send_dry_run(each, usual, context, deadline)
            except EvidenceProblem:
                continue  # told of the namespace itself
            if result and (standard := changed(each.place.live, result, minor_of(version))):
                found[str(table(result, "metadata").get("name"))] = standard
    return found


def dry_run_result(item: Object, context: Context, deadline: Deadline) -> Object:
    """An object of the files as it would be once it is applied, {} where the server does not say."""
    job = _plan_dry_run("", item, context, deadline)
    if job.place is None or job.asked.problem is not None:
        return {}
    try:
        made, result = _send_dry_run(job, most_common([job.way]), context, deadline)
    except EvidenceProblem:
        return {}
    return result if made.accepted and made.problem is None else {}


def _run_concurrently(jobs: Sequence[Callable[[], T]], deadline: Deadline) -> list[T]:
    """What each returns, a few at a time; raises EvidenceProblem (timeout)."""

    def worker(first: int) -> list[T]:
        return [job() for job in jobs[first::AT_ONCE]]

    shares = side_by_side([partial(worker, first) for first in range(min(AT_ONCE, len(jobs)))], deadline.seconds_left())
    taken: list[list[T]] = []
    for each in shares:
        if each is None:
            raise EvidenceProblem(Problem("timeout", "the dry runs were not done in time", "raise kubernetes.timeout"))
        taken.append(each)
    return [taken[number % AT_ONCE][number // AT_ONCE] for number in range(len(jobs))]


def _plan_dry_run(file: str, item: Object, context: Context, deadline: Deadline) -> _DryRun:
    version, kind = str(item["apiVersion"]), str(item["kind"])
    asked = Manifest(f"{file}: {kind_and_name(item)}", version, kind, served=True, accepted=False)
    cluster = context.environment.kubernetes
    assert cluster is not None
    try:
        place = resolved_object(item, context, deadline)
    except EvidenceProblem as error:
        return _DryRun(replace(asked, problem=error.problem), item)
    if place is None:
        return _DryRun(replace(asked, served=False, said=f"{version} {kind} is not served"), item)
    how = apply_method(place.item, place.live, cluster)
    if how is not None and place.live is not None and _recreates(how, place, cluster.recreate, context, deadline):
        how = replace(how, recreates=True)
    return _DryRun(asked, item, place, how)


def _recreates(
    how: ApplyMethod, place: ResolvedObject, declared: bool | None, context: Context, deadline: Deadline
) -> bool:
    if declared is not None:
        return declared
    return how.manager == FLUX and forces(place.item, place.live, context, deadline)


def _dry_run(
    job: _DryRun, usual: ApplyMethod, files: _FileObjects, context: Context, deadline: Deadline
) -> list[Manifest]:
    asked, place = job.asked, job.place
    if place is None:
        return [_waiting(asked, job.item, files.objects, context, deadline)]
    try:
        made, result = _send_dry_run(job, usual, context, deadline)
    except EvidenceProblem as error:
        return [replace(asked, problem=error.problem)]
    if made.accepted and (pod := pod_of(result)) is not None:
        return [made, _its_pods(made, place, pod, files, context, deadline)]
    pod, standard = pod_of(place.item), files.standards.get(_space(place))
    if standard is not None and asked.kind == "Pod" and place.live is None:
        made = manifest_under_standard(made, result or place.item, standard)
    waiting = _waiting(made, job.item, files.objects, context, deadline)
    if not waiting.waits or pod is None or standard is None:
        return [waiting]
    pods = Manifest(f"{asked.name}: its pods", "v1", "Pod", served=True, accepted=True, waits=waiting.waits)
    refused = manifest_under_standard(pods, pod, standard)
    return [waiting] if refused.accepted else [waiting, replace(refused, waits="")]


def _send_dry_run(job: _DryRun, usual: ApplyMethod, context: Context, deadline: Deadline) -> tuple[Manifest, Object]:
    """What the server says of an object, and the object as it would be; raises EvidenceProblem."""
    asked, how, place = job.asked, job.way or usual, job.place
    assert place is not None
    about = kind_description(asked.api_version, asked.kind, context, deadline)
    if about is None or not about.dry_runs:
        what = f"{asked.name}: the server does not announce dry-run support for {asked.api_version} {asked.kind}"
        raise EvidenceProblem(
            Problem("protocol", what, "without dry-run support the API server would store the object")
        )
    return applied(replace(asked, way=how.shown), place, how, about, context, deadline)


def _space(place: ResolvedObject) -> str:
    return str(table(place.item, "metadata").get("namespace", ""))


def _waiting(made: Manifest, item: Object, items: list[Object], context: Context, deadline: Deadline) -> Manifest:
    doubtful = not made.accepted or any(UNKNOWN in each for each in made.warnings)
    if made.problem is not None or not doubtful:
        return made
    return replace(made, waits=unmet_prerequisite(made, item, items, context, deadline))


def _its_pods(
    of: Manifest, place: ResolvedObject, pod: Object, files: _FileObjects, context: Context, deadline: Deadline
) -> Manifest:
    asked = Manifest(f"{of.name}: its pods", "v1", "Pod", served=True, accepted=False)
    path = f"/api/v1/namespaces/{quote(_space(place), safe='')}/pods"
    try:
        answer = api(context, deadline).dry_run("POST", path, pod, deadline)
        made = with_answer(asked, answer, "create")
    except EvidenceProblem as error:
        return replace(asked, problem=error.problem)
    if made.problem is None and (standard := files.standards.get(_space(place))):
        made = manifest_under_standard(made, json.loads(answer[1]) if made.accepted else pod, standard)
    if made.accepted or made.waits or made.problem is not None:
        return made
    if refuses_rollout(made.said, files.objects) and not filled_in_later(made.said, place.item):
        return made
    return replace(asked, accepted=True)
