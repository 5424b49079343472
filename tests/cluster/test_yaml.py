"""Scalars of manifests: the right values are those of `kubectl label --local -o jsonpath={.spec}`, 1.36."""

from __future__ import annotations

import pytest
import yaml

from pytest_prodcheck.evidence.kubernetes.yaml_reading import Loader


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("81111e1", 811110), ("2026-11-24", "2026-11-24"), ("22:30", "22:30"), ("0o440", 288), ("0440", 288),
        ("0x1f", 31), ("1.5", 1.5), ("1.0.0", "1.0.0"), ("yes", True), ("08", 8), ("-3", -3), ("", None),
        ("1e3", 1000), ("abc", "abc"), ("2026-11-24T10:00:00Z", "2026-11-24T10:00:00Z"), ("0", 0),
    ],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    assert yaml.load(f"a: {text}", Loader) == {"a": value}


def test_a_key_that_is_given_twice() -> None:
    """The last one counts for kubectl 1.36."""
    assert yaml.load("a: 1\na: 2", Loader) == {"a": 2}
