"""From what the load's driver left behind to a record: every number is checked, for files alone prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from pytest_prodcheck.evidence.tools.sanitizing import plain as plain_text
from pytest_prodcheck.load.counters import PHASES, IntervalCounts, ProcessCounts
from pytest_prodcheck.load.histogram import Histogram
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.load import (
    LoadAddress,
    LoadEndpoint,
    LoadInterval,
    LoadRun,
    LoadWorker,
    ResponseTimes,
    StressStep,
)

BUSY = 5.0  # seconds over which a worker's use of its core is looked at
REPORT = 0.5  # seconds between two reports of a worker
MOST_ENDPOINTS = 200  # names of requests that are told apart
Due = Callable[[float, float], float]  # start and length in seconds -> requests that were due


def read_run(name: str, mode: Literal["open", "users"], plan: Mapping[str, Any], result: Mapping[str, Any]) -> LoadRun:
    """The record of a run; raises EvidenceProblem (protocol) for a result that is none."""
    try:
        counted = ProcessCounts.parse(dict(result))
        workers = tuple(_worker(sender) for sender in result["senders"])
        ends = [sender["ended"] for sender in result["senders"] if sender["ended"] is not None]
        unanswered = sum(int(end["unanswered"]) for end in ends)
        told = [end["users_left"] for end in ends]
        users_asked = int(plan.get("users", 0)) if told and None not in told else 0
        segments: Sequence[Sequence[float]] = plan["segments"]
        seconds = float(plan["seconds"]) if "seconds" in plan else sum(each[0] for each in segments)
        asked = sum(max(1, round(each[0] * (each[1] + each[2]) / 2)) for each in segments)
        rate = plan.get("rate")
        asked = asked or round((rate or 0) * seconds)
        spans = _spans(plan, counted)
        names = dict.fromkeys([*plan["endpoints"], *sorted({endpoint for endpoint, _ in counted.cells})])
        if len(names) > MOST_ENDPOINTS:
            raise ValueError(
                f"{len(names)} request names are too many: group requests under one name (`name=` in Locust)"
            )
        weights = {each: float(told["weight"]) for each, told in plan["endpoints"].items()}
        arrivals = sum(plan["arrivals"].values())
        endpoints = tuple(
            endpoint_of(each, counted, spans, due(segments, weights[each] / arrivals) if weights else None)
            for each in names
        )
        return LoadRun(
            name=name,
            mode=mode,
            asked=asked,
            asked_rate=asked / seconds,
            began=float(result["began"]),
            seconds=seconds,
            begun=counted.begun,
            begun_in=max((float(end["last_begun"]) for end in ends), default=0.0),
            arrived=counted.arrived,
            dropped=counted.dropped,
            unanswered=unanswered,
            in_time=counted.in_time,
            lag=ResponseTimes(tuple(counted.lag.values())),
            aborted=plain_text(str(result["aborted"])),
            trouble=plain_text(str(result["problem"])),
            longest_gap=float(result["gap"]),
            workers=workers,
            workers_asked=int(plan["workers"]),
            endpoints=endpoints,
            overall=_overall(counted, spans, due(segments)),
            cached=counted.cached,
            shortages=_most_first(counted.shortages),
            task_errors=_most_first(counted.errors),
            users_asked=users_asked,
            users_left=sum(int(end["users_left"] or 0) for end in ends),
            addresses=_addresses(ends),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = f"load {name}: its result cannot be read: {type(error).__name__}: {error}"
        raise EvidenceProblem(Problem("protocol", plain_text(what))) from None


def steps_of(plan: Mapping[str, Any], run: LoadRun) -> tuple[tuple[StressStep, ...], StressStep | None]:
    """The steps of a search for the knee that were begun, and the recovery after them."""
    by_start = {each.start: each for each in run.overall.intervals}
    found = []
    for (start, _), (_, rate, _) in zip(_segment_spans(plan), plan["segments"], strict=True):
        seen = by_start.get(start)
        found.append(StressStep(float(rate), seen.begun, seen.good, seen.failed, seen.p95) if seen else None)
    return tuple(step for step in found[:-2] if step is not None and step.begun), found[-1]


def _most_first(counted: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple((plain_text(what, 200), number) for what, number in sorted(counted.items(), key=lambda each: -each[1]))


def _addresses(ends: Iterable[Mapping[str, Any]]) -> tuple[LoadAddress, ...]:
    """What became of each address, all processes together."""
    whole: dict[tuple[str, str], list[int]] = {}
    for end in ends:
        for service, address, *numbers in end["addresses"]:
            seen = whole.setdefault((str(service), str(address)), [0] * len(numbers))
            whole[str(service), str(address)] = [a + int(b) for a, b in zip(seen, numbers, strict=True)]
    return tuple(LoadAddress(service, address, *numbers) for (service, address), numbers in whole.items())


def _worker(sender: Mapping[str, Any]) -> LoadWorker:
    busiest, starved = _worst(sender["cpu"]), _worst(sender["wait"])
    ended = sender["ended"] is not None
    return LoadWorker(plain_text(str(sender["node"]), 60), int(sender["begun"]), busiest, ended, starved)


def _worst(told: Sequence[Any]) -> float:
    """The highest mean of BUSY seconds, of one value a report."""
    shares = [float(each) for each in told]
    width = max(1, min(round(BUSY / REPORT), len(shares)))
    return max(sum(shares[place : place + width]) / width for place in range(max(len(shares) - width + 1, 1)))


def _spans(plan: Mapping[str, Any], counted: ProcessCounts) -> dict[int, tuple[float, float]]:
    """Interval -> its start and length in seconds."""
    if plan["by_segment"]:
        return dict(enumerate(_segment_spans(plan)))
    width = float(plan["interval"])
    return {interval: (interval * width, width) for _, interval in counted.cells}


def _segment_spans(plan: Mapping[str, Any]) -> list[tuple[float, float]]:
    lengths = [float(each[0]) for each in plan["segments"]]
    return [(sum(lengths[:place]), length) for place, length in enumerate(lengths)]


def due(segments: Sequence[Sequence[float]], share: float = 1.0) -> Due:
    """How many of a schedule's requests fall into a time. segments: seconds, rate at the start, rate at the end."""

    def count(start: float, length: float) -> float:
        total = at = 0.0
        for seconds, low, high in segments:
            begins, ends = max(start, at), min(start + length, at + seconds)
            if ends > begins:
                middle = ((begins + ends) / 2 - at) / seconds
                total += (ends - begins) * (low + (high - low) * middle)
            at += seconds
        return share * total

    return count


