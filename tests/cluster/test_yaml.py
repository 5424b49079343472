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
        ("y", True), ("N", False), ("'y'", "y"), ("0B11", 3), ("0X1F", 31), ("0O17", 15), ("1_0.5", 10.5),
        ("1e400", "1e400"), ("=", "="), ("<<", "<<"), ("!local x", "x"), ("!!binary aGVsbG8=", "hello"),
        ("!!timestamp 2026-01-01", "2026-01-01"), ("!!set {b, c}", {"b": None, "c": None}),
        ("!!omap [b: 1]", [{"b": 1}]),
    ],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    assert yaml.load(f"a: {text}", Loader) == {"a": value}


@pytest.mark.parametrize("text", ["1E3", "1.", "1.0", "1e+3", "12e03", "09", "0.0", "!!float 5", f"1{'0' * 20}.0"])
def test_whole_numbers_are_sent_as_such(text: str) -> None:
    """The API server takes no 1.0 for an integer; kubectl sends 1."""
    assert isinstance(yaml.load(f"a: {text}", Loader)["a"], int)


@pytest.mark.parametrize("text", ["a: .inf", "a: -.Inf", "a: .nan", "~: 1", "null: 1"])
def test_what_kubectl_does_not_read(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        yaml.load(text, Loader)


def test_keys_are_text() -> None:
    text = "y: 1\n1: 1\n1.0e3: 1\n0x10: 1\n!!binary aGk=: 1\n2026-11-24: 1"
    assert list(yaml.load(text, Loader)) == ["true", "1", "1000", "16", "hi", "2026-11-24"]


def test_a_key_that_is_given_twice() -> None:
    """The last one counts for kubectl 1.36."""
    assert yaml.load("a: 1\na: 2", Loader) == {"a": 2}


def test_a_number_of_more_digits_than_a_float_holds_stays_a_text() -> None:
    assert yaml.load(f"a: 1{'0' * 400}", Loader) == {"a": f"1{'0' * 400}"}
