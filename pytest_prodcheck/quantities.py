"""Numbers with units as people write them: "500ms", "15m", "1%", "1.5MB", "2 x"; and back."""

from __future__ import annotations

import math
import re

_TIME = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0,
    "d": 86400.0, "w": 604800.0,
}  # fmt: skip
_BYTES = {
    "B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
    "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3, "TiB": 1024.0**4,
}  # fmt: skip
_SCALES = (
    *((name, ("time", "s", factor)) for name, factor in _TIME.items()),
    *((name, ("bytes", "B", factor)) for name, factor in _BYTES.items()),
    ("%", ("ratio", "%", 1.0)),
    ("x", ("plain", "x", 1.0)),
    ("", ("plain", "", 1.0)),
)
_UNITS: dict[str, tuple[str, str, float]] = dict(_SCALES)
_TEXT = re.compile(r"\s*+([+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*+([A-Za-zµ]+|%|)\s*+")
_Steps = tuple[tuple[str, float, float], ...]  # unit, its size, from how many of it on it is used
_TIME_STEPS: _Steps = (
    ("d", 86400.0, 2.0), ("h", 3600.0, 2.0), ("min", 60.0, 2.0), ("s", 1.0, 1.0), ("ms", 1e-3, 1.0), ("µs", 1e-6, 0.0),
)  # fmt: skip
_BYTE_STEPS: _Steps = (("TB", 1e12, 1.0), ("GB", 1e9, 1.0), ("MB", 1e6, 1.0), ("kB", 1e3, 1.0), ("B", 1.0, 0.0))
_EXAMPLES = '"500ms", "15m", "1%", "1.5MB", "2 x" or 3'


class Quantity:
    """A finite number in the base unit of its dimension: time in s, ratio in %, bytes in B, plain in "" or "x".

    No dataclass, because `prodcheck gate --max-age` has no time to import those.
    """

    __slots__ = ("dimension", "unit", "value")

    def __init__(self, value: float, unit: str, dimension: str) -> None:
        self.value, self.unit, self.dimension = value, unit, dimension

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Quantity({self.value!r}, {self.unit!r}, {self.dimension!r})"

    def _key(self) -> tuple[float, str, str]:
        return (self.value, self.unit, self.dimension)


def parse_quantity(text: str | int | float) -> Quantity:
    """A number with its unit; a bare number is plain. Raises ValueError for anything else, NaN and infinity."""
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise ValueError(f"expected a quantity such as {_EXAMPLES}, not {text!r}")
    if not isinstance(text, str):
        return Quantity(_finite(_number(text), text), "", "plain")
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a quantity such as {_EXAMPLES}, not {text[:60]!r}")
    number, name = found.groups()
    if name not in _UNITS:
        known = ", ".join(unit for unit in _UNITS if unit)
        raise ValueError(f"unknown unit {name[:20]!r} in {text[:60]!r}: expected one of {known}")
    dimension, unit, factor = _UNITS[name]
    return Quantity(_finite(float(number) * factor, text), unit, dimension)


def parse_duration(text: str) -> float:
    """Seconds, 0 or more, of a text such as "500ms", "15m", "26h", "7d"; raises ValueError without a unit of time."""
    wanted = 'expected a duration such as "500ms", "90s", "15m", "26h" or "7d"'
    if not isinstance(text, str):
        raise ValueError(f"{wanted}, not {text!r}")
    try:
        quantity = parse_quantity(text)
    except ValueError:
        raise ValueError(f"{wanted}, not {text[:60]!r}") from None
    if quantity.dimension != "time":
        raise ValueError(f"{wanted}, not {text[:60]!r}")
    if quantity.value < 0:
        raise ValueError(f"{wanted}, not the negative {text[:60]!r}")
    return quantity.value


def format_quantity(value: float | str | bool | None, unit: str = "") -> str:
    """For people: "1.2 s", "340 ms", "12.5 %", "1.5 MB", "3"; yes or no for bools, other values as they are."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return f"{value} {unit}".strip()
    if unit == "s":
        return _scaled(value, _TIME_STEPS)
    if unit == "B":
        return _scaled(value, _BYTE_STEPS)
    return f"{_digits(value)} {unit}".strip()


def _scaled(value: float, steps: _Steps) -> str:
    base = next(name for name, factor, _ in steps if factor == 1.0)
    if value == 0:
        return f"0 {base}"
    for name, factor, least in steps:
        if abs(value) >= factor * least:
            return f"{_digits(value / factor)} {name}"
    return f"{_digits(value)} {base}"


def _digits(value: float) -> str:
    """At most four significant digits, never an exponent for numbers people meet."""
    if value and not 1e-6 <= abs(value) < 1e15:
        return f"{value:.4g}"
    places = 0 if abs(value) >= 1000 else 3 - math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:.{places}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _number(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _finite(value: float, text: object) -> float:
    if not math.isfinite(value):
        raise ValueError(f"expected a finite quantity such as {_EXAMPLES}, not {text!r}")
    return value
