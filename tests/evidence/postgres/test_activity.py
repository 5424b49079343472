"""What is found of sessions, locks and dead rows, on real servers of every version."""

from __future__ import annotations

import contextlib
import threading
import time

from pytest_prodcheck.records.database import (
    Activity,
)
from tests.evidence.postgres.servers import Server
from tests.evidence.postgres.shop_database import changed, find


def test_sessions(database: Server) -> None:
    with contextlib.ExitStack() as opened:
        first, second, third = (opened.enter_context(contextlib.closing(database.node.connect())) for _ in range(3))
        first.execute("set application_name = 'holder'")
        first.execute("begin")
        first.execute("lock table app.orders in share mode")
        third.execute("begin")
        third.execute("insert into app.events values (1, 'prepared')")
        third.execute("prepare transaction 'forgotten'")

        def wait() -> None:
            import psycopg

            with contextlib.suppress(psycopg.Error):
                second.execute("update app.orders set total = total where id = 1")

        waiting = threading.Thread(target=wait)
        waiting.start()
        while not database.node.ask("select count(*) from pg_locks where not granted"):
            time.sleep(0.05)
        time.sleep(0.3)
        activity: Activity = find(database, "postgres-activity")
        first.execute("commit")
        waiting.join(10)
        database.run("rollback prepared 'forgotten'")
    (held,) = activity.waits
    assert 0.3 <= held.seconds < 60
    assert "waits for a lock, relation of orders, held by pid" in held.what
    assert [("holder" in each.who, each.seconds >= 0.3) for each in activity.idle] == [(True, True)]
    assert [each.who for each in activity.prepared] == ["forgotten"]


def test_dead_rows(database: Server) -> None:
    def dead(table: str) -> tuple[int, int, bool]:
        for _ in range(100):
            found = {each.table: each for each in find(database, "postgres-activity").dead}
            if table in found:
                return found[table].dead, found[table].trigger, found[table].autovacuum
            time.sleep(0.1)
        raise AssertionError(f"{table} has no dead rows")

    make = "create table app.dead (a int); insert into app.dead select generate_series(1, 100); analyze app.dead"
    with changed(database, make, "drop table app.dead"):
        database.run("delete from app.dead where a > 90")
        assert dead("app.dead") == (10, 70, True)
        database.run("alter table app.dead set (autovacuum_vacuum_threshold = 3, autovacuum_vacuum_scale_factor = 0, "
                    "autovacuum_enabled = false)")  # fmt: skip
        assert dead("app.dead") == (10, 3, False)
