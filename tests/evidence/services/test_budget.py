"""One late answer is no slow service; five are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import Exchange
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, web


@pytest.mark.parametrize(("late", "asked", "in_time"), [(0, 1, True), (1, 5, True), (9, 5, False)])
def test_the_median_counts_where_the_first_is_late(late: int, asked: int, in_time: bool, tmp_path: Path) -> None:
    count: list[Seen] = []

    def answer(seen: Seen) -> Answer:
        count.append(seen)
        if len(count) <= late:
            time.sleep(0.3)
        return 200, {}, b""

    with web(answer) as server:
        endpoints = {"page": {"request": "GET /page", "budget": "200ms"}}
        services = {"s": {"url": f"http://127.0.0.1:{server.port}", "endpoints": endpoints}}
        found: Exchange = find("http-budget").gather("s.page", context_for(tmp_path, services=services), Deadline(10))
    assert len(count) == asked
    assert (found.seconds <= 0.2) is in_time
