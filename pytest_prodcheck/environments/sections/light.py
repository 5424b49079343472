"""Latency without load."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.load import light_targets
from pytest_prodcheck.environments.rules.load import light_complaints
from pytest_prodcheck.environments.sections.base import Seconds, Section


class Light(Section):
    """Latency without load: a few hundred requests to the declared endpoints that change nothing, in turn."""

    enabled: bool = True  # false: `performance.latency` is judged of load runs only
    # "service.endpoint" of those that are asked; where left out, all that are judged and change nothing
    endpoints: tuple[str, ...] | None = None
    # requests in all; 299 are needed for a P99 (Wilks: the largest of n bounds the percentile p with 1 - p**n)
    requests: Annotated[int, Field(ge=10, le=2000)] = 300
    seconds: Seconds = 10.0  # in which they are sent: one after the other if that does, else as many at once as needed


KINDS = (
    Kind(
        section="light",
        awaited={"load": ()},
        targets=light_targets,
        rules=light_complaints,
        single=True,
        only="light",
    ),
)
