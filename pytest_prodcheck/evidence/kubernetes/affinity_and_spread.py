"""What the pods beside it say of where a pod may go: affinity, anti-affinity of both sides, spread.

As the scheduler counts: https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/#filter
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_prodcheck.evidence.kubernetes.node_constraints import NodeConstraints, selects, tolerated
from pytest_prodcheck.evidence.kubernetes.pod_affinity import Spread
from pytest_prodcheck.evidence.kubernetes.selectors import fits
from pytest_prodcheck.records.kubernetes import AffinityTerm, Node

Domain = tuple[str, str]  # a node's label and its value
SPREAD, AFFINITY = "topology spread constraints would be violated", "pod affinity: no matching pod there"
ANTI_AFFINITY, REPELLED = "pod anti-affinity: a matching pod is there", "pod anti-affinity of a pod that runs there"


@dataclass(frozen=True, eq=False)
class PodShape:
    """What other pods see of a pod; one for all pods that are alike."""

    namespace: str
    labels: Mapping[str, str]
    apart: tuple[AffinityTerm, ...] = ()  # required anti-affinity


@dataclass(frozen=True)
class _TermMatches:
    """How pods of one shape count for the pod in question."""

    near: bool  # for all of its affinity terms
    apart: tuple[AffinityTerm, ...]  # of its anti-affinity terms
    spread: tuple[int, ...]  # of its spread constraints, by number
    repelling: tuple[AffinityTerm, ...]  # of the others' anti-affinity terms, those that mean it


class Neighbours:
    """The pods around one that is to be placed, counted by topology."""

    def __init__(
        self, shape: PodShape, near: tuple[AffinityTerm, ...], spread: tuple[Spread, ...], where: NodeConstraints,
        nodes: Iterable[Node], spaces: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._shape, self._near, self._spread, self._spaces = shape, near, spread, spaces
        self._known: dict[PodShape, _TermMatches] = {}
        self._close: Counter[Domain] = Counter()
        self._apart: Counter[Domain] = Counter()
        self._repelling: Counter[Domain] = Counter()
        self._counted: dict[str, tuple[bool, ...]] = {}  # node -> whether it counts for each spread constraint
        self._spread_counts: list[Counter[str]] = [Counter() for _ in spread]
        self._fewest: list[float | None] = [None for _ in spread]
        self._self_spread = [fits(each.selector, shape.labels) for each in spread]
        self._self_near = all(self._term_selects(each, shape, shape) for each in near)
        for node in nodes if spread else ():
            self._start_counting(node, where)

    @property
    def plain(self) -> bool:
        """Whether it asks for nothing itself: then only pods that keep away from others count."""
        return not (self._near or self._spread or self._shape.apart)

    def _start_counting(self, node: Node, where: NodeConstraints) -> None:
        whole = all(each.topology in node.labels for each in self._spread)
        self._counted[node.name] = tuple(
            whole and (not each.by_affinity or selects(where, node)) and (not each.by_taints or tolerated(where, node))
            for each in self._spread
        )
        for number, counts in enumerate(self._counted[node.name]):
            if counts:
                self._spread_counts[number][node.labels[self._spread[number].topology]] += 0

    def _term_selects(self, term: AffinityTerm, of: PodShape, other: PodShape) -> bool:
        """Whether a term of one pod means another."""
        spaces, by = term.namespaces, term.namespaces_by
        within = other.namespace in spaces if spaces else by is None and other.namespace == of.namespace
        if not within and by is not None:
            within = by == {} or fits(by, self._spaces.get(other.namespace, {}))
        return within and fits(term.selector, other.labels)

    def _matches(self, other: PodShape) -> _TermMatches:
        found = self._known.get(other)
        if found is None:
            mine = self._shape
            found = self._known[other] = _TermMatches(
                bool(self._near) and all(self._term_selects(each, mine, other) for each in self._near),
                tuple(each for each in mine.apart if self._term_selects(each, mine, other)),
                tuple(
                    number for number, each in enumerate(self._spread)
                    if other.namespace == mine.namespace and each.selector and fits(each.selector, other.labels)
                ),
                tuple(each for each in other.apart if self._term_selects(each, other, mine)),
            )  # fmt: skip
        return found

    def count(self, other: PodShape, node: Node, more: int, leaving: bool = False) -> None:
        """Counts a pod on a node, or no longer (more: -1); leaving: it is being deleted; spread skips it."""
        found = self._matches(other)
        if found.near:
            self._add(self._close, self._near, node, more)
        self._add(self._apart, found.apart, node, more)
        self._add(self._repelling, found.repelling, node, more)
        for number in () if leaving else found.spread:
            if self._counted[node.name][number]:
                self._spread_counts[number][node.labels[self._spread[number].topology]] += more
                self._fewest[number] = None

    @staticmethod
    def _add(counts: Counter[Domain], terms: Iterable[AffinityTerm], node: Node, more: int) -> None:
        for each in terms:
            if each.topology in node.labels:
                counts[each.topology, node.labels[each.topology]] += more

    def refusal(self, node: Node) -> str:
        """Why the pods around it keep a pod off a node, "" where they do not."""
        if any(not self._spread_allows(number, node) for number in range(len(self._spread))):
            return SPREAD
        if self._near and not self._affinity_allows(node):
            return AFFINITY
        if any(self._apart[each.topology, node.labels.get(each.topology, "")] > 0 for each in self._shape.apart):
            return ANTI_AFFINITY
        return REPELLED if any(self._repelling[each] > 0 for each in node.labels.items()) else ""

    def _spread_allows(self, number: int, node: Node) -> bool:
        spread, counts = self._spread[number], self._spread_counts[number]
        value = node.labels.get(spread.topology)
        if value is None:
            return False
        fewest = self._fewest[number]
        if fewest is None:
            fewest = 0 if len(counts) < spread.domains else min(counts.values(), default=float("inf"))
            self._fewest[number] = fewest
        there = counts.get(value, 0)
        return there + self._self_spread[number] - fewest <= spread.most

    def _affinity_allows(self, node: Node) -> bool:
        if any(each.topology not in node.labels for each in self._near):
            return False
        if all(self._close[each.topology, node.labels[each.topology]] > 0 for each in self._near):
            return True
        return self._self_near and not any(count > 0 for count in self._close.values())  # the first of its kind