def endpoint_of(
    name: str, counted: ProcessCounts, spans: Mapping[int, tuple[float, float]], asked: Due | None = None
) -> LoadEndpoint:
    """One endpoint of a run, over all intervals and in each."""
    cells = {interval: cell for (endpoint, interval), cell in counted.cells.items() if endpoint == name}
    phases = {phase: times for (endpoint, phase), times in counted.phases.items() if endpoint == name}
    return _endpoint_result(plain_text(name, 100), cells, spans, asked, phases)


def _overall(counted: ProcessCounts, spans: Mapping[int, tuple[float, float]], asked: Due) -> LoadEndpoint:
    merged: dict[int, IntervalCounts] = {}
    for (_, interval), cell in counted.cells.items():
        merged.setdefault(interval, IntervalCounts()).add(cell)
    phases: dict[str, Histogram] = {}
    for (_, phase), times in counted.phases.items():
        phases.setdefault(phase, Histogram()).add(times.counts.items())
    return _endpoint_result("overall", merged, spans, asked, phases)


def _endpoint_result(
    name: str,
    cells: Mapping[int, IntervalCounts],
    spans: Mapping[int, tuple[float, float]],
    asked: Due | None,
    phases: Mapping[str, Histogram],
) -> LoadEndpoint:
    whole = IntervalCounts()
    for cell in cells.values():
        whole.add(cell)
    reasons = sorted(whole.reasons.items(), key=lambda each: -each[1])
    intervals = tuple(
        _interval(*spans[interval], cells[interval], asked(*spans[interval]) if asked else 0.0)
        for interval in sorted(cells)
    )
    return LoadEndpoint(
        name,
        whole.begun,
        whole.good,
        whole.failed,
        tuple((plain_text(reason, 200), number) for reason, number in reasons),
        ResponseTimes(tuple(whole.times.values())),
        intervals,
        whole.retried,
        tuple((phase, ResponseTimes(tuple(phases[phase].values()))) for phase in PHASES if phase in phases),
    )


def _interval(start: float, seconds: float, cell: IntervalCounts, asked: float) -> LoadInterval:
    p50, p95, p99 = percentiles(cell.times, (50, 95, 99))
    return LoadInterval(start, seconds, cell.begun, cell.good, cell.failed, p50, p95, p99, asked)


def percentiles(times: Histogram, wanted: Iterable[float]) -> list[float | None]:
    """Percentiles in seconds, None of nothing."""
    found = [times.percentile(percent) for percent in wanted]
    return [None if each is None else each / 1e6 for each in found]
