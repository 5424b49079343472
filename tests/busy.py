"""Whether a run could not tell because this machine had no processor to spare: what tests of loads may meet."""

from __future__ import annotations

import pytest

TOO_BUSY = ("waited for a CPU", "did not get a CPU", "the load generator was too slow to measure")


def too_busy(text: str) -> bool:
    """Whether a reason, or a whole output, says so."""
    words = " ".join(text.split())
    return any(each in words for each in TOO_BUSY)


def skip_if_too_busy(text: str) -> None:
    """Ends a test whose run could not tell; what it was to show is then errored, which others show."""
    if too_busy(text):
        pytest.skip("the load's client got no processor: this machine is too busy to tell")
