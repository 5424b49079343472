"""Arrivals come at the declared rate, evenly, whatever the shape."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from pytest_prodcheck.load.schedule import Segment, round_robin
from pytest_prodcheck.load.sliding_window import due_at_first


@pytest.mark.parametrize(
    ("segment", "count"),
    [
        (Segment(60, 10_000 / 60, 10_000 / 60), 10_000),
        (Segment(10, 10, 90), 500),
        (Segment(10, 90, 10), 500),
        (Segment(10, 0.0001, 100), 500),
        (Segment(0.01, 5, 5), 1),
    ],
)
def test_as_many_as_asked_in_order_and_in_time(segment: Segment, count: int) -> None:
    due = list(segment.due())
    assert len(due) == segment.requests == count
    assert due == sorted(due)
    assert due[0] >= 0
    assert due[-1] <= segment.seconds


def test_a_constant_rate_is_even() -> None:
    due = list(Segment(2, 100, 100).due())
    gaps = {round(later - sooner, 9) for sooner, later in itertools.pairwise(due)}
    assert gaps == {0.01}


def test_a_ramp_has_a_quarter_of_its_requests_in_its_first_half() -> None:
    due = list(Segment(10, 0.000001, 100).due())
    assert sum(each < 5 for each in due) == pytest.approx(125, abs=1)


def test_turns_keep_the_weights_and_spread_them() -> None:
    order = round_robin({"a": 8, "b": 2})
    assert Counter(order) == {"a": 4, "b": 1}
    order = round_robin({"a": 70, "b": 20, "c": 10})
    assert Counter(order) == {"a": 7, "b": 2, "c": 1}
    places = [place for place, name in enumerate(order) if name == "b"]
    assert places[1] - places[0] > 2


@pytest.mark.parametrize(
    ("plan", "count"),
    [
        ({"segments": [[10, 1, 100]]}, 129),
        ({"segments": [[60, 100, 100]]}, 500),
        ({"segments": [[2, 10, 10], [2, 100, 100]]}, 220),
        ({"segments": [[60, 2, 2]]}, 20),
        ({"segments": [], "rate": 50, "seconds": 60}, 250),
        ({"segments": [], "rate": None, "seconds": 60}, 20),
    ],
)
def test_what_is_due_at_first_follows_the_shape(plan: dict[str, Any], count: int) -> None:
    """grafana/k6#449: six failures at the start of a ramp are six of 129, not of the 20 that its first rate makes."""
    assert due_at_first(plan) == count
