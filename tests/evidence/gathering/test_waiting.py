from __future__ import annotations

import time
from pathlib import Path

from pytest_prodcheck.evidence.gathering.waiting import Waited, wait_until_ready
from pytest_prodcheck.evidence.table import find
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, web


def test_waits_for_three_good_passes_in_a_row(tmp_path: Path) -> None:
    begun = time.monotonic()

    def answer(seen: Seen) -> Answer:
        up = time.monotonic() - begun > 0.8
        return (200 if up else 503), {}, b""

    told: list[Waited] = []
    with web(answer) as server:
        context = context_for(tmp_path, services={"shop": {"url": f"http://127.0.0.1:{server.port}", "health": "/h"}})
        plan = [(find("http-health"), "shop"), (find("workflow"), "order")]
        found = wait_until_ready(plan, context, 15, told.append)
    assert found.ready
    assert found.not_ready == ()
    assert found.passes >= 4
    assert [each.ready for each in told] == [False] * (found.passes - 1) + [True]
    assert told[0].not_ready == ("http-health:shop: not yet in the state that its checks require",)


def test_says_what_was_not_ready_when_the_time_is_up(tmp_path: Path) -> None:
    context = context_for(tmp_path, services={"shop": {"url": "http://127.0.0.1:9", "health": "/h"}})
    started = time.monotonic()
    found = wait_until_ready([(find("http-health"), "shop")], context, 1.5)
    assert time.monotonic() - started < 3
    assert not found.ready
    assert "refuses connections" in found.not_ready[0]


def test_nothing_to_wait_for_is_ready(tmp_path: Path) -> None:
    assert wait_until_ready([(find("workflow"), "order")], context_for(tmp_path), 5).ready
