"""Prometheus servers of several clusters and the Alertmanager that they share, once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.field.monitoring.clusters import Clusters, clusters
from tests.monitoring import servers


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    pytest.importorskip("yaml", reason="no PyYAML: pip install pyyaml")
    if lacking := servers.missing():
        pytest.skip(f"no {', '.join(lacking)}: apt-get install {' '.join(lacking)}")
    with clusters(tmp_path_factory.mktemp("clusters")) as started:
        yield started


@pytest.fixture
def shared(running: Clusters, tmp_path: Path) -> Clusters:
    """Judged from a project of the test's own."""
    running.folder = tmp_path
    return running
