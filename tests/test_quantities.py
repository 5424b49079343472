"""Numbers with units, both ways."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_prodcheck.quantities import Quantity, format_quantity, parse_duration, parse_quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", Quantity(0.5, "s", "time")),
        (" 1.5 h ", Quantity(5400.0, "s", "time")),
        ("2w", Quantity(1209600.0, "s", "time")),
        ("3µs", Quantity(3e-6, "s", "time")),
        ("1%", Quantity(1.0, "%", "ratio")),
        ("1.5MB", Quantity(1.5e6, "B", "bytes")),
        ("2KiB", Quantity(2048.0, "B", "bytes")),
        ("2 x", Quantity(2.0, "x", "plain")),
        ("-4", Quantity(-4.0, "", "plain")),
        ("1e3", Quantity(1000.0, "", "plain")),
        (3, Quantity(3.0, "", "plain")),
        (0.25, Quantity(0.25, "", "plain")),
    ],
)
def test_parse(text: str | float, expected: Quantity) -> None:
    found = parse_quantity(text)
    assert (found.unit, found.dimension) == (expected.unit, expected.dimension)
    assert found.value == pytest.approx(expected.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ms",
        "nan",
        "inf",
        "1e999",
        "5 parsec",
        "1,5s",
        "1٣s",
        "1s 2s",
        "0x10",
        "--1",
        True,
        None,
        [],
        math.nan,
        math.inf,
        10**400,
    ],
)
def test_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_quantity(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["15", "1%", "-5m", "", "1MB", "never", 15, None])
def test_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        parse_duration(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1.2, "s", "1.2 s"),
        (0.34, "s", "340 ms"),
        (0.0000123, "s", "12.3 µs"),
        (900, "s", "15 min"),
        (90, "s", "90 s"),
        (86400 * 3, "s", "3 d"),
        (0, "s", "0 s"),
        (-3.2, "s", "-3.2 s"),
        (12.5, "%", "12.5 %"),
        (1.5e6, "B", "1.5 MB"),
        (3, "", "3"),
        (123456, "", "123456"),
        (2, "x", "2 x"),
        (math.nan, "s", "nan s"),
        (True, "", "yes"),
        (None, "s", "nothing"),
        ("v2", "", "v2"),
    ],
)
def test_format(value: float | str | bool | None, unit: str, expected: str) -> None:
    assert format_quantity(value, unit) == expected


@settings(deadline=None)
@given(st.text(max_size=30) | st.floats() | st.integers())
def test_anything_is_a_finite_quantity_or_a_value_error(text: str | float) -> None:
    with suppress(ValueError):
        assert math.isfinite(parse_quantity(text).value)


@settings(deadline=None)
@given(st.floats(min_value=1e-5, max_value=1e9), st.sampled_from(["s", "%", "B", ""]))
def test_what_is_formatted_can_be_read_again(value: float, unit: str) -> None:
    assert parse_quantity(format_quantity(value, unit)).value == pytest.approx(value, rel=1e-3, abs=1e-3)
