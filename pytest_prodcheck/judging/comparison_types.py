"""What `judge` compares with what, as far as types can tell: True is no 1, a text is no set, None is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from enum import Enum, IntEnum
from typing import Any, Protocol, Self, TypedDict, TypeVar


class Number(Protocol):
    """An int or a float. Not a bool: `-True` is an int, so `__neg__` of it does not return its own type."""

    def __neg__(self) -> Self: ...
    def __getnewargs__(self) -> tuple[float]: ...


class Details(TypedDict, total=False):
    """What else may be said of a judgement."""

    of: str
    warn_only: bool
    reason: str


class AmountDetails(Details, total=False):
    """What else may be said of a judgement that may have a unit."""

    unit: str


Real = Number | IntEnum | None
Text = str | bytes | date | timedelta | Enum  # and what else is no number
Plain = Text | None
Member = TypeVar("Member", bound=Real | Plain)
OneOf = tuple[Member, ...] | list[Member] | AbstractSet[Member] | Mapping[Member, Any]
OneOfTwo = tuple[bool, ...] | list[bool] | AbstractSet[bool] | Mapping[bool, Any]
Choices = tuple[Any, ...] | list[Any] | AbstractSet[Any] | range | Mapping[Any, Any]
