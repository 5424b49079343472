from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.evidence.support import MADE


@pytest.fixture(autouse=True)
def _connections_closed() -> Iterator[None]:
    """Closes what the contexts of a test kept open: warnings about it are errors."""
    yield
    while MADE:
        MADE.pop().close()
