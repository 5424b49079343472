from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from tests.evidence.contexts import MADE
from tests.evidence.stores import Stores, stores


@pytest.fixture(autouse=True)
def _connections_closed() -> Iterator[None]:
    """Closes what the contexts of a test kept open: warnings about it are errors."""
    yield
    while MADE:
        MADE.pop().close()


@pytest.fixture(scope="module")
def running() -> Iterator[Stores]:
    """A folder with the demo's certificates and names, where its stores can be started."""
    with stores() as given:
        yield given


@pytest.fixture(scope="module")
def cluster(running: Stores) -> Cluster:
    """A primary with a standby."""
    return running.start_postgres()
