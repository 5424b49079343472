"""How traffic is shared in a cluster: nothing to share, the selector of a Service, the weights of an HTTPRoute.

Only the labels of the selector and the weights of our own backends are changed, and only as they were read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pytest_prodcheck.deploy.cluster import JSON_PATCH, PAUSE, labelled
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.plan import Shares, equal
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.parsing import conditions
from pytest_prodcheck.evidence.kubernetes.selectors import fits, labels_of

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.cluster import Cluster
    from pytest_prodcheck.environments.sections.deploy import DeployKubernetes

GATEWAY = "gateway.networking.k8s.io"


class Traffic(Protocol):
    """One way to share it. deployments: slot -> its Deployment."""

    def look(self, deployments: Mapping[str, Object]) -> tuple[Shares, str]:
        """How it is shared, and why it would not stay so, or "" ."""

    def share(self, shares: Shares, deployments: Mapping[str, Object]) -> None:
        """Shares it and waits until that is seen."""


class InPlace:
    """One Deployment, which has all traffic; Kubernetes replaces its pods bit by bit."""

    def __init__(self, slots: tuple[str, ...]) -> None:
        self._slots = slots

    def look(self, deployments: Mapping[str, Object]) -> tuple[Shares, str]:
        """Nothing else is there."""
        return equal(self._slots, frozenset(self._slots)), ""

    def share(self, shares: Shares, deployments: Mapping[str, Object]) -> None:
        """Nothing to share."""
        if shares != self.look(deployments)[0]:
            raise DriverProblem("there is one copy only: it has all traffic")


class Selector:
    """A Service that selects the pods of one slot: one switch for all traffic."""

    def __init__(self, cluster: Cluster, name: str, slots: tuple[str, ...], settings: DeployKubernetes) -> None:
        self._cluster, self._name, self._slots, self._settings = cluster, name, slots, settings
        self._path = cluster.path("v1", "services", name)

    def look(self, deployments: Mapping[str, Object]) -> tuple[Shares, str]:
        """By the selector."""
        selector = table(self._cluster.get(self._path), "spec", "selector")
        found = self._selected(selector, deployments)
        shares = tuple((slot, 100 if found == [slot] else 0) for slot in self._slots)
        whom = "the pods of both copies" if found else "the pods of no copy"
        told = f"the Service {self._name} selects {whom}: {labelled(selector) or 'no selector'}"
        return shares, "" if len(found) == 1 else told

    def share(self, shares: Shares, deployments: Mapping[str, Object]) -> None:
        """Gives the selector the labels of the other slot's pods, also those by which copies differ, if it has none."""
        live = next((slot for slot, percent in shares if percent == 100), None)
        if live is None:
            raise DriverProblem(f"a selector has one copy serve all; {self._name} cannot share by percents")
        labels = _pod_labels(deployments[live])

        def patch(found: Object) -> Any:
            selector = table(found, "spec", "selector")
            before = self._selected(selector, deployments)
            if before == [live]:
                return None
            missing = [key for key in selector if key not in labels]
            if missing and len(before) == 1:
                raise DriverProblem(f"the pods of {live} have no label {missing[0]}, by which {self._name} selects")
            wanted = {key: labels[key] for key in selector if key in labels}
            if self._selected(wanted, deployments) != [live]:
                others = [_pod_labels(each) for slot, each in deployments.items() if slot != live]
                own = table(deployments[live], "spec", "selector", "matchLabels")
                wanted |= {key: value for key, value in own.items() if any(each.get(key) != value for each in others)}
            return {"spec": {"selector": {**dict.fromkeys(selector), **wanted}}}

        self._cluster.change(self._path, patch, same=lambda found: table(found, "spec", "selector"))
        _wait(lambda: self._serves_only(labels), self._settings.timeout, f"{self._name} has endpoints of other copies")
        time.sleep(self._settings.drain)

    def _selected(self, selector: Mapping[str, Any], deployments: Mapping[str, Object]) -> list[str]:
        """The slots whose pods it selects."""
        labels = {slot: _pod_labels(each) for slot, each in deployments.items()}
        return [slot for slot in self._slots if selector and fits({"matchLabels": selector}, labels[slot])]

    def _serves_only(self, labels: Mapping[str, str]) -> bool:
        """Whether all endpoints are pods with these labels, and there are some."""
        slices = self._cluster.path("discovery.k8s.io/v1", "endpointslices")
        listed = self._cluster.items(slices, labelSelector=f"kubernetes.io/service-name={self._name}")
        pods = self._cluster.items(self._cluster.path("v1", "pods"), labelSelector=labelled(labels))
        mine = {table(each, "metadata").get("name") for each in pods}
        ready = [
            table(each, "targetRef").get("name")
            for one in listed
            for each in rows(one, "endpoints")
            if table(each, "conditions").get("ready") is not False
        ]
        return bool(ready) and set(ready) <= mine


