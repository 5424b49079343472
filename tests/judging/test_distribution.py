"""A shift of the whole distribution is seen whatever its shape, and chance is not taken for one."""

from __future__ import annotations

import math
import os
import random
from collections import Counter

import pytest

from pytest_prodcheck.judging.distribution import Bins, log_shift, shifted, superiority
from pytest_prodcheck.judging.load_validity import slower
from pytest_prodcheck.records.load import AcceptedEndpoint, AcceptedRun, LoadEndpoint, ResponseTimes

SOAK = bool(os.environ.get("PRODCHECK_SOAK"))
SHAPES = ("two modes", "two modes, even", "lognormal", "always the same")


def drawn(chance: random.Random, shape: str, level: float, count: int = 300) -> ResponseTimes:
    """One run of a service of this shape, its times multiplied by `level`."""
    fast = {"two modes": 0.6, "two modes, even": 0.5, "rare slow": 0.95}.get(shape)
    found: Counter[int] = Counter()
    for _ in range(count):
        if fast is not None:
            seconds = (0.02 if chance.random() < fast else 0.2) * math.exp(chance.gauss(0, 0.1))
        else:
            seconds = 0.15 * math.exp(chance.gauss(0, 0.6 if shape == "lognormal" else 0.01))
        found[int(seconds * level * 1e6)] += 1
    return ResponseTimes(tuple(sorted(found.items())))


def endpoint(times: ResponseTimes) -> LoadEndpoint:
    return LoadEndpoint("overall", times.count, times.count, 0, (), times)


def accepted(times: ResponseTimes) -> AcceptedRun:
    return AcceptedRun("r", 0.0, "1", AcceptedEndpoint("overall", times.count, 0, times), ())


def test_superiority_is_that_of_mann_and_whitney() -> None:
    """Against all pairs, one by one."""
    chance = random.Random(5)
    now, before = [chance.lognormvariate(10, 1) for _ in range(80)], [chance.lognormvariate(9.8, 1) for _ in range(60)]
    first, second = (Bins([(int(value), 1) for value in sorted(values)]) for values in (now, before))
    longer = sum((a > b) + (a == b) / 2 for a in now for b in before) / (len(now) * len(before))
    assert superiority(first, second) == pytest.approx(longer, abs=0.002)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [1.0, 1.5, 0.7])
def test_the_factor_is_found(shape: str, factor: float) -> None:
    chance = random.Random(7)
    now, before = drawn(chance, shape, factor, 20_000), drawn(chance, shape, 1.0, 20_000)
    shift, _ = log_shift(Bins(now.histogram), Bins(before.histogram))
    assert math.exp(shift) == pytest.approx(factor, rel=0.03)


@pytest.mark.parametrize("runs", [1, 10])
@pytest.mark.parametrize("shape", SHAPES)
def test_one_and_a_half_times_slower_is_seen_and_chance_is_not(shape: str, runs: int) -> None:
    """Runs that differ by 3 % among themselves; the soak shows that fewer than 1 in 1,000 are false alarms."""
    chance, times = random.Random(11), 1500 if SOAK else 40
    false = found = 0
    for _ in range(times):
        base = [accepted(drawn(chance, shape, math.exp(chance.gauss(0, 0.03)))) for _ in range(runs)]
        same = shifted(endpoint(drawn(chance, shape, math.exp(chance.gauss(0, 0.03)))), base, 0.02)
        now = endpoint(drawn(chance, shape, 1.5 * math.exp(chance.gauss(0, 0.03))))
        worse = shifted(now, base, 0.02)
        assert same is not None
        assert worse is not None
        false += same.proven and same.change > 0.1
        found += worse.proven and worse.change > 0.1
    assert found >= 0.95 * times
    assert false <= times / 1000


def test_a_percentile_misses_what_ranks_see() -> None:
    """A cache before something slow: P95 lies at the edge between the two, where chance puts it."""
    chance, found, by_p95 = random.Random(3), 0, 0
    for _ in range(30):
        base = [accepted(drawn(chance, "rare slow", math.exp(chance.gauss(0, 0.03)))) for _ in range(3)]
        now = endpoint(drawn(chance, "rare slow", 1.5 * math.exp(chance.gauss(0, 0.03))))
        worse, percentile = shifted(now, base, 0.005), slower(now, base, 95, 0.005)
        found += worse is not None and worse.proven
        by_p95 += percentile is not None and percentile.proven
    assert found == 30
    assert by_p95 < 15


def test_a_difference_that_does_not_matter_is_none() -> None:
    """Twice as slow, by 10 ms."""
    found = shifted(endpoint(ResponseTimes(((20_000, 500),))), [accepted(ResponseTimes(((10_000, 500),)))], 0.02)
    assert found is not None
    assert found.change == pytest.approx(1.0, abs=0.02)
    assert not found.proven


def test_too_few_samples_tell_nothing() -> None:
    few = ResponseTimes(((20_000, 50),))
    assert shifted(endpoint(few), [accepted(few)], 0.02) is None
