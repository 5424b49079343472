"""`http-health`: the health address, once over a new connection, then five times over a warm one."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.freshness import FRESH, stale
from pytest_prodcheck.evidence.http.service_requests import asks, bounded_seconds, declared, service_host
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.services import Health

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

SAMPLES = 5


@evidence(
    "http-health",
    axis="service",
    feature="health",
    seconds=bounded_seconds(3),
    host=service_host,
    sends=asks(lambda service: service.health, 2 + SAMPLES),
    ready=lambda record: 200 <= record.exchange.status < 300,
)
def http_health(target: str, context: Context, deadline: Deadline) -> Health:
    """The first answer whole, the others for their times; fewer where it is very slow, at least one."""
    from pytest_prodcheck.evidence.http.messages import Request

    path = declared(context.environment, target).health
    if path is None:
        raise EvidenceProblem(Problem("configuration", f"service {target} has no `health`"))
    client = client_of(context, target)
    request = Request("GET", path, FRESH)
    answer = client.ask(request, deadline, fresh=True)
    if problem := stale(answer.exchange, "the health"):
        raise EvidenceProblem(problem)
    first = replace(answer.exchange, seconds=answer.whole)
    samples: list[Exchange] = []
    with contextlib.closing(client.connection()) as connection:
        connection.ask(request, deadline)  # opens it
        for _ in range(SAMPLES):
            if samples and deadline.time_left() < 2 * max(each.seconds for each in samples):
                deadline.note(f"only {len(samples)} of {SAMPLES} samples were taken: it is too slow for more")
                break
            samples.append(replace(connection.ask(request, deadline).exchange, body=None))
            if problem := stale(samples[-1], "the health"):  # else the second of two runs would be the first to tell
                raise EvidenceProblem(problem)
    return Health(first, tuple(samples))
