"""How traffic is shared in a cluster: nothing to share, the selector of a Service, the weights of an HTTPRoute.

Only the labels of the selector and the weights of our own backends are changed, and only as they were read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pytest_prodcheck.deploy.cluster_client import JSON_PATCH, POLL_INTERVAL, label_selector
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.plan import Shares, even_shares
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.parsing import conditions
from pytest_prodcheck.evidence.kubernetes.selectors import fits, labels_of

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.cluster_client import ClusterClient
    from pytest_prodcheck.environments.sections.deploy import DeployKubernetes

GATEWAY_API_GROUP = "gateway.networking.k8s.io"
# conditions of a route; one of which a part is invalid stays Accepted: rules are dropped, or as they were before
_BAD_STATUS = {"Accepted": "False", "ResolvedRefs": "False", "PartiallyInvalid": "True"}


class Traffic(Protocol):
    """One way to share it. deployments: slot -> its Deployment."""

    def observe(self, deployments: Mapping[str, Object]) -> tuple[Shares, str]:
        """How it is shared, and why it would not stay so, or "" ."""

    def share(self, shares: Shares, deployments: Mapping[str, Object]) -> None:
        """Shares it and waits until that is seen."""


class InPlaceTraffic:
    """One Deployment, which has all traffic; Kubernetes replaces its pods bit by bit."""

    def __init__(self, slots: tuple[str, ...]) -> None:
        self._slots = slots

    def observe(self, deployments: Mapping[str, Object]) -> tuple[Shares, str]:
        """Nothing else is there."""
        return even_shares(self._slots, frozenset(self._slots)), ""

    def share(self, shares: Shares, deployments: Mapping[str, Object]) -> None:
        """Nothing to share."""
        if shares != self.observe(deployments)[0]:
            raise DriverProblem("the only copy always has all traffic")


class ServiceSelectorTraffic:
    """A Service that selects the pods of one slot: one switch for all traffic."""

    def __init__(self, cluster: ClusterClient, name: str, slots: tuple[str, ...], settings: DeployKubernetes) -> None:
        self._cluster, self._name, self._slots, self._settings = cluster, name, slots, settings
        self._path = cluster.path("v1", "services", name)

    def observe(self, deployments: Mapping[str, Object]) -> tuple[Shares, str]:
        """By the selector."""
        selector = table(self._cluster.get(self._path), "spec", "selector")
        found = _selected_slots(selector, deployments)
        shares = tuple((slot, 100 if found == [slot] else 0) for slot in self._slots)
        whom = "the pods of both copies" if found else "the pods of no copy"
        told = f"the Service {self._name} selects {whom}: {label_selector(selector) or 'no selector'}"
        if len(found) == 1:
            told = _stranger(self._cluster, self._name, selector, deployments[found[0]])
        return shares, told

    def share(self, shares: Shares, deployments: Mapping[str, Object]) -> None:
        """Gives the selector the labels of the other slot's pods, also those by which copies differ, if it has none."""
        live = next((slot for slot, percent in shares if percent == 100), None)
        if live is None:
            raise DriverProblem(
                f"the Service {self._name} sends all traffic to one copy and cannot split it: use `route`"
            )
        labels = _pod_labels(deployments[live])

        def patch(found: Object) -> Any:
            selector = table(found, "spec", "selector")
            before = _selected_slots(selector, deployments)
            if before == [live]:
                return None
            missing = [key for key in selector if key not in labels]
            if missing and len(before) == 1:
                raise DriverProblem(f"the pods of {live} have no label {missing[0]}, which {self._name} selects by")
            desired = {key: labels[key] for key in selector if key in labels}
            if _selected_slots(desired, deployments) != [live]:
                others = [_pod_labels(each) for slot, each in deployments.items() if slot != live]
                own = table(deployments[live], "spec", "selector", "matchLabels")
                desired |= {key: value for key, value in own.items() if any(each.get(key) != value for each in others)}
            return {"spec": {"selector": {**dict.fromkeys(selector), **desired}}}

        self._cluster.change(self._path, patch, watched_part=lambda found: table(found, "spec", "selector"))
        _wait_until(
            lambda: self._serves_only(labels),
            self._settings.timeout,
            f"{self._name} still has endpoints of other copies",
        )
        time.sleep(self._settings.drain)

    def _serves_only(self, labels: Mapping[str, str]) -> bool:
        """Whether all endpoints are pods with these labels, and there are some."""
        slices = self._cluster.path("discovery.k8s.io/v1", "endpointslices")
        listed = self._cluster.items(slices, labelSelector=f"kubernetes.io/service-name={self._name}")
        pods = self._cluster.items(self._cluster.path("v1", "pods"), labelSelector=label_selector(labels))
        mine = {table(each, "metadata").get("name") for each in pods}
        ready = [
            table(each, "targetRef").get("name")
            for one in listed
            for each in rows(one, "endpoints")
            if table(each, "conditions").get("ready") is not False
        ]
        return bool(ready) and set(ready) <= mine


