"""What gathering a plan would send, without sending it: for `prodcheck plan`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Collector, Sending
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment


def sendings(plan: Iterable[tuple[Collector, str]], environment: Environment) -> list[Sending]:
    """All that the plan would send, each kind of request once with how often, by whom it goes to; writes last."""
    times: dict[tuple[str, str, bool], int] = {}
    fetched: set[str] = set()
    for collector, target in dict.fromkeys(plan):
        try:
            lines = collector.sends(target, environment)
        except (EvidenceProblem, LookupError, AttributeError):
            continue  # not declared: gathering it sends nothing
        for line in lines:
            if line.once in fetched:
                continue
            fetched |= {line.once} - {""}
            key = (line.to, line.what, line.writes)
            times[key] = times.get(key, 0) + line.times
    found = [Sending(to, what, count, writes) for (to, what, writes), count in times.items()]
    return sorted(found, key=lambda each: (each.writes, each.to, each.what))
