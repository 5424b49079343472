"""Copies of records: equal, and of nobody else."""

from __future__ import annotations

import datetime
import math
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_prodcheck.evidence.gathering.copies import identical, own_copy
from pytest_prodcheck.records import Exchange, Problem
from pytest_prodcheck.records.services import Health


@dataclass(frozen=True)
class Odd:
    things: Any
    more: list[Any] = field(default_factory=list)


@dataclass
class Slotted:
    __slots__ = ("value",)
    value: list[int]


@dataclass
class Custom:
    value: list[int]

    def __deepcopy__(self, memo: object) -> Custom:
        return Custom([*self.value, 9])


class Text(str):
    note: list[int]


EXCHANGE = Exchange("GET", "http://s/", 200, (("A", "1"), ("B", "2")), "body", 4, 0.1)


@pytest.mark.parametrize(
    "value",
    [
        EXCHANGE,
        Health(EXCHANGE, (EXCHANGE, EXCHANGE)),
        Odd({"a": [1, {"b": (EXCHANGE, [2])}]}, [None, True, b"x"]),
        Odd({1, 2}, [datetime.datetime(2026, 1, 1), frozenset({(1, 2)})]),
        Slotted([1]),
        Problem("timeout", "x"),
    ],
)
def test_a_copy_is_equal_and_shares_nothing_that_can_be_changed(value: Any) -> None:
    copied = own_copy(value)
    assert repr(copied) == repr(value)
    assert type(copied) is type(value)
    shared = set(map(id, changeable(value))) & set(map(id, changeable(copied)))
    assert not shared


def changeable(value: Any) -> list[Any]:
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = list(value)
    elif hasattr(value, "__dict__"):
        inner = list(vars(value).values())
    own = [] if isinstance(value, (str, int, float, bytes, tuple, frozenset, type(None), datetime.date)) else [value]
    return own + [each for one in inner for each in changeable(one)]


def test_a_frozen_record_that_was_changed_by_force_is_not_the_next_ones() -> None:
    copied = own_copy(EXCHANGE)
    object.__setattr__(copied, "status", 500)
    assert EXCHANGE.status == 200


def test_what_copies_in_its_own_way_does() -> None:
    assert own_copy(Odd(Custom([1]))).things.value == [1, 9]
    text = Text("x")
    text.note = [1]
    own_copy(Odd(text)).things.note.append(2)
    assert text.note == [1]


class Equal:
    """Equals whatever it is compared with."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Unequal:
    """Equals itself alone."""

    things: list[Any]


@dataclass(frozen=True)
class Partly:
    """Leaves out a field where it is compared."""

    things: list[Any] = field(compare=False)


class Kept:
    def __init__(self) -> None:
        self.value = [1]

    def __deepcopy__(self, memo: object) -> Kept:
        return self


INNERMOST: list[Callable[[list[Any]], object]] = [
    lambda inner: inner,
    lambda inner: Odd({"a": [(1, inner)]}),
    lambda inner: Odd((inner,)),
    lambda inner: Slotted(inner),
    lambda inner: Unequal(inner),
    lambda inner: Partly(inner),
    lambda inner: Equal(inner),
    lambda inner: Odd([Equal(inner)]),
    lambda inner: defaultdict(list, {"a": inner}),
    lambda inner: OrderedDict(a=inner),
    lambda inner: deque([inner]),
    lambda inner: SimpleNamespace(a=inner),
]


@pytest.mark.parametrize("wrap", INNERMOST)
def test_a_change_at_any_depth_is_seen(wrap: Callable[[list[Any]], object]) -> None:
    changed: list[list[Any]] = [[1, 2], [], [True], [1.0], [Equal(1)]]
    for change in changed:
        inner: list[Any] = [1]
        value = wrap(inner)
        copied = own_copy(value)
        assert identical(copied, value)
        inner[:] = change
        assert not identical(copied, value)


@pytest.mark.parametrize(
    "value",
    [math.nan, {1, "x"}, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), Decimal("1.5"), PurePath("a/b"), EXCHANGE],
)
def test_a_copy_is_the_same(value: Any) -> None:
    assert identical(own_copy(Odd([value])), Odd([value]))
    assert not identical(Odd([value]), Odd([Equal(value)]))


def test_what_is_its_own_copy_is_refused() -> None:
    with pytest.raises(TypeError, match="its own copy"):
        own_copy(Odd([Kept()]))


@pytest.mark.parametrize("value", [threading.Lock(), (each for each in "x")])
def test_what_is_no_data_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        own_copy(Odd([value]))