class Weights:
    """An HTTPRoute with a backend for each slot: backends of others, and all else of it, are left as they are."""

    def __init__(
        self, cluster: Cluster, name: str, backends: Mapping[str, str], settings: DeployKubernetes
    ) -> None:
        self._cluster, self._name, self._backends, self._settings = cluster, name, backends, settings
        self._path = cluster.path(f"{GATEWAY}/v1", "httproutes", name)

    def look(self, deployments: Mapping[str, Object]) -> tuple[Shares, str]:
        """By the weights of each rule, which have to agree."""
        found = self._cluster.get(self._path)
        shares = list(self._shares(found))
        if not shares:
            text = f"no rule of the HTTPRoute {self._name} has the backends {self._told}"
            return equal(tuple(self._backends), frozenset()), f"{text}: give them to one, with weights"
        trouble = "" if len(set(shares)) == 1 else f"rules of the HTTPRoute {self._name} share traffic differently"
        odd = next((each for each in self._by_rule(found) if not _is_whole(each)), None)
        if odd is not None:
            trouble = f"the weights {odd} of the HTTPRoute {self._name} are no whole percents"
        return shares[0], trouble or self._foreign(found) or self._refused(found)

    def share(self, shares: Shares, deployments: Mapping[str, Object]) -> None:
        """Writes the weights of our own backends, and waits until each gateway took them."""
        wanted = dict(shares)

        def patch(found: Object) -> Any:
            if why := self._foreign(found):
                raise DriverProblem(why)
            changes = [
                {"op": "add", "path": f"/spec/rules/{rule}/backendRefs/{at}/weight", "value": wanted[slot]}
                for rule, at, slot, weight in self._ours(found)
                if weight != wanted[slot]
            ]
            return changes or None

        self._cluster.change(self._path, patch, JSON_PATCH, same=lambda found: [list(self._ours(found))])
        _wait(self._taken, self._settings.timeout, f"no gateway took the HTTPRoute {self._name}")
        time.sleep(self._settings.drain)

    @property
    def _told(self) -> str:
        return ", ".join(self._backends.values())

    def _ours(self, route: Object) -> Iterator[tuple[int, int, str, int]]:
        """Rule, place, slot and weight of the backends that are slots."""
        slots = {backend: slot for slot, backend in self._backends.items()}
        for rule, each in enumerate(rows(route, "spec", "rules")):
            for at, backend in enumerate(rows(each, "backendRefs")):
                local = backend.get("namespace") in (None, self._cluster.namespace)
                slot = slots.get(str(backend.get("name"))) if backend.get("kind", "Service") == "Service" else None
                if slot is not None and local:
                    weight = backend.get("weight")
                    yield rule, at, slot, 1 if weight is None else int(weight)

    def _by_rule(self, route: Object) -> Iterable[dict[str, int]]:
        """The weights of each rule with our backends."""
        found: dict[int, dict[str, int]] = {}
        for rule, _, slot, weight in self._ours(route):
            found.setdefault(rule, {})[slot] = weight
        return found.values()

    def _shares(self, route: Object) -> Iterator[Shares]:
        """How each rule with our backends shares its traffic; none for any where that is no whole percents."""
        for weights in self._by_rule(route):
            serving = frozenset(slot for slot, weight in weights.items() if weight)
            if not _is_whole(weights):
                yield equal(tuple(self._backends), frozenset())
            elif _is_even(weights):
                yield equal(tuple(self._backends), serving)
            else:
                total = sum(weights.values())
                yield tuple((slot, 100 * weights.get(slot, 0) // total) for slot in self._backends)

    def _foreign(self, route: Object) -> str:
        """Why not all traffic of our rules is ours, "" where it is."""
        found: dict[int, list[str]] = {}
        for rule, _, slot, _ in self._ours(route):
            found.setdefault(rule, []).append(slot)
        for rule, slots in found.items():
            if sorted(slots) != sorted(self._backends):
                return f"rule {rule + 1} of the HTTPRoute {self._name} has not each of the backends {self._told} once"
            others = [each for each in rows(rows(route, "spec", "rules")[rule], "backendRefs") if each.get("weight", 1)]
            mine = [each for each in self._ours(route) if each[0] == rule and each[3]]
            if len(others) != len(mine):
                return f"rule {rule + 1} of the HTTPRoute {self._name} sends traffic to others as well"
        return ""

    def _refused(self, route: Object) -> str:
        """Why a gateway does not route so, "" where none says so."""
        newest = int(table(route, "metadata").get("generation") or 0)
        for parent in rows(route, "status", "parents"):
            for kind, told in conditions({"status": parent}).items():
                bad = kind in ("Accepted", "ResolvedRefs") and told.get("status") == "False"
                if bad and int(told.get("observedGeneration") or newest) >= newest:
                    return f"the HTTPRoute {self._name} is not {kind}: {str(told.get('message', ''))[:200]}"
        return ""

    def _taken(self) -> bool:
        """Whether each gateway that the route names has seen it as it is, and takes it."""
        route = self._cluster.get(self._path)
        newest, parents = int(table(route, "metadata").get("generation") or 0), rows(route, "status", "parents")
        if why := self._refused(route):
            raise DriverProblem(why)
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


def _pod_labels(deployment: Object) -> dict[str, str]:
    return labels_of(table(deployment, "spec", "template"))


def _wait(is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise DriverProblem(f"{otherwise} within {seconds:g} s")
        time.sleep(PAUSE)
