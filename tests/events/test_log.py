"""One contract for the event log, in SQLite and in a real PostgreSQL; and what is read from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_prodcheck.events.history import closed_periods, flaky, identities, points, slowest, trend
from pytest_prodcheck.events.log import FILE, Event, EventLog, LogProblem, open_file, open_server
from pytest_prodcheck.events.run_events import events_of
from pytest_prodcheck.reports.sparkline import sparkline
from tests.evidence.postgres.servers import PASSWORD, installed, server
from tests.reports.samples import BLOCKED, RUN

DEPLOYED = Event("d1", 100.0, "deployed", "production", "shop", "v1", "v1", {"by": "anna", "seconds": 2.5})


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    programs = next(iter(installed().values()), None)
    if programs is None:
        pytest.skip("no PostgreSQL, which keeps the log; install: apt-get install postgresql")
    with server(programs) as made:
        made.run(f"create role keeper login password '{PASSWORD}'", "grant create, usage on schema public to keeper")
        yield f"host=127.0.0.1 port={made.node.port} dbname=shop user=keeper password={PASSWORD}"


class Place:
    """Opens one log again and again."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder, self.dsn = folder, dsn

    def open(self) -> AbstractContextManager[EventLog]:
        return open_server(self.dsn) if self.dsn else open_file(self.folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, request.getfixturevalue("dsn") if request.param == "postgresql" else "")
    yield made
    with made.open() as log:
        log.forget(1e18)
        log._do("delete from events")
        log._commit()


def test_what_was_added_is_found_the_newest_first(place: Place) -> None:
    later = Event("d2", 200.0, "deployed", "production", "shop", "v2", "v2")
    with place.open() as log:
        log.add(DEPLOYED, later)
    with place.open() as log:
        assert log.find(environment="production") == [later, DEPLOYED]
        assert log.find(environment="production", since=150.0) == [later]
        assert log.find(kind="deployed", most=1) == [later]
        assert log.find(environment="staging") == []
        assert log.find(unit="shop", until=150.0) == [DEPLOYED]
        assert log.find(unit="") == []


def test_an_event_is_kept_once_and_never_changed(place: Place) -> None:
    with place.open() as log:
        log.add(DEPLOYED)
        log.add(Event("d1", 999.0, "deployed", "production", body={"by": "mallory"}))
        assert log.find() == [DEPLOYED]


def test_old_events_are_forgotten_but_drills_and_incidents(place: Place) -> None:
    with place.open() as log:
        log.add(DEPLOYED, Event("i1", 1.0, "incident-opened", "production"), Event("x1", 1.0, "drill", "production"))
        log.forget(150.0)
        assert {each.id for each in log.find()} == {"i1", "x1"}


def test_texts_of_any_kind(place: Place) -> None:
    odd = "O'Hara; drop table events; -- % ? %s \u202e 注文"
    event = Event("o1", 1.5, "run", odd, odd, odd, odd, {"text": odd, "n": [1, 2.5, None, True]})
    with place.open() as log:
        log.add(event)
        assert log.find(environment=odd) == [event]


