"""The one error of the demo."""

from __future__ import annotations

MISSING = "install the demo's parts with: pip install 'pytest-prodcheck[demo]'"


class DemoError(Exception):
    """The demo could not do what was asked; the message says what failed and how to fix it."""