class RouteWeightsTraffic:
    """An HTTPRoute with a backend for each slot: backends of others, and all else of it, are left as they are."""

    def __init__(
        self, cluster: ClusterClient, name: str, backends: Mapping[str, str], settings: DeployKubernetes
    ) -> None:
        self._cluster, self._name, self._backends, self._settings = cluster, name, backends, settings
        self._path = cluster.path(f"{GATEWAY_API_GROUP}/v1", "httproutes", name)

    def observe(self, deployments: Mapping[str, Object]) -> tuple[Shares, str]:
        """By the weights of each rule, which have to agree."""
        found = self._cluster.get(self._path)
        shares = list(self._shares(found))
        if not shares:
            text = f"no rule of the HTTPRoute {self._name} has the backends {self._backend_names}"
            return even_shares(tuple(self._backends), frozenset()), f"{text}: add them to one, with weights"
        problem = "" if len(set(shares)) == 1 else f"rules of the HTTPRoute {self._name} have different weights"
        odd = next((each for each in self._weights_by_rule(found) if not _is_whole(each)), None)
        if odd is not None:
            problem = f"the weights {odd} of the HTTPRoute {self._name} are not whole percentages"
        problem = problem or self._foreign_backend_problem(found) or self._rejection(found)
        return shares[0], problem or self._mixed_backend_problem(deployments)

    def share(self, shares: Shares, deployments: Mapping[str, Object]) -> None:
        """Writes the weights of our own backends, and waits until each gateway took them."""
        desired = dict(shares)

        def patch(found: Object) -> Any:
            if reason := self._foreign_backend_problem(found):
                raise DriverProblem(reason)
            changes = [
                {"op": "add", "path": f"/spec/rules/{rule}/backendRefs/{at}/weight", "value": desired[slot]}
                for rule, at, slot, weight in self._our_backends(found)
                if weight != desired[slot]
            ]
            return changes or None

        self._cluster.change(
            self._path, patch, JSON_PATCH, watched_part=lambda found: [list(self._our_backends(found))]
        )
        _wait_until(self._is_accepted, self._settings.timeout, f"no gateway accepted the HTTPRoute {self._name}")
        time.sleep(self._settings.drain)

    @property
    def _backend_names(self) -> str:
        return ", ".join(self._backends.values())

    def _our_backends(self, route: Object) -> Iterator[tuple[int, int, str, int]]:
        """Rule, place, slot and weight of the backends that are slots."""
        slots = {backend: slot for slot, backend in self._backends.items()}
        for rule, each in enumerate(rows(route, "spec", "rules")):
            for at, backend in enumerate(rows(each, "backendRefs")):
                local = backend.get("namespace") in (None, self._cluster.namespace)
                slot = slots.get(str(backend.get("name"))) if backend.get("kind", "Service") == "Service" else None
                if slot is not None and local:
                    weight = backend.get("weight")
                    yield rule, at, slot, 1 if weight is None else int(weight)

    def _weights_by_rule(self, route: Object) -> Iterable[dict[str, int]]:
        """The weights of each rule with our backends."""
        found: dict[int, dict[str, int]] = {}
        for rule, _, slot, weight in self._our_backends(route):
            found.setdefault(rule, {})[slot] = weight
        return found.values()

    def _shares(self, route: Object) -> Iterator[Shares]:
        """How each rule with our backends shares its traffic; none for any where that is no whole percents."""
        for weights in self._weights_by_rule(route):
            serving = frozenset(slot for slot, weight in weights.items() if weight)
            if not _is_whole(weights):
                yield even_shares(tuple(self._backends), frozenset())
            elif _is_even(weights):
                yield even_shares(tuple(self._backends), serving)
            else:
                total = sum(weights.values())
                yield tuple((slot, 100 * weights.get(slot, 0) // total) for slot in self._backends)

    def _foreign_backend_problem(self, route: Object) -> str:
        """Why not all traffic of our rules is ours, "" where it is."""
        found: dict[int, list[str]] = {}
        for rule, _, slot, _ in self._our_backends(route):
            found.setdefault(rule, []).append(slot)
        for rule, slots in found.items():
            if sorted(slots) != sorted(self._backends):
                route_rule = f"rule {rule + 1} of the HTTPRoute {self._name}"
                return f"{route_rule} must have each of the backends {self._backend_names} exactly once"
            others = [each for each in rows(rows(route, "spec", "rules")[rule], "backendRefs") if each.get("weight", 1)]
            mine = [each for each in self._our_backends(route) if each[0] == rule and each[3]]
            if len(others) != len(mine):
                return f"rule {rule + 1} of the HTTPRoute {self._name} also sends traffic to other backends"
        return ""

    def _mixed_backend_problem(self, deployments: Mapping[str, Object]) -> str:
        """Why a backend is not the pods of its own copy alone, "" where each is: weights would share otherwise."""
        for slot, name in self._backends.items():
            service = self._cluster.get(self._cluster.path("v1", "services", name))
            selector = table(service, "spec", "selector")
            if (found := _selected_slots(selector, deployments)) != [slot]:
                whom = ", ".join(found) or "no copy"
                labels = label_selector(selector) or "no selector"
                return f"the Service {name}, the backend of {slot}, selects the pods of {whom}: {labels}"
            if told := _stranger(self._cluster, name, selector, deployments[slot]):
                return told
        return ""

    def _rejection(self, route: Object) -> str:
        """Why a gateway does not route so, "" where none says so."""
        newest = int(table(route, "metadata").get("generation") or 0)
        for parent in rows(route, "status", "parents"):
            for kind, told in conditions({"status": parent}).items():
                bad = told.get("status") == _BAD_STATUS.get(kind, "")
                if bad and int(told.get("observedGeneration") or newest) >= newest:
                    how = "not " if told["status"] == "False" else ""
                    return f"the HTTPRoute {self._name} is {how}{kind}: {str(told.get('message', ''))[:200]}"
        return ""

    def _is_accepted(self) -> bool:
        """Whether each gateway that the route names has seen it as it is, and takes it."""
        route = self._cluster.get(self._path)
        newest, parents = int(table(route, "metadata").get("generation") or 0), rows(route, "status", "parents")
        if reason := self._rejection(route):
            raise DriverProblem(reason)
        for parent in parents:
            told = conditions({"status": parent}).get("Accepted", {})
            if told.get("status") != "True" or int(told.get("observedGeneration") or 0) < newest:
                return False
        return len({str(table(each, "parentRef")) for each in parents}) >= len(rows(route, "spec", "parentRefs")) > 0


def _is_even(weights: Mapping[str, int]) -> bool:
    return len({weight for weight in weights.values() if weight}) <= 1


def _is_whole(weights: Mapping[str, int]) -> bool:
    """Whether they are whole percents, or as near as even shares come."""
    total = sum(weights.values())
    return _is_even(weights) or not any(100 * weight % total for weight in weights.values())


def _selected_slots(selector: Mapping[str, Any], deployments: Mapping[str, Object]) -> list[str]:
    """The slots whose pods a Service selects."""
    selects = {"matchLabels": selector}
    return [slot for slot, each in deployments.items() if selector and fits(selects, _pod_labels(each))]


def _stranger(cluster: ClusterClient, service: str, selector: Mapping[str, Any], deployment: Object) -> str:
    """Why a Service has traffic go to pods of others as well, "" where it does not."""
    name = table(deployment, "metadata").get("name")
    for pod in cluster.items(cluster.path("v1", "pods"), labelSelector=label_selector(selector)):
        owner = f"{name}-{labels_of(pod).get('pod-template-hash')}"
        mine = any(each.get("name") == owner for each in rows(pod, "metadata", "ownerReferences"))
        if not mine and conditions(pod).get("Ready", {}).get("status") == "True":
            stranger = table(pod, "metadata").get("name")
            return f"the Service {service} selects the pod {stranger} too, which is none of {name}"
    return ""


def _pod_labels(deployment: Object) -> dict[str, str]:
    return labels_of(table(deployment, "spec", "template"))


def _wait_until(condition: Callable[[], bool], seconds: float, timeout_message: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise DriverProblem(f"{timeout_message} within {seconds:g} s")
        time.sleep(POLL_INTERVAL)
