"""On one cluster, healthy and with faults, against check_postgres and check_pgactivity: both agree with our checks.

Differences, each for a reason:
- a sequence wider than the column that it fills is red for us and for check_pgactivity (where the column owns it);
  check_postgres looks at the sequence alone;
- an index on a partitioned table alone (ON ONLY) is invalid for us until every partition has one; check_pgactivity
  looks at indexes that have pages;
- a role for whom no trigger fires (session_replication_role) is seen by neither.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pytest_prodcheck.judging.limits import Limit
from suites.data_integrity import test_schema, test_storage
from tests.evidence.contexts import gather
from tests.evidence.postgres.servers import Server, installed, server
from tests.evidence.postgres.shop_database import SETTINGS, TABLES
from tests.suites.test_data_integrity import outcome

PGACTIVITY = Path("/usr/lib/nagios/plugins/check_pgactivity")
SECOND = Limit(warn="1s", fail="1000s")
NOTHING: dict[str, Any] = {"declared": {"tolerate": {}}}
GREEN = "passed"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Server]:
    if shutil.which("check_postgres") is None or not PGACTIVITY.is_file():
        pytest.skip("no check_postgres or check_pgactivity; install: apt-get install check-postgres check-pgactivity")
    versions = [version for version, programs in installed().items() if str(programs).startswith("/usr/lib/postgresql")]
    if not versions:
        pytest.skip("no PostgreSQL server of the system; install: apt-get install postgresql")
    with server(installed()[versions[0]]) as given:
        given.run(TABLES, "create extension amcheck")
        given.grant(given.context(**SETTINGS))
        yield given


def check_postgres(cluster: Server, action: str, *limits: str) -> str:
    node = cluster.node
    words = ["check_postgres", f"--action={action}", "-H", str(cluster.place / "pg"), "-p", str(node.port),
             "--dbname=shop", "--dbuser=postgres", *limits]  # fmt: skip
    return _answer(words)


def pgactivity(cluster: Server, service: str, *limits: str) -> str:
    words = ["perl", str(PGACTIVITY), "-s", service, "-h", str(cluster.place / "pg"), "-p", str(cluster.node.port),
             "-U", "postgres", "--dbname", "shop", *limits]  # fmt: skip
    return _answer(words)


def _answer(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1, 2), done.stdout + done.stderr
    return ("passed", "warned", "failed")[done.returncode] + ": " + done.stdout.strip()


PERCENT = ("-w", "75%", "-c", "90%")
SECONDS = ("-w", "1s", "-c", "1000s")


def theirs(cluster: Server) -> dict[str, tuple[str, ...]]:
    """What the two say, by what it is about."""
    return {
        "triggers": (check_postgres(cluster, "disabled_triggers", "-c", "1"),),
        "indexes": (pgactivity(cluster, "invalid_indexes"),),
        "unlogged": (pgactivity(cluster, "table_unlogged"),),
        "sequences": (check_postgres(cluster, "sequence", *PERCENT),
                      pgactivity(cluster, "sequences_exhausted", *PERCENT)),
        "idle": (check_postgres(cluster, "txn_idle", "-w", "1 seconds", "-c", "1000 seconds"),
                 pgactivity(cluster, "oldest_idlexact", *SECONDS)),
        "prepared": (check_postgres(cluster, "prepared_txns", "-w", "1", "-c", "1000"),
                     pgactivity(cluster, "oldest_2pc", *SECONDS)),
        "checksums": (pgactivity(cluster, "checksum_errors"),),
        "wraparound": (check_postgres(cluster, "autovac_freeze", "-w", "150%", "-c", "500%"),
                       pgactivity(cluster, "max_freeze_age", "-w", "300000000", "-c", "1073741824")),
    }  # fmt: skip


def our_outcomes(cluster: Server) -> dict[str, str]:
    given = cluster.context(**SETTINGS)
    schema, activity = gather("postgres-schema", "shop", given), gather("postgres-activity", "shop", given)
    checksums = gather("postgres-checksums", "shop", given)
    return {
        "triggers": outcome(test_schema.test_triggers_fire, schema, **NOTHING),
        "indexes": outcome(test_schema.test_indexes_are_valid, schema, **NOTHING),
        "unlogged": outcome(test_schema.test_tables_survive_a_crash, schema, **NOTHING),
        "sequences": outcome(test_schema.test_numbers_are_left, schema, **NOTHING),
        "idle": outcome(test_storage.test_no_transaction_is_left_open, activity, limit=SECOND),
        "prepared": outcome(test_storage.test_no_prepared_transaction_is_forgotten, activity, limit=SECOND),
        "checksums": outcome(test_storage.test_no_page_failed_its_checksum, checksums),
        "wraparound": outcome(test_storage.test_transaction_ids_are_left, activity),
    }


def test_all_agree_on_a_healthy_cluster(cluster: Server) -> None:
    assert set(our_outcomes(cluster).values()) == {GREEN}
    said = theirs(cluster)
    assert [each for each in sum(said.values(), ()) if not each.startswith(GREEN)] == []


def test_all_agree_on_what_is_wrong(cluster: Server) -> None:
    """Every fault at once: all probes of all three are red, but that of what nothing was done to."""
    cluster.run("alter table app.lines disable trigger all", "create unlogged table app.u (a int)",
                "create sequence app.s as smallint", "create table app.t (a smallint default nextval('app.s'))",
                "alter sequence app.s owned by app.t.a", "select setval('app.s', 31000)",
                "grant select on app.s to prodcheck")  # fmt: skip
    with contextlib.suppress(psycopg.errors.UniqueViolation):
        cluster.run("create unique index concurrently twice on app.lines ((1))")
    with contextlib.closing(cluster.node.connect()) as idle, cluster.node.connect() as preparing:
        preparing.execute("begin")
        preparing.execute("insert into app.events values (1, 'prepared')")
        preparing.execute("prepare transaction 'forgotten'")
        idle.execute("begin")
        idle.execute("select 1")
        time.sleep(1.2)
        mine, said = our_outcomes(cluster), theirs(cluster)
        idle.execute("rollback")
    cluster.run("rollback prepared 'forgotten'", "alter table app.lines enable trigger all", "drop table app.u",
                "drop table app.t", "drop index app.twice")  # fmt: skip
    expected = {"checksums": "passed", "wraparound": "passed", "idle": "warned", "prepared": "warned"}
    for about, mark in mine.items():
        assert mark == expected.get(about, "failed"), about
        assert [each for each in said[about] if not each.startswith(mark)] == [], about


def test_ages_are_the_same_numbers(cluster: Server) -> None:
    ages = gather("postgres-activity", "shop", cluster.context(**SETTINGS)).databases
    mine = next(each.age for each in ages if each.database == "shop")
    for said in (check_postgres(cluster, "txn_wraparound"), pgactivity(cluster, "max_freeze_age", *PERCENT)):
        found = re.search(r"\bshop=(\d+)", said)
        assert found is not None, said
        assert abs(int(found[1]) - mine) < 20


def test_where_they_differ(cluster: Server) -> None:
    """What the others do not see, as said above."""
    cluster.run("create sequence app.s", "create table app.t (a smallint default nextval('app.s'))",
                "select setval('app.s', 31000)", "grant select on app.s to prodcheck",
                "alter role postgres set session_replication_role = 'replica'",
                "create index part on only app.visits (at)")  # fmt: skip
    mine = our_outcomes(cluster)
    said = theirs(cluster)
    cluster.run("drop table app.t", "drop sequence app.s", "alter role postgres reset session_replication_role",
                "drop index app.part")  # fmt: skip
    assert {about for about, mark in mine.items() if mark != GREEN} == {"sequences", "triggers", "indexes"}
    for about in ("sequences", "triggers", "indexes"):
        assert said[about][0].startswith(GREEN), said[about]
