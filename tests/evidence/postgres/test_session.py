"""The bounded session that the data integrity suite reads by."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.postgres.members import members
from pytest_prodcheck.evidence.postgres.session import Session, missing_grant, on_primary, session_for_long_reads
from tests.evidence.contexts import context, problem_of
from tests.evidence.stores import Stores, address_of

Make = Callable[..., Context]


@pytest.fixture
def make(running: Stores, cluster: Cluster) -> Make:
    def made(**changes: Any) -> Context:
        first, second = cluster.nodes
        settings = {
            "nodes": [address_of("db-1", first.entrance), address_of("db-2", second.entrance)],
            "expect": {"primaries": 1, "standbys": 1},
            "database": "shop",
            "password": {"file": running.known.postgres},
            "tls": {"ca": "ca.pem"},
            "timeouts": {"connect": "2s", "statement": "2s", "lock": "100ms"},
        }
        return context(running.place, nameserver=running.nameserver, postgres={"shop": {**settings, **changes}})

    return made


@pytest.fixture
def session(make: Make) -> Iterator[Session]:
    with on_primary("shop", make(), Deadline(10)) as opened:
        yield opened


def test_members_have_the_roles_they_have_now(make: Make) -> None:
    first, second = members("shop", make(), Deadline(5))
    assert (first.recovering, first.replaying, second.recovering, second.replaying) == (False, False, True, True)
    assert first.version == second.version >= 130000


def test_rows_in_text_form(session: Session) -> None:
    table = session.rows("select $1::int + 1, null, 'x'", "41")
    assert table.rows == (("42", None, "x"),)
    assert table.types[0] == 23


def test_names_itself_and_only_reads(session: Session, cluster: Cluster) -> None:
    row = session.rows("select current_setting('application_name'), current_setting('transaction_read_only'), "
                       "current_setting('statement_timeout'), current_setting('lock_timeout')").rows[0]  # fmt: skip
    assert row == ("prodcheck", "on", "2s", "100ms")
    # nothing of it stays with a session that a pooler hands on
    assert cluster.primary.ask("select count(*) from pg_stat_activity where application_name = 'prodcheck' "
                               "and state like 'idle in%'") == 0  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "kind", "words"),
    [
        ("select 1; select 2", "configuration", "not one statement"),
        ("create table mine (a int)", "configuration", "would write"),
        ("insert into orders (customer, total) values ('customer', 1)", "configuration", "would write"),
        ("select nextval('orders_id_seq')", "denied", "may not read"),
        ("select set_config('transaction_read_only', 'off', true), count(*) from pg_class", "protocol", "refused"),
        ("select * from nowhere", "configuration", "no such table"),
        ("select nothing from orders", "configuration", "no such column"),
        ("select 1 / 0", "protocol", "division by zero"),
        ("selec 1", "configuration", "not one statement"),
    ],
)
def test_what_is_refused(session: Session, sql: str, kind: str, words: str) -> None:
    problem = problem_of(lambda: session.rows(sql, what="it", own_path=True))
    assert problem.kind == kind, problem
    assert words in problem.message
    assert session.rows("select 1").rows == (("1",),)  # the session can be used on


def test_written_by_a_function_is_refused(session: Session, cluster: Cluster) -> None:
    cluster.primary.ask("create function sneaky() returns int language sql security definer "
                        "as 'insert into customers values (''sneaky'') returning 1'")  # fmt: skip
    try:
        assert problem_of(lambda: session.rows("select sneaky()", own_path=True)).kind == "configuration"
        assert cluster.primary.ask("select count(*) from customers where name = 'sneaky'") == 0
    finally:
        cluster.primary.ask("drop function sneaky()")


def test_time_budget_is_the_servers(session: Session, cluster: Cluster) -> None:
    began = time.monotonic()
    problem = problem_of(lambda: session.rows("select pg_sleep(30)", seconds=0.3, what="a long one"))
    assert problem.kind == "timeout"
    assert "a long one: not done within 0.3 s" in problem.message
    assert time.monotonic() - began < 2
    assert session.rows("select 1").rows == (("1",),)
    left = "select count(*) from pg_stat_activity where query like '%pg_sleep(30)' and state = 'active'"
    assert cluster.primary.ask(left) == 0


def test_a_lock_is_not_queued_for(session: Session, cluster: Cluster) -> None:
    with contextlib.closing(cluster.primary.connect()) as holder:
        holder.execute("begin")
        holder.execute("lock table products in access exclusive mode")
        began = time.monotonic()
        problem = problem_of(lambda: session.rows("select count(*) from products", own_path=True))
        assert problem.kind == "timeout"
        assert "holds a lock" in problem.message
        assert time.monotonic() - began < 1.5


def test_forbidden_tells_the_grant(session: Session, cluster: Cluster) -> None:
    cluster.primary.ask("create table hidden (a int)")
    cluster.primary.ask("create schema locked")
    cluster.primary.ask("create table locked.away (a int)")
    try:
        problem = problem_of(lambda: session.rows("select * from hidden", own_path=True))
        assert problem.kind == "denied"
        assert problem.hint.startswith('GRANT SELECT ON "hidden" TO "prodcheck"; prodcheck grants prints')
        problem = problem_of(lambda: session.rows("select * from locked.away"))
        assert problem.hint.startswith('GRANT USAGE ON SCHEMA "locked" TO "prodcheck"')
    finally:
        cluster.primary.ask("drop table hidden")
        cluster.primary.ask("drop schema locked cascade")


def test_more_rows_than_asked_for(session: Session) -> None:
    problem = problem_of(lambda: session.rows("select * from generate_series(1, 20)", most=10))
    assert problem.kind == "too-large"


def test_long_reads_go_to_a_standby_that_has_caught_up(make: Make, cluster: Cluster) -> None:
    given = make()
    cluster.primary.ask("insert into customers values ('newest')")
    with session_for_long_reads("shop", given, Deadline(10)) as session:
        assert session.recovering
        assert session.rows("select count(*) from public.customers where name = 'newest'").rows == (("1",),)
    cluster.primary.ask("delete from customers where name = 'newest'")


def test_a_standby_that_shows_old_rows_is_not_read(make: Make, cluster: Cluster) -> None:
    cluster.standby.ask("select pg_wal_replay_pause()")
    try:
        deadline = Deadline(10)
        with session_for_long_reads("shop", make(), deadline) as session:
            assert not session.recovering
        assert any("read on the primary" in note for note in deadline.notes)
        problem = problem_of(lambda: session_for_long_reads("shop", make(read_on="standby"), Deadline(10)))
        assert "paused" in problem.message
    finally:
        cluster.standby.ask("select pg_wal_replay_resume()")


def test_no_primary_is_told(make: Make, cluster: Cluster) -> None:
    given = make(nodes=[address_of("db-2", cluster.standby.entrance)], expect={"primaries": 0, "standbys": 1})
    problem = problem_of(lambda: on_primary("shop", given, Deadline(5)))
    assert "not one primary" in problem.message
    cluster.standby.entrance.set_mode("down")
    try:
        alone = make(nodes=[address_of("db-2", cluster.standby.entrance)], expect={"primaries": 1})
        assert problem_of(lambda: on_primary("shop", alone, Deadline(5))).kind == "refused"
    finally:
        cluster.standby.entrance.set_mode("serve")


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("permission denied for function bt_index_check", 'GRANT EXECUTE ON FUNCTION bt_index_check TO "p"'),
        ("permission denied for sequence orders_id_seq", 'GRANT SELECT ON SEQUENCE "orders_id_seq" TO "p"'),
        ("permission denied for view v", 'GRANT SELECT ON "v" TO "p"'),
        ("keine Berechtigung für Tabelle t", "GRANT p what it lacks"),
    ],
)
def test_grants_in_words(said: str, hint: str) -> None:
    assert missing_grant(said, "p") == hint


def test_a_record_that_is_written_by_half_is_waited_for_by_nobody(make: Make, cluster: Cluster) -> None:
    """A read that is rolled back leaves hints unflushed: the standby has all that there is, and cannot replay it."""
    cluster.primary.ask("create table hinted as select i from generate_series(1, 20000) i")
    cluster.primary.ask("checkpoint")
    with contextlib.closing(cluster.primary.connect()) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from hinted")
        reader.execute("rollback")
    began = time.monotonic()
    deadline = Deadline(20)
    with session_for_long_reads("shop", make(), deadline) as session:
        assert session.recovering
    cluster.primary.ask("drop table hinted")
    assert time.monotonic() - began < 4
    assert deadline.notes == []
