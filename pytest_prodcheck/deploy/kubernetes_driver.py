"""The driver `kubernetes`: a copy is a Deployment, traffic is a Service's selector or the weights of an HTTPRoute.

Several strategies, one reading of what is: a copy runs a revision when all its pods are of one template and one of them
is available at least; what was asked for does not count.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.deploy.cluster_client import POLL_INTERVAL, STRATEGIC
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.kubernetes_traffic import (
    InPlaceTraffic,
    RouteWeightsTraffic,
    ServiceSelectorTraffic,
    Traffic,
)
from pytest_prodcheck.deploy.plan import ObservedState, Shares
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.parsing import conditions

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.cluster_client import ClusterClient
    from pytest_prodcheck.deploy.drivers import DriverContext

_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
_DEFAULT_DEADLINE = 600  # `progressDeadlineSeconds`, where left out
_CONTROLLER_DELAY = 3.0  # seconds that the controller may be late to see what we wrote
_CONTAINERS = ("containers", "initContainers")


class KubernetesDriver:
    """Deployments of one namespace, each the copy of a slot."""

    def __init__(self, context: DriverContext, cluster: ClusterClient) -> None:
        from pytest_prodcheck.environments.sections.deploy import deployment_of

        assert context.settings.kubernetes is not None
        assert context.environment is not None
        self._settings, self._slots, self._cluster = context.settings.kubernetes, context.settings.slots, cluster
        self._names = {slot: deployment_of(context.environment, slot) for slot in self._slots}
        self._image = self._settings.image.replace("{unit}", context.unit)
        self._has_digests = "@" in self._image + context.revision
        self._traffic: Traffic = InPlaceTraffic(self._slots)
        if self._settings.route is not None:
            backends = {slot: self._settings.backends.get(slot, self._names[slot]) for slot in self._slots}
            self._traffic = RouteWeightsTraffic(cluster, self._settings.route, backends, self._settings)
        elif self._settings.service is not None:
            self._traffic = ServiceSelectorTraffic(cluster, self._settings.service, self._slots, self._settings)

    def observe(self) -> ObservedState:
        """What each Deployment runs, and how traffic is shared."""
        deployments = {slot: self._deployment(slot) for slot in self._slots}
        revisions = {slot: self._running_revision(each) for slot, each in deployments.items()}
        shares, problem = self._traffic.observe(deployments)
        paused = [self._names[slot] for slot, each in deployments.items() if table(each, "spec").get("paused")]
        if paused:
            problem = problem or f"the Deployment {paused[0]} is paused and would not roll out: resume it"
        return ObservedState(revisions, shares, problem)

    def start(self, slot: str, revision: str) -> None:
        """The Deployment is given the image, and as many pods as the largest; waits until it is rolled out."""
        path = self._path(slot)
        most = max(_desired_replicas(self._deployment(each)) for each in self._slots)
        before = _deadline_report_time(self._cluster.get(path))

        def patch(found: Object) -> Any:
            replicas = max(_desired_replicas(found), most, 1)
            if _desired_replicas(found) == replicas and self._requested_revision(found) == revision:
                return None
            return {"spec": {"replicas": replicas, "template": {"spec": self._pod_template_patch(found, revision)}}}

        self._cluster.change(path, patch, STRATEGIC, watched_part=self._requested_revision)
        self._wait_for_rollout(slot, revision, before)

    def stop(self, slot: str) -> None:
        """The Deployment has no pods any more."""
        path = self._path(slot)
        self._cluster.change(path, lambda found: {"spec": {"replicas": 0}} if _desired_replicas(found) else None)
        end = time.monotonic() + self._settings.timeout
        while not _is_observed(found := self._cluster.get(path)) or _count(found, "replicas"):
            if time.monotonic() > end:
                raise DriverProblem(f"{self._names[slot]} still has {_count(found, 'replicas')} pods")
            time.sleep(POLL_INTERVAL)

    def share(self, shares: Shares) -> None:
        """Traffic is shared so; then `drain` is waited for, which no API can tell the end of."""
        self._traffic.share(shares, {slot: self._deployment(slot) for slot in self._slots})

    # -- parts

    def _path(self, slot: str) -> str:
        return self._cluster.path("apps/v1", "deployments", self._names[slot])

    def _deployment(self, slot: str) -> Object:
        return self._cluster.get(self._path(slot))

    def _managed_containers(self, found: Object) -> Iterator[tuple[str, str, str]]:
        """List, name and revision of the containers whose image is the declared one."""
        head, _, tail = self._image.partition("{revision}")
        for kind in _CONTAINERS:
            for each in rows(found, "spec", "template", "spec", kind):
                image = str(each.get("image", ""))
                if not self._has_digests:  # webhooks that verify images add the digest that a tag stands for
                    image = image.partition("@")[0]
                if len(image) > len(head + tail) and image.startswith(head) and image.endswith(tail):
                    yield kind, str(each.get("name")), image[len(head) : len(image) - len(tail)]

    def _requested_revision(self, found: Object) -> str:
        """The revision that the template names, "" for none or several."""
        revisions = {revision for _, _, revision in self._managed_containers(found)}
        return revisions.pop() if len(revisions) == 1 else ""

    def _running_revision(self, found: Object) -> str:
        """The revision that all pods run, "" where they are not all of one template, or none is available.

        How many have to be is no question for this: an autoscaler that adds pods makes most of them unavailable.
        """
        of_one = _is_observed(found) and _count(found, "updatedReplicas") == _count(found, "replicas") > 0
        return self._requested_revision(found) if of_one and _count(found, "availableReplicas") else ""

    def _pod_template_patch(self, found: Object, revision: str) -> Object:
        """The part of a pod template that changes."""
        given: dict[str, list[Object]] = {}
        for kind, name, _ in self._managed_containers(found):
            given.setdefault(kind, []).append({"name": name, "image": self._image.replace("{revision}", revision)})
        if not given:
            named = table(found, "metadata").get("name")
            raise DriverProblem(f"no container of {named} has an image of the form {self._image}")
        return dict(given)

    def _wait_for_rollout(self, slot: str, revision: str, before: str) -> None:
        """Until all pods are the new ones and available. before: when a deadline of an earlier roll-out was told.

        Kubernetes tells none where a Deployment goes back to an earlier template or grows, so it is counted here.
        """
        began = moved = time.monotonic()
        name, last = self._names[slot], (-1, -1, -1)
        while True:
            found = self._deployment(slot)
            if self._requested_revision(found) != revision:
                raise DriverProblem(f"another client changed the image of {name} during the rollout")
            if table(found, "spec").get("paused"):
                raise DriverProblem(f"another client paused {name} during the rollout: resume it")
            wanted = _desired_replicas(found)
            replicas, updated = _count(found, "replicas"), _count(found, "updatedReplicas")
            now = (replicas, updated, _count(found, "availableReplicas"))
            if _is_observed(found) and set(now) == {wanted} and wanted:
                return
            if now != last:
                last, moved = now, time.monotonic()
            told, took = _deadline_report_time(found), time.monotonic() - began
            allowed = float(table(found, "spec").get("progressDeadlineSeconds") or _DEFAULT_DEADLINE)
            stands = time.monotonic() - moved > allowed + _CONTROLLER_DELAY
            if stands or (_is_observed(found) and told and told != before):
                raise DriverProblem(f"{name} made no progress for {allowed:g} s{self._failure_details(found)}")
            if took > self._settings.timeout:
                text = f"{name}: {now[2]} of {wanted} pods are available after {self._settings.timeout:g} s"
                raise DriverProblem(text + self._failure_details(found))
            time.sleep(POLL_INTERVAL)

    def _failure_details(self, found: Object) -> str:
        """What the Deployment and its pods say of it, the first two reasons."""
        from pytest_prodcheck.evidence.kubernetes.parsing import pod
        from pytest_prodcheck.evidence.kubernetes.rollout_reasons import told_by_conditions
        from pytest_prodcheck.evidence.kubernetes.selectors import fits, labels_of
        from pytest_prodcheck.evidence.tools.sanitizing import plain

        failure = conditions(found).get("ReplicaFailure", {})
        message = [str(failure.get("message"))] if failure.get("status") == "True" else []
        with contextlib.suppress(DriverProblem):  # the roll-out has failed all the same
            pods = self._cluster.items(self._cluster.path("v1", "pods"))
            mine = [pod(each) for each in pods if fits(table(found, "spec", "selector"), labels_of(each))]
            message += told_by_conditions(mine)
        return "".join(f": {plain(each, 300)}" for each in dict.fromkeys(message[:2]))


def _desired_replicas(found: Object) -> int:
    value = table(found, "spec").get("replicas")
    return 1 if value is None else int(value)


def _count(found: Object, key: str) -> int:
    return int(table(found, "status").get(key) or 0)


def _is_observed(found: Object) -> bool:
    """Whether the controller has seen the newest specification: its counts are of another one otherwise."""
    return _count(found, "observedGeneration") >= int(table(found, "metadata").get("generation") or 0)


def _deadline_report_time(found: Object) -> str:
    """When it was told that a roll-out makes no progress, "" where it is not."""
    going = conditions(found).get("Progressing", {})
    return str(going.get("lastUpdateTime") or "-") if going.get("reason") == _DEADLINE_EXCEEDED else ""
