"""Hosts whose processors, memory and disks are looked at: this one, those of Prometheus, a cluster's nodes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.monitoring import host_targets
from pytest_prodcheck.environments.rules.monitoring import host_complaints
from pytest_prodcheck.environments.sections.base import Name, Section
from pytest_prodcheck.environments.sections.monitoring import Matchers

Mount = Annotated[str, Field(pattern=r"^/")]


class Host(Section):
    """One host, or several of a kind."""

    # who tells: "here" (this very machine, by psutil), "prometheus" (its node_exporter), "kubernetes" (the cluster's
    # metrics API, which knows nothing of disks)
    source: Literal["here", "prometheus", "kubernetes"]
    # of "prometheus": label matchers of the host's or hosts' node_exporter, such as 'job="node",instance="web-1:9100"'
    match: Matchers | None = None
    # how many hosts there have to be; with fewer it cannot be told how the others are
    expect: Annotated[int, Field(ge=1, le=100_000)] = 1
    mounts: tuple[Mount, ...] = ("/",)  # mount points whose space and inodes are judged
    # from where it is reached; where left out as `prometheus` or `kubernetes` says
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts

    def model_post_init(self, _context: Any) -> None:
        """Refuses matchers where there is nothing to match, and none where there is."""
        if (self.match is not None) != (self.source == "prometheus"):
            raise ValueError('`match` is required with source = "prometheus", and allowed with it only')


KINDS = (
    Kind(
        section="hosts",
        awaited={"host": ()},
        targets=host_targets,
        rules=host_complaints,
    ),
)
