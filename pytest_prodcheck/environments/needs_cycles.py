"""Gates that need each other: none of them could open first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_prodcheck.environments.project import Project
from pytest_prodcheck.environments.toml.error_collector import Complaint

Place = tuple[str, str]  # environment, gate


def cycles(project: Project, environments: Iterable[str]) -> Iterator[Complaint]:
    """Each gate that needs itself, directly or through others."""
    edges = dict(_edges(project, list(environments)))
    told: set[str] = set()
    for start in sorted(edges):
        way = _shortest_cycle(start, edges)
        if way and start[1] not in told:
            told.update(gate for _, gate in way)
            shown = " needs ".join(f"{environment}:{gate}" for environment, gate in way)
            yield (
                ("gates", start[1], "needs"),
                f"a cycle: {shown}",
                "each of these gates needs another one, so none can open: remove one `needs`",
            )


def _edges(project: Project, environments: list[str]) -> Iterator[tuple[Place, list[Place]]]:
    for name, gate in project.gates.items():
        needed = [(environment, other) for environment, _, other in (need.gate.partition(":") for need in gate.needs)]
        for environment in gate.environments or environments:
            yield (environment, name), needed


def _shortest_cycle(start: Place, edges: dict[Place, list[Place]]) -> list[Place]:
    """The shortest way from a gate back to itself, both ends included; [] where there is none."""
    waiting, seen = [[start]], {start}
    while waiting:
        way = waiting.pop(0)
        for each in edges.get(way[-1], ()):
            if each == start:
                return [*way, each]
            if each not in seen:
                seen.add(each)
                waiting.append([*way, each])
    return []
