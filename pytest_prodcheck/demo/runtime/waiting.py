"""Waiting until something holds."""

from __future__ import annotations

import time
from collections.abc import Callable

from pytest_prodcheck.demo.runtime.errors import DemoError


def until(condition: Callable[[], object], what: str, seconds: float = 10) -> None:
    """Waits for a condition; DemoError when it does not come true."""
    end_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end_at:
            raise DemoError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.02)
