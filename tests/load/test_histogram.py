"""Our histograms and files beside HdrHistogram's own library."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_prodcheck.evidence.load.results import endpoint_of
from pytest_prodcheck.load.counters import ProcessCounts
from pytest_prodcheck.load.histogram import Histogram, HistogramError, Line, percentile, read_log, write_log

HIGHEST = 3_600_000_000


def recorded(values: list[int]) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


def samples(seed: int, count: int = 5000) -> list[int]:
    chance = random.Random(seed)
    return [max(1, int(chance.lognormvariate(9, 1.5))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_those_of_the_library(seed: int) -> None:
    from hdrh.histogram import HdrHistogram

    values = samples(seed)
    ours, theirs = recorded(values), HdrHistogram(1, HIGHEST, 3)
    for value in values:
        theirs.record_value(value)
    for percent in (1, 50, 90, 95, 99, 99.9, 100):
        assert ours.percentile(percent) == theirs.get_value_at_percentile(percent)
    exact = sorted(values)[int(0.95 * len(values)) - 1]
    assert abs((ours.percentile(95) or 0) - exact) <= exact / 1000 + 1


def exponential(seed: int) -> list[int]:
    chance = random.Random(seed)
    return [int(chance.expovariate(1 / 300_000)) + 1 for _ in range(777)]


def bimodal_values(seed: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.randint(*((900, 1100) if chance.random() < 0.93 else (2_000_000, 9_000_000))) for _ in range(4001)]


@pytest.mark.parametrize(
    "made", [samples, exponential, bimodal_values, lambda seed: [seed, *range(1, 60_000_000, 999_983)]]
)
@pytest.mark.parametrize("seed", range(1, 6))
def test_percentiles_are_those_of_the_samples(made: Callable[[int], list[int]], seed: int) -> None:
    """To 0.1 %, however the samples came: of several processes and intervals, over the wire, as a record."""
    values = made(seed)
    parts = [ProcessCounts() for _ in range(3)]
    for place, value in enumerate(values):
        parts[place % 3].cell("it", place % 7).times.record(value)
    whole = ProcessCounts()
    for part in parts:
        whole.add(ProcessCounts.parse(json.loads(json.dumps(part.dump()))))
    times = endpoint_of("it", whole, {interval: (interval, 1.0) for interval in range(7)}).times
    exact = sorted(values)
    assert times.count == len(exact)
    for percent in (*range(1, 100), 99.5, 99.9, 99.99):
        true = exact[math.ceil(percent * len(exact) / 100 - 1e-9) - 1]
        seen = times.percentile(percent)
        assert seen is not None
        assert true <= round(1e6 * seen) <= true * 1.001 + 1


@pytest.mark.parametrize("values", [[], [1], [HIGHEST], [0, -5, HIGHEST * 10], samples(9), [77] * 300_000])
def test_encoded_and_back(values: list[int]) -> None:
    from hdrh.histogram import HdrHistogram

    ours = recorded(values)
    assert Histogram.decode(ours.encode()).counts == ours.counts
    theirs = HdrHistogram.decode(ours.encode())
    assert theirs.get_total_count() == len(values)
    if values:
        assert theirs.get_value_at_percentile(50) == ours.percentile(50)


def test_what_the_library_encodes_is_read() -> None:
    from hdrh.histogram import HdrHistogram

    theirs = HdrHistogram(1, HIGHEST, 3)
    for value in samples(3):
        theirs.record_value(value)
    assert Histogram.decode(theirs.encode().decode()).counts == recorded(samples(3)).counts


def test_a_log_is_read_by_the_library_and_by_us(tmp_path: Path) -> None:
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader

    lines = [Line("shop.product", 0.0, 0.5, recorded(samples(1))), Line("", 0.5, 0.5, recorded(samples(2)))]
    file = tmp_path / "times.hlog"
    file.write_text(write_log(1_700_000_000.25, lines))
    assert read_log(file.read_text()) == (1_700_000_000.25, lines)
    reader = HistogramLogReader(str(file), HdrHistogram(1, HIGHEST, 3))
    first, second = reader.get_next_interval_histogram(), reader.get_next_interval_histogram()
    reader.close()
    assert (first.get_tag(), first.get_total_count()) == ("shop.product", 5000)
    assert second.get_value_at_percentile(99) == lines[1].histogram.percentile(99)


@pytest.mark.parametrize("text", ["", "x", "AAAA", "HISTFAAAAA==", "HISTFAAAABx4" * 3])
def test_what_is_no_histogram(text: str) -> None:
    with pytest.raises(HistogramError):
        Histogram.decode(text)


@pytest.mark.parametrize("line", ["1,2,3", "a,b,c,d", "Tag=x,1,2,3,HISTF!"])
def test_what_is_no_log(line: str) -> None:
    with pytest.raises(HistogramError):
        read_log(line)


def test_a_percentile_of_nothing_is_nothing() -> None:
    assert percentile([], 95) is None
    assert Histogram().percentile(50) is None
