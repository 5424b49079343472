"""Load runs in the terminal: a line an endpoint, so that a green run shows what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_prodcheck.quantities import format_quantity
from pytest_prodcheck.reports.escaping import safe
from pytest_prodcheck.reports.load_shape import PHASES, Endpoint, Run, TimedInterval
from pytest_prodcheck.reports.text_layout import clip, pad

MOST = 12  # endpoints of a run


def load_lines(runs: Sequence[Run], width: int) -> list[str]:
    """Rate, percentiles, failures and phases of each endpoint, below them what became of addresses; [] without runs."""
    lines = []
    for run in runs:
        whole = run.overall
        lines.append(f"load {safe(run.name)}: {whole.begun} requests in {format_quantity(run.seconds, 's')}")
        shown = sorted(run.endpoints, key=lambda each: -each.begun)[:MOST]
        longest = max((len(safe(each.name, most=40)) for each in shown), default=0)
        for each in shown if len(shown) == 1 else (whole, *shown):
            lines.append(f"  {pad(safe(each.name, most=40), max(longest, 7))}  {_numbers(each, run.seconds)}")
            if each.phases:
                lines.append(f"    P50 / P95 of {_phases(each)}")
        if len(run.endpoints) > MOST:
            lines.append(f"  and {len(run.endpoints) - MOST} more endpoints")
        lines += (f"  {each}" for each in _address_lines(run))
    return [clip(line, width) for line in lines]


def _numbers(endpoint: Endpoint, seconds: float) -> str:
    rate = format_quantity(endpoint.begun / max(seconds, 0.001))
    times = ", ".join(
        f"P{percent} {format_quantity(value, 's')}"
        for percent in (50, 95, 99)
        if (value := endpoint.times.percentile(percent)) is not None
    )
    again = f", {endpoint.retried} retried" if endpoint.retried else ""
    return f"{rate}/s, {times or 'nothing answered well'}, {endpoint.failed} failed{again}"


def _phases(endpoint: Endpoint) -> str:
    return ", ".join(
        f"{PHASES[phase]} {_percentiles_text(times)}" for phase, times in endpoint.phases if phase in PHASES
    )


def _percentiles_text(times: TimedInterval) -> str:
    return " / ".join(format_quantity(times.percentile(percent) or 0.0, "s") for percent in (50, 95))


def _address_lines(run: Run) -> Iterator[str]:
    connections = sum(each.connections for each in run.addresses)
    if http2 := sum(each.http2 for each in run.addresses):
        yield f"HTTP/2 on {http2} of {connections} connections"
    if run.cached:
        yield f"{run.cached} of {run.overall.good} good answers came from a cache"
    several = len({each.address for each in run.addresses}) > 1
    for each in run.addresses:
        refused = f", {each.refused} connections refused" if each.refused else ""
        if several or refused:
            yield f"{safe(each.address)}: {each.requests} requests, {each.connections} connections{refused}"
