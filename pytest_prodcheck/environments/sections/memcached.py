"""memcached servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pytest_prodcheck.environments.kinds import EnvironmentView, Kind, Target
from pytest_prodcheck.environments.rules.common import nodes
from pytest_prodcheck.environments.sections.base import Address, Name, Seconds, Section

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.toml.error_collector import Complaint


class Memcached(Section):
    """Servers that together are one cache; clients share the keys out among them."""

    nodes: Annotated[tuple[Address, ...], Field(min_length=1)]  # "HOST:PORT" of every server
    # how long evictions and refused writes are counted: what a server counted since its start says nothing of now
    window: Annotated[Seconds, Field(le=60)] = 2.0
    timeout: Seconds = 5.0  # for one server, from connecting to the last answer, `window` left out
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts


def _targets(looking: EnvironmentView) -> Iterator[Target]:
    for name, cache in looking.environment.memcached.items():
        yield Target("memcached", name, frozenset(), *looking.reach(cache.vantage), owner=cache.owner)


def _rules(environment: Environment, _root: Path) -> Iterator[Complaint]:
    for name, cache in environment.memcached.items():
        yield from nodes(("memcached", name), cache.nodes, {})


KINDS = (Kind(section="memcached", awaited={"memcached": ("memcached-servers",)}, targets=_targets, rules=_rules),)
