"""The comparison of replicas chunk by chunk: what was not compared is told, and what was is not compared again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.evidence.content import comparing
from pytest_prodcheck.evidence.content.progress import FOLDER, Progress
from pytest_prodcheck.records.replication import ContentComparison
from tests.evidence.contexts import context, gather
from tests.evidence.stores import Stores, address_of

TABLES = ["orders", "payments", "t.rows"]
KEY = b"k" * 32
Compare = Callable[..., ContentComparison]


@pytest.fixture(scope="module")
def cluster(running: Stores) -> Cluster:
    cluster = running.start_postgres()
    for statement in (
        "create schema t", "create table t.rows (t int primary key, text text)",  # a column named as our alias
        "insert into t.rows select n, repeat('x', 500) from generate_series(1, 200) n",
        "grant usage on schema t to prodcheck", "grant select on t.rows to prodcheck",
    ):  # fmt: skip
        cluster.primary.ask(statement)
    return cluster


@pytest.fixture
def compare(running: Stores, cluster: Cluster, tmp_path: Path) -> Compare:
    (tmp_path / "ca.pem").write_text((running.place / "ca.pem").read_text())

    def compared(budget: float = 30.0, **content: Any) -> ContentComparison:
        settings = {
            "nodes": [address_of(f"db-{n}", node.entrance) for n, node in enumerate(cluster.nodes, 1)],
            "database": "shop",
            "tls": {"ca": "ca.pem"}, "password": {"file": running.known.postgres},
            "content": {"tables": TABLES, "chunk": 1, "workers": 1, **content},
        }  # fmt: skip
        given = context(tmp_path, nameserver=running.nameserver, postgres={"shop": settings})
        given.key = KEY
        found: ContentComparison = gather("postgres-content", "shop", given, budget)
        return found

    return compared


def counts(found: ContentComparison) -> dict[str, tuple[int, int, int]]:
    return {each.table: (each.chunks, each.compared, each.rows) for each in found.tables}


@contextlib.contextmanager
def closed(cluster: Cluster) -> Iterator[None]:
    """One of the tables may not be read: the comparison breaks off at it."""
    cluster.primary.ask("revoke select on payments from prodcheck")
    try:
        yield
    finally:
        cluster.primary.ask("grant select on payments to prodcheck")


@contextlib.contextmanager
def behind(cluster: Cluster) -> Iterator[None]:
    """The standby replays nothing of what the primary writes."""
    cluster.standby.ask("select pg_wal_replay_pause()")
    cluster.primary.ask("update t.rows set text = text where t = 1")
    try:
        yield
    finally:
        cluster.standby.ask("select pg_wal_replay_resume()")


def test_all_chunks_are_compared(compare: Compare, tmp_path: Path) -> None:
    found = compare()
    assert (found.differences, found.not_compared, found.resumed) == ((), (), 0)
    chunks, compared, rows = counts(found)["t.rows"]
    assert chunks == compared > 10
    assert rows == 200
    assert not list((tmp_path / FOLDER).glob("*"))


def test_what_was_equal_is_not_compared_again(compare: Compare, cluster: Cluster) -> None:
    with closed(cluster):
        first = compare()
    assert counts(first)["public.payments"][:2] == (1, 0)
    assert ["GRANT SELECT" in each for each in first.not_compared] == [True]
    done = sum(each.compared for each in first.tables)
    second = compare()
    assert (second.resumed, second.not_compared) == (done, ())
    assert all(chunks == compared for chunks, compared, _ in counts(second).values())
    assert counts(second)["t.rows"] == counts(first)["t.rows"]
    assert compare().resumed == 0  # it came to its end: the next one begins anew


def test_what_was_equal_counts_for_a_while_only(compare: Compare, cluster: Cluster) -> None:
    with closed(cluster):
        compare()
    time.sleep(0.1)
    assert compare(resume=0.1).resumed == 0


def test_the_budget_ends_it_and_the_rest_is_told(compare: Compare, cluster: Cluster) -> None:
    """Behind a standby that replays nothing: the first chunk would wait for 15 s."""
    with behind(cluster):
        began = time.monotonic()
        found = compare(budget=4.0)
        assert time.monotonic() - began < 8.0
    assert found.not_compared
    assert all(compared == 0 < chunks for chunks, compared, _ in counts(found).values())


def test_a_copy_that_is_behind_is_not_waited_for_at_each_chunk(
    compare: Compare, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "CATCH_UP", 1.0)
    monkeypatch.setattr(comparing, "LATE_AGAIN", 0.5)
    with behind(cluster):
        began = time.monotonic()
        found = compare()
        assert time.monotonic() - began < 5.0
    late, again, rest = found.not_compared
    assert "did not replay WAL up to" in late
    assert late.endswith("within 1 s (see data_integrity.replication.delay)")
    assert "within 0.5 s" in again
    assert "the rest was not compared" in rest
    assert all(compared == 0 < chunks for chunks, compared, _ in counts(found).values())
    assert compare().not_compared == ()


def test_a_difference_is_told_by_key_and_is_no_value(compare: Compare, cluster: Cluster) -> None:
    """The row is changed on the primary alone, as a standby does that has lost a write: its own page is damaged."""
    from pytest_prodcheck.demo.postgres import heap_page

    path = str(cluster.primary.ask("select pg_relation_filepath('t.rows')"))
    cluster.change_standby(lambda node: heap_page.change(node.data / path, b"x" * 500, b"x" * 250 + b"y" + b"x" * 249))
    found = compare()
    (difference,) = found.differences
    assert (difference.table, difference.rows) == ("t.rows", 1)
    assert [each.startswith("t=") and "x" not in each for each in difference.keys] == [True]


def progress(root: Path, subject: str = "shop", keep: float = 60.0) -> Progress:
    return Progress(root, KEY, subject, keep)


def test_progress_survives_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    first = progress(tmp_path)
    first.equal("a", 1)
    first.equal("b", 2)
    (file,) = (tmp_path / FOLDER).iterdir()
    file.write_text(file.read_text()[:-8])
    second = progress(tmp_path)
    assert (second.rows_of("a"), second.rows_of("b"), second.taken_over) == (1, None, 1)
    assert second.oldest is not None


def test_progress_of_something_else_or_from_the_future_is_none(tmp_path: Path) -> None:
    progress(tmp_path).equal("a", 1)
    assert progress(tmp_path, "another chunk size").rows_of("a") is None
    (file,) = (tmp_path / FOLDER).iterdir()
    file.write_text(f'["a", {time.time() + 3600}, 1]\n["b", "soon", 1]\n[]\n')
    assert [progress(tmp_path).rows_of(each) for each in "ab"] == [None, None]


def test_progress_that_somebody_else_noted_is_none(tmp_path: Path) -> None:
    """Without the key nobody says that a chunk is equal, nor carries it elsewhere, nor has us write through a link."""
    Progress(tmp_path, b"another key", "shop", 60.0).equal("a", 1)
    (file,) = (tmp_path / FOLDER).iterdir()
    foreign = file.read_text()
    for line in (foreign, foreign.split(" ", 2)[2], f'["a", {time.time()}, 1]\n', f'- - ["a", {time.time()}, 1]\n'):
        file.write_text(line)
        assert progress(tmp_path).rows_of("a") is None
    progress(tmp_path, "production").equal("a", 1)
    (other,) = set((tmp_path / FOLDER).iterdir()) - {file}
    file.write_bytes(other.read_bytes())
    assert progress(tmp_path).rows_of("a") is None
    assert progress(tmp_path, "production").rows_of("a") == 1
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    progress(tmp_path).equal("a", 1)
    assert not (tmp_path / "elsewhere").exists()
    assert Progress(tmp_path, b"", "production", 60.0).rows_of("a") is None


def test_progress_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / FOLDER.parent).write_text("no folder")
    first = progress(tmp_path)
    first.equal("a", 1)
    first.finished()
    assert first.rows_of("a") is None
