"""Where a pod's volumes let it run: bound ones, those that a class makes with the first pod, those that lie ready.

https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from pytest_prodcheck.evidence.kubernetes.node_constraints import Terms, node_terms, one_fits
from pytest_prodcheck.evidence.kubernetes.objects import Object, quantity, rows, table
from pytest_prodcheck.evidence.kubernetes.selectors import fits, labels_of
from pytest_prodcheck.records.kubernetes import Node

_STATIC = "kubernetes.io/no-provisioner"
_ZONE = "topology.kubernetes.io/zone"
_NEWER = {"failure-domain.beta.kubernetes.io/zone": _ZONE,
          "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region"}  # fmt: skip
_TOPOLOGIES = (*_NEWER, *_NEWER.values())
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
_ALONE = "ReadWriteOncePod"


@dataclass(frozen=True)
class ClaimUse:
    """A claim of a pod; of a StatefulSet's template and of an ephemeral volume each pod has its own."""

    name: str  # with "{}" for the pod's number
    template: Object = field(default_factory=dict)  # what is made where there is none

    def of(self, number: int) -> str:
        """The claim's name of one pod."""
        return self.name.replace("{}", str(number))


def claim_uses(pod: Object, item: Object) -> tuple[ClaimUse, ...]:
    """The claims of a pod's specification; item: the workload, whose templates make some."""
    owner = str(table(item, "metadata").get("name", ""))
    templates = {
        str(table(each, "metadata").get("name", "")): table(each, "spec")
        for each in (rows(item, "spec", "volumeClaimTemplates") if item.get("kind") == "StatefulSet" else ())
    }
    found = [ClaimUse(f"{name}-{owner}-{{}}", told) for name, told in templates.items()]
    for each in rows(pod, "volumes"):
        name = str(each.get("name", ""))
        if name in templates:
            continue
        if "persistentVolumeClaim" in each:
            found.append(ClaimUse(str(table(each, "persistentVolumeClaim").get("claimName", ""))))
        elif "ephemeral" in each:
            found.append(ClaimUse(f"{owner}/{{}}-{name}", table(each, "ephemeral", "volumeClaimTemplate", "spec")))
    return tuple(found)


@dataclass(frozen=True)
class StorageObjects:
    """The namespace's claims by name, the cluster's volumes and classes by name, those of the same files among them."""

    claims: Mapping[str, Object] = field(default_factory=dict)
    volumes: Mapping[str, Object] = field(default_factory=dict)
    classes: Mapping[str, Object] = field(default_factory=dict)

    def class_of(self, claim: Object) -> tuple[str, Object | None]:
        """Name and object of a claim's class: the newest default one where it names none."""
        old = table(claim, "metadata", "annotations").get(_OLD_CLASS)
        named = table(claim, "spec").get("storageClassName", old)
        if named is None:
            usual = [each for each in self.classes.values()
                     if str(table(each, "metadata", "annotations").get(_DEFAULT)) == "true"]  # fmt: skip
            named = max((_age_and_name(each) for each in usual), default=("", ""))[1]
        return str(named), self.classes.get(str(named))


def _age_and_name(item: Object) -> tuple[str, str]:
    told = table(item, "metadata")
    return str(told.get("creationTimestamp", "")), str(told.get("name", ""))


