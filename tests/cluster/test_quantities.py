"""Quantities are read as the API server reads them; its own client reads others, which is why ours is by hand."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Any

import pytest

from pytest_prodcheck.evidence.kubernetes.objects import quantity
from tests.cluster.control_plane import ControlPlane

RANGES = "/api/v1/namespaces/default/limitranges?dryRun=All"
TEXTS = [
    "0", "1", "+1", "250m", "700m", "0.7", "1.", ".5", "1e3", "1E3", "1e+3", "1e-3", "1E", "1Ei", "5n", "5u", "0.1",
    "0.1Ki", "1.5Gi", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1k", "1M", "1G", "1T", "1P", "100000Gi", "007", "1e18", "3e0",
    "0.000001", "1.000000001", "123456789m", "9223372036854775807", "1e19", "16Ei", "9999999999999999999Ei", "1e400",
    "", " ", ".", "m", "Ki", "1e", "e3", "1Ki ", " 1", "1 ", "1\n", "1_000", "1,5", "1..2", "1.2.3", "--1", "+-1",
    "1ki", "1K", "1KI", "1mi", "1ni", "1i", "1 Gi", "1e3Ki", "1e3m", "1e3.5", "NaN", "Infinity", "inf", "1", "1m1",
    "1Gib", "1GB", "true", "0x10",
]  # fmt: skip
# the client's numbers for what the server refuses
TOO_KIND = {"1\n", "1 Gi", "1_000", "1K", "1e3Ki", "1e3m", "NaN", "Infinity", "inf"}


def accepted(plane: ControlPlane, least: object, most: object) -> bool:
    """Whether the server takes two quantities, of which the first must not be more than the second."""
    limits = [{"type": "Container", "min": {"cpu": least}, "max": {"cpu": most}}]
    meta = {"name": "quantities", "namespace": "default"}
    status, said = plane.ask(
        "POST", RANGES, {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": {"limits": limits}}
    )
    assert status in (201, 400, 422), said
    return bool(status == 201)


def read(text: object) -> float | None:
    try:
        return quantity(text)
    except ValueError:
        return None


def test_the_same_texts_are_quantities_and_the_same_numbers(plane: ControlPlane) -> None:
    wrong: list[Any] = []
    for text in TEXTS:
        ours, theirs = read(text), accepted(plane, text, text)
        if theirs != (ours is not None):
            wrong.append((text, ours, theirs))
        elif ours is not None and ours < 1e15:  # a float has 15 digits; the server counts in billionths, rounded up
            same = format(Decimal(repr(ours)).quantize(Decimal("1e-9"), ROUND_CEILING), "f")
            if not (accepted(plane, same, text) and accepted(plane, text, same)):
                wrong.append((text, ours, same))
    assert not wrong, wrong


@pytest.mark.parametrize("value", [1, 0, 2.5, 1000, 1e3])
def test_numbers_of_json(plane: ControlPlane, value: float) -> None:
    assert accepted(plane, value, value)
    assert quantity(value) == value


def test_what_is_larger_than_the_largest_is_the_largest(plane: ControlPlane) -> None:
    assert accepted(plane, "1e400", "16Ei") or accepted(plane, "16Ei", "1e400")
    assert quantity("1e400") == quantity("16Ei") == quantity("1e19")


def test_the_clients_own_function_takes_more(plane: ControlPlane) -> None:
    from kubernetes.utils.quantity import parse_quantity

    def client(text: str) -> bool:
        try:
            parse_quantity(text)
        except ValueError:
            return False
        return True

    assert {each for each in TEXTS if client(each) and not accepted(plane, each, each)} == TOO_KIND


def test_amounts_that_are_written_differently_are_the_same() -> None:
    assert quantity("700m") == quantity("0.7")
    assert quantity("-250m") == -0.25
    assert quantity("1e3") == quantity("1k") == 1000
    assert quantity("5u") == 5e-6