def test_many_writers_at_once(place: Place) -> None:
    def write(number: int) -> None:
        with place.open() as log:
            log.add(*(Event(f"{number}-{n}", float(n), "run", "production") for n in range(20)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with place.open() as log:
        assert len(log.find()) == 80


def test_what_is_no_number_is_refused_whole(place: Place) -> None:
    with place.open() as log, pytest.raises(ValueError, match="JSON"):
        log.add(DEPLOYED, Event("n1", 1.0, "run", "production", body={"n": float("nan")}))
    with place.open() as log:
        assert log.find() == []


@pytest.mark.parametrize("content", [b"no database" * 100, b""])
def test_a_file_that_is_no_database(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    if content:
        with pytest.raises(LogProblem, match="not a database"), open_file(tmp_path):
            pass
    else:  # as SQLite itself leaves it when it is killed at the start
        with open_file(tmp_path) as log:
            log.add(DEPLOYED)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(LogProblem, match="not a regular file"), open_file(tmp_path):
        pass
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_damaged_body_is_an_empty_one(tmp_path: Path) -> None:
    with open_file(tmp_path) as log:
        log.add(DEPLOYED)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("update events set body = 'x'")
        connection.commit()
    with open_file(tmp_path) as log:
        assert log.find()[0].body == {}


def test_a_server_that_is_not_there_tells_no_secret() -> None:
    with (
        pytest.raises(LogProblem) as told,
        open_server("host=127.0.0.1 port=9 user=x password=very-secret-indeed", timeout=2),
    ):
        pass
    assert "very-secret" not in str(told.value)


def test_a_run_and_its_verdicts_as_events() -> None:
    run, verdict = events_of(RUN, [BLOCKED])
    assert (run.kind, run.subject, run.body["counts"]["failed"]) == ("run", RUN.id, 1)
    assert run.body["results"]["smoke.service.latency@shop"] == {
        "outcome": "warned", "value": 0.64, "unit": "s", "limit": 2.0,
    }  # fmt: skip
    assert (verdict.subject, verdict.body["code"]) == ("smoke", 1)


def test_trend_and_slowest_evidence_as_they_come_back(place: Place) -> None:
    """Written and read again by either store."""
    took = ({"http-health:shop": 0.2, "load:shop": 30.0}, {"http-health:shop": 0.4}, {"http-health:shop": 9.0})
    runs = [replace(RUN, id=f"run-{n}", ended_at=RUN.ended_at + n) for n in range(3)]
    with place.open() as log:
        for run, each in zip(runs, took, strict=True):
            log.add(*events_of(run, [], each))
    with place.open() as log:
        found = log.find(environment=RUN.environment, kind="run", unit=RUN.unit, until=RUN.ended_at + 2)
    assert [(each.collector, each.target, each.runs, each.median, each.worst) for each in slowest(found)] == [
        ("load", "shop", 1, 30.0, 30.0), ("http-health", "shop", 3, 0.4, 9.0),
    ]  # fmt: skip
    told = trend(found, "smoke.service.latency@shop")
    assert told is not None
    assert told.told() == "first 640 ms, last 640 ms, limit ≤ 2 s; 3 runs"


def ran(at: float, outcome: str, revision: str = "v1", value: float = 1.0) -> Event:
    results = {"a@x": {"outcome": outcome, "value": value, "unit": "s", "limit": 2.0}}
    return Event(f"r{at}", at, "run", "e", revision=revision, body={"results": results})


def test_points_and_flaky_checks() -> None:
    outcomes = ("passed", "failed", "passed", "failed")
    steady = [ran(n, "passed" if n < 2 else "failed", f"v{n}") for n in range(4)]
    unsteady = [ran(n, outcome) for n, outcome in enumerate(outcomes)]
    assert [each.outcome for each in points(unsteady, "a@x")] == list(outcomes)
    assert identities(unsteady) == ["a@x"]
    assert flaky(unsteady) == [("a@x", 3)]
    assert flaky(steady) == []


def test_how_long_a_gate_was_shut() -> None:
    told = [(1.0, 0), (2.0, 1), (3.0, 3), (5.0, 0), (8.0, 1)]
    found = closed_periods(
        Event(f"v{at}", at, "verdict", "e", subject="smoke", body={"code": code}) for at, code in told
    )
    assert [(each.began, each.ended) for each in found] == [(2.0, 5.0), (8.0, None)]


def test_sparklines() -> None:
    assert sparkline([]) == ""
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([0.0, 4.0, 8.0]) == "▁▅█"
    assert sparkline([1.0], limit=8.0) == "▂"
    assert sparkline([None, 8.0, None]) == "·█·"
    assert sparkline([None]) == "·"