class VolumePlacement:
    """The volumes while rollouts are played: a claim that is bound on the way stays where it is."""

    def __init__(self, objects: StorageObjects, nodes: Iterable[Node], draw: Random) -> None:
        self._objects, self._draw = objects, draw
        self._zones = sorted({each.labels[_ZONE] for each in nodes if _ZONE in each.labels})
        self._bound: dict[str, tuple[str, Terms | None]] = {}  # claim -> name and terms of the volume that it got
        self._taken = {
            str(table(each, "spec").get("volumeName")) for each in objects.claims.values()
        } | {name for name, each in objects.volumes.items() if not _free(each)}  # fmt: skip
        self._zonal = draw.random() < 0.5  # whether volumes that are made stay in their zone: provisioners differ

    def refusal(self, uses: Iterable[ClaimUse], number: int, node: Node, users: Mapping[str, int]) -> str:
        """Why a pod's volumes keep it off a node, "" where they do not; users: pods that use each claim."""
        chosen: set[str] = set()
        for each in uses:
            why, volume = self._claim_conflict(each, number, node, users, chosen)
            if why:
                return why
            chosen.add(volume)
        return ""

    def take(self, uses: Iterable[ClaimUse], number: int, node: Node) -> None:
        """Binds what a pod's claims get on a node."""
        for each in uses:
            name = each.of(number)
            claim = self._objects.claims.get(name, {"spec": each.template})
            if name in self._bound or table(claim, "spec").get("volumeName"):
                continue
            why, volume = self._claim_conflict(each, number, node, {}, set())
            if volume:
                self._taken.add(volume)
                self._bound[name] = volume, _terms(self._objects.volumes[volume])
            elif not why:
                zone = node.labels.get(_ZONE)
                stays: Terms | None = (((_ZONE, "In", (zone,)),),) if self._zonal and zone else None
                self._bound[name] = "", stays

    def _claim_conflict(
        self, use: ClaimUse, number: int, node: Node, users: Mapping[str, int], chosen: set[str]
    ) -> tuple[str, str]:
        """Why one claim keeps the pod off the node, and the volume that lies ready for it there."""
        name = use.of(number)
        claim = self._objects.claims.get(name, {"spec": use.template} if use.template else None)
        if claim is None:
            return f"the claim {name} does not exist", ""
        specification = table(claim, "spec")
        if _ALONE in (specification.get("accessModes") or ()) and users.get(name):
            return f"another pod uses the claim {name}, which only one pod at a time may use", ""
        if name in self._bound:
            terms = self._bound[name][1]
            return (
                "" if terms is None or one_fits(terms, node) else f"the volume of {name} is on another node or zone"
            ), ""
        if volume := str(specification.get("volumeName") or ""):
            found = self._objects.volumes.get(volume)
            if found is None:
                return f"the volume of {name} does not exist", ""
            return ("" if _is_usable_on(found, node) else f"the volume of {name} is on another node or zone"), ""
        kind, told = self._objects.class_of(claim)
        ready = self._matching_volumes(claim, kind, chosen)
        if told is None or told.get("volumeBindingMode", "Immediate") == "Immediate":
            if "uid" in table(claim, "metadata"):
                return f"the claim {name} is not bound", ""
            return self._immediate_claim_conflict(name, told, ready, node), ""
        fitting = next((each for each in ready if _is_usable_on(self._objects.volumes[each], node)), "")
        if fitting:
            return "", fitting
        if told.get("provisioner") == _STATIC:
            return f"no available volume fits {name}", ""
        return ("" if _made_here(told, node) else f"class {kind} creates no volume for {name} there"), ""

    def _immediate_claim_conflict(self, name: str, kind: Object | None, ready: list[str], node: Node) -> str:
        """A claim that is bound before its pod: to what lies ready, or to what is made in any zone of its class."""
        if ready:
            self._taken.add(ready[0])
            self._bound[name] = ready[0], _terms(self._objects.volumes[ready[0]])
        elif kind is None or kind.get("provisioner") == _STATIC:
            return f"no available volume fits {name}"
        else:
            told = [each for each in (node_terms(_as_selector(kind)) or ()) if each]
            drawn: Terms | None = (self._draw.choice(told),) if told else None
            if drawn is None and self._zonal and self._zones:
                drawn = (((_ZONE, "In", (self._draw.choice(self._zones),)),),)
            self._bound[name] = "", drawn
        terms = self._bound[name][1]
        return (
            ""
            if terms is None or one_fits(terms, node)
            else f"the volume of {name} may be created on another node or zone"
        )

    def _matching_volumes(self, claim: Object, kind: str, chosen: set[str]) -> list[str]:
        """The volumes that fit a claim, the smallest first."""
        mine = str(table(claim, "metadata").get("name", ""))
        kept = [name for name, each in self._objects.volumes.items() if mine and _kept_for(each) == mine]
        found = [
            (_size(table(each, "spec", "capacity")), name) for name, each in self._objects.volumes.items()
            if name not in self._taken | chosen and _volume_fits_claim(each, claim, kind)
        ]  # fmt: skip
        return kept or [name for _, name in sorted(found)]


def _kept_for(volume: Object) -> str:
    """The claim that a volume is kept for before it is bound."""
    bound = table(volume, "status").get("phase", "Available") != "Available"
    return "" if bound else str(table(volume, "spec", "claimRef").get("name", ""))


def _free(volume: Object) -> bool:
    return not table(volume, "spec", "claimRef") and table(volume, "status").get("phase", "Available") == "Available"


def _volume_fits_claim(volume: Object, claim: Object, kind: str) -> bool:
    told, asked = table(volume, "spec"), table(claim, "spec")
    modes = set(asked.get("accessModes") or ()) <= set(told.get("accessModes") or ())
    format_ = told.get("volumeMode", "Filesystem") == asked.get("volumeMode", "Filesystem")
    selector = asked.get("selector")
    labelled = selector is None or fits(selector, labels_of(volume))
    enough = _size(table(told, "capacity")) >= _size(table(asked, "resources", "requests"))
    return str(told.get("storageClassName") or "") == kind and modes and format_ and labelled and enough


def _size(amounts: Object) -> float:
    return quantity(amounts.get("storage", 0))


def _terms(volume: Object) -> Terms | None:
    required = table(volume, "spec", "nodeAffinity", "required")
    return node_terms(required) if required else None


def _is_usable_on(volume: Object, node: Node) -> bool:
    """Whether a volume can be used on a node: its node affinity, and the zones of its labels."""
    terms = _terms(volume)
    if terms is not None and not one_fits(terms, node):
        return False
    if not any(each in node.labels for each in _TOPOLOGIES):
        return True
    zones = [(key, value.split("__")) for key, value in labels_of(volume).items() if key in _TOPOLOGIES]
    return all(node.labels.get(key, node.labels.get(_NEWER.get(key, key))) in values for key, values in zones)


def _as_selector(kind: Object) -> Object:
    return {
        "nodeSelectorTerms": [
            {"matchExpressions": [{**each, "operator": "In"} for each in rows(term, "matchLabelExpressions")]}
            for term in rows(kind, "allowedTopologies")
        ]
    }


def _made_here(kind: Object, node: Node) -> bool:
    terms = node_terms(_as_selector(kind))
    return not terms or one_fits(terms, node)
