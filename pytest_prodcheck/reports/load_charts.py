"""Load runs as charts: latency over time, percentiles, the rate beside the asked one; and the search for the knee."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_prodcheck.quantities import format_quantity
from pytest_prodcheck.reports.escaping import safe_html
from pytest_prodcheck.reports.load_shape import PHASES, Endpoint, Interval, Run, TimedInterval
from pytest_prodcheck.reports.svg_plot import LEFT, RIGHT, WIDTH, Axis, Line, Mark, chart, steps

MOST = 12  # endpoints that get charts of their own
PERCENTS = (50.0, 95.0, 99.0)
_DECADES = ((0.0, "0 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %"), (5.0, "99.999 %"))


@dataclass(frozen=True)
class Stress:
    """A search for the knee. levels: (rate, P95 in seconds or None) of its steps; recovered: the same after."""

    name: str
    own_rate: float
    levels: tuple[tuple[float, float | None], ...]
    p95_allowed: float
    knee: float
    recovered: tuple[float, float] | None


def loads_html(runs: Sequence[Run], searches: Sequence[Stress] = ()) -> str:
    """The charts of all load runs of a run, "" where there are none."""
    return "".join([*map(_run, runs), *map(_stress, searches)])


def _run(run: Run) -> str:
    whole = run.overall
    if run.mode == "light":
        head = f"Latency without load: {_facts(whole)}"
    else:
        rate = f" at {format_quantity(run.asked_rate)}/s" if run.asked_rate else ""
        head = f"Load {run.name}{rate} for {format_quantity(run.seconds, 's')}: {_facts(whole)}"
    told = f'<p class="pc-loud">Ended early: {safe_html(run.aborted)}</p>' if run.aborted else ""
    busiest = sorted(run.endpoints, key=lambda each: -each.begun)
    each = "".join(_endpoint(one, run) for one in busiest[:MOST]) if len(busiest) > 1 else ""
    left = len(busiest) - MOST
    more = f"<p>and {left} more endpoints (all are in the saved evidence)</p>" if left > 0 else ""
    opened = "" if run.mode == "light" else " open"
    return (
        f'<details class="pc-load"{opened}><summary>{safe_html(head)}</summary>{told}'
        f'<div class="pc-figures">{_charts(whole, run)}</div>{_phases(whole)}{_connections_text(run)}'
        f"{each}{more}</details>"
    )


def _endpoint(endpoint: Endpoint, run: Run) -> str:
    summary = f"<summary>{safe_html(endpoint.name)}: {safe_html(_facts(endpoint))}</summary>"
    return f'<details>{summary}<div class="pc-figures">{_charts(endpoint, run)}</div>{_phases(endpoint)}</details>'


def _phases(endpoint: Endpoint) -> str:
    """A table of where the time went, "" where nothing tells."""
    rows = "".join(
        f'<tr><th scope="row">{PHASES[phase]}</th><td>{times.count:,}</td>'
        + "".join(f"<td>{format_quantity(times.percentile(percent) or 0.0, 's')}</td>" for percent in PERCENTS)
        + "</tr>"
        for phase, times in endpoint.phases
        if phase in PHASES
    )
    heads = "".join(f'<th scope="col">{each}</th>' for each in ("phase", "times", "P50", "P95", "P99"))
    return f'<table class="pc-phases"><tr>{heads}</tr>{rows}</table>' if rows else ""


def _connections_text(run: Run) -> str:
    http2, whole = sum(each.http2 for each in run.addresses), sum(each.connections for each in run.addresses)
    return f"<p>HTTP/2 on {http2:,} of {whole:,} connections</p>" if http2 else ""


def _facts(endpoint: Endpoint) -> str:
    seen = [(percent, endpoint.times.percentile(percent)) for percent in PERCENTS]
    times = [f"P{percent:g} {format_quantity(value, 's')}" for percent, value in seen if value is not None]
    return ", ".join([f"{endpoint.begun:,} requests", f"{endpoint.failed:,} failed", *times])


def _charts(endpoint: Endpoint, run: Run) -> str:
    over_time = () if run.mode == "light" else (_latency(endpoint, run), _rate(endpoint, run))
    latency, rate = over_time or ("", "")
    return latency + _percentiles(endpoint) + rate


def _bins(endpoint: Endpoint, run: Run) -> Iterator[tuple[Interval, float]]:
    """Intervals with their length, that of the last one up to the end of the schedule."""
    for each in endpoint.intervals:
        left = run.seconds - each.start
        yield each, min(each.seconds, left) if left > 0.01 else each.seconds


def _time_axis(endpoint: Endpoint, run: Run) -> Axis:
    end = max([run.seconds, 0.001, *(each.start + length for each, length in _bins(endpoint, run))])
    axis = Axis.of(end, "s", "time since the start")
    return Axis(0.0, end, [each for each in axis.ticks if each[0] <= end], axis.title)


def _latency(endpoint: Endpoint, run: Run) -> str:
    bins = [(each.start + length / 2, each) for each, length in _bins(endpoint, run)]
    lines = [
        Line("P50", "p50", [(at, each.p50) for at, each in bins]),
        Line("P95", "p95", [(at, each.p95) for at, each in bins]),
        Line("P99", "p99", [(at, each.p99) for at, each in bins]),
    ]
    worst = max(((each.p99, each.start) for _, each in bins if each.p99 is not None), default=None)
    if worst is None:
        return ""
    told = f"The highest P99 of an interval is {format_quantity(worst[0], 's')}, {worst[1]:.1f} s after the start."
    return chart("Latency over time", told, _time_axis(endpoint, run), Axis.of(worst[0], "s", "of good answers"), lines)


def _rate(endpoint: Endpoint, run: Run) -> str:
    bins = list(_bins(endpoint, run))
    wanted = [(each.start, length, each.asked / length if each.asked else None) for each, length in bins]
    found = {
        name: [(each.start, length, getattr(each, name) / length) for each, length in bins]
        for name in ("begun", "good", "failed")
    }
    lines = [
        Line("asked", "asked", steps(wanted)),
        Line("sent", "sent", steps(found["begun"])),
        Line("answered well", "good", steps(found["good"])),
        Line("failed", "failed", steps(found["failed"])),
    ]
    lines = [line for line in lines if any(y for _, y in line.points)]
    highest = max((y or 0.0 for line in lines for _, y in line.points), default=0.0)
    if not highest:
        return ""
    asked = sum(each.asked for each, _ in bins)
    told = f"{endpoint.begun:,} requests were sent, {endpoint.good:,} answered well, {endpoint.failed:,} failed."
    told = f"{asked:,.0f} requests were due. {told}" if asked else told
    x, y = _time_axis(endpoint, run), Axis.of(highest, "", "requests/s")
    return chart("Rate, by when requests were due", told, x, y, lines)


def _percentiles(endpoint: Endpoint) -> str:
    """As HdrHistogram draws it: each nine takes as much room as the one before."""
    times = endpoint.times
    if not times.count:
        return ""
    last = max(math.log10(times.count), 1.0)
    wanted = [last * place / ((WIDTH - LEFT - RIGHT) // 2) for place in range((WIDTH - LEFT - RIGHT) // 2 + 1)]
    points = list(zip(wanted, _values(times, wanted), strict=True))
    seen = [(percent, times.percentile(percent)) for percent in PERCENTS]
    shown = [(percent, value) for percent, value in seen if value is not None and _nines(percent) <= last]
    marks = [
        Mark(f"P{percent:g} {format_quantity(value, 's')}", _nines(percent), value, f"p{percent:g}")
        for percent, value in shown
    ]
    highest = times.histogram[-1][0] / 1e6
    told = "; ".join(f"{mark.text}" for mark in marks) + f"; longest {format_quantity(highest, 's')}."
    x = Axis(0.0, last, [each for each in _DECADES if each[0] <= last], "share of answers that are at least as fast")
    return chart("Percentiles", told, x, Axis.of(highest, "s", "of good answers"), [Line("", "curve", points)], marks)


def _nines(percent: float) -> float:
    return -math.log10(1 - percent / 100)


def _values(times: TimedInterval, wanted: Sequence[float]) -> Iterator[float]:
    """The time in seconds at each of these places, in numbers of nines and rising."""
    pairs = iter(times.histogram)
    value, seen = next(pairs)
    for place in wanted:
        rank = min(math.ceil((1 - 10**-place) * times.count - 1e-9), times.count)
        while seen < rank:
            value, more = next(pairs)
            seen += more
        yield value / 1e6


def _stress(search: Stress) -> str:
    known = [(rate, p95) for rate, p95 in search.levels if p95 is not None]
    if not known:
        return ""
    knee, own = format_quantity(search.knee), format_quantity(search.own_rate)
    marks = [
        Mark(f"P95 allowed: {format_quantity(search.p95_allowed, 's')}", y=search.p95_allowed, kind="limit"),
        Mark(f"knee: {knee}/s", x=search.knee, kind="knee"),
        *([Mark(f"declared: {own}/s", x=search.own_rate, kind="own")] if own != knee else []),
        *(Mark("", rate, p95, "p95") for rate, p95 in known),
    ]
    after = [search.recovered] if search.recovered is not None else []
    marks += [Mark("afterwards", *each, "good") for each in after]
    rates, values = zip(*known, *after, (search.knee, search.p95_allowed), strict=True)
    told = "; ".join(f"at {format_quantity(rate)}/s P95 {format_quantity(p95, 's')}" for rate, p95 in known)
    figure = chart(
        "Rate and latency", f"{told}. The last rate with good answers is {knee}/s.",
        Axis.of(max(rates), "", "requests/s"), Axis.of(max(values), "s", "P95 of good answers"),
        [Line("P95 of a step", "p95", search.levels)], marks,
    )  # fmt: skip
    head = safe_html(f"Stress of {search.name}: the saturation point is {knee}/s, {own}/s is declared")
    return f'<details class="pc-load" open><summary>{head}</summary><div class="pc-figures">{figure}</div></details>'
