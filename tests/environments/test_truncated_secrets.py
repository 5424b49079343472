"""Secrets that were cut short for display."""

from __future__ import annotations

import pytest

from pytest_prodcheck.environments.redaction import Redactor

SECRET = "hunter2-correct-horse-battery"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("'denied for h...horse-battery' == 'welcome'", "'denied for [redacted]' == 'welcome'"),
        ("'denied for hunter2-cor...'", "'denied for [redacted]'"),
        ("'...battery is wrong'", "'[redacted] is wrong'"),
        ("hunter2-c…", "[redacted]"),
        ("HUNTER2-c...BATTERY", "[redacted]"),
        ("denied h...y", "denied h...y"),  # two characters stand there by chance
        ("waiting ... ready", "waiting ... ready"),
        ("a...b...c", "a...b...c"),
    ],
)
def test_what_stands_beside_a_cut(text: str, clean: str) -> None:
    redactor = Redactor()
    redactor.add(SECRET)
    assert redactor.redact(text) == clean


def test_without_secrets_nothing_is_looked_for() -> None:
    assert Redactor().redact("hunter2-c...") == "hunter2-c..."
