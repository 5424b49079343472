"""One Prometheus and one Alertmanager for all tests here, a project that judges by them; skips without them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.monitoring import servers, shop
from tests.monitoring.exporter import Numbers, exporter
from tests.monitoring.faults import Bench
from tests.project import Project


@pytest.fixture(scope="package")
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture(scope="package")
def watched(numbers: Numbers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Watch]:
    if lacking := servers.missing():
        pytest.skip(f"no {', '.join(lacking)}: apt-get install {' '.join(lacking)}")
    place = tmp_path_factory.mktemp("watch")
    with exporter(numbers) as scraped, servers.watch(place, scraped) as running:
        yield running


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project; its file is written for each test anew."""
    return Project.make(tmp_path_factory.mktemp("shop"), "version = 1\n", "")


@pytest.fixture
def bench(watched: servers.Watch, numbers: Numbers, home: Project) -> Bench:
    """All healthy; healed where a test before changed it."""
    toml = shop.TOML.replace("PROMETHEUS", watched.prometheus.address)
    home.write("prodcheck.toml", toml.replace("ALERTMANAGER", watched.alertmanager.address))
    numbers.heal()
    watched.heal()
    return Bench(numbers, watched, home)
