"""A context with a declared restore, and the check that a restore leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.restore.scratch_folder import PREFIX
from tests.evidence.contexts import context
from tests.evidence.restore.restoring import Make, tables
from tests.evidence.stores import Stores


@pytest.fixture
def make(running: Stores, cluster: Cluster) -> Make:
    def made(restore: dict[str, Any] | None = None, **changes: Any) -> Context:
        return context(running.place, **tables(running, cluster, restore or {}, **changes))

    return made


@pytest.fixture
def nothing_left(cluster: Cluster) -> Iterator[None]:
    yield
    assert list((cluster.folder / "scratch").glob(f"{PREFIX}*")) == []
