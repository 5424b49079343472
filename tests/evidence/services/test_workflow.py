"""Workflows against a small shop: captures, clean-up, nothing sent twice."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records.flow import StepAnswer, WorkflowRun
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, Web, web

STEPS: list[dict[str, Any]] = [
    {"name": "cart", "request": "POST shop:/carts", "status": 201, "capture": {"cart": "/id"}},
    {
        "name": "line",
        "request": "POST shop:/carts/{cart}/lines",
        "json": {"cart": "{cart}", "note": "for {cart} {other}"},
        "status": 201,
    },
    {
        "name": "place",
        "request": "POST shop:/orders",
        "headers": {"X-Cart": "{cart}"},
        "status": 201,
        "capture": {"placed": "/order/no"},
    },
]
CLEANUP = [
    {"name": "cancel", "request": "DELETE shop:/orders/{placed}", "status": [204, 409]},
    {"name": "drop", "request": "DELETE shop:/carts/{cart}", "status": 204},
]


class Shop:
    """Numbers carts; `wrong` maps "METHOD /path" to another answer."""

    def __init__(self, wrong: dict[str, Any]) -> None:
        self.wrong = wrong
        self.numbers = itertools.count(7)

    def __call__(self, seen: Seen) -> Answer:
        line = f"{seen.method} {seen.path}"
        for start, answer in self.wrong.items():
            if line.startswith(start):
                if isinstance(answer, float):
                    time.sleep(answer)
                else:
                    return answer  # type: ignore[no-any-return]
        if line == "POST /carts":
            return 201, {}, json.dumps({"id": f"c/{next(self.numbers)}"}).encode()
        if line == "POST /orders":
            return 201, {}, b'{"order": {"no": 41}}'
        return 204 if seen.method == "DELETE" else 201, {}, b""


@contextmanager
def ran(root: Path, wrong: dict[str, Any], **settings: Any) -> Iterator[tuple[WorkflowRun, Web]]:
    with web(Shop(wrong)) as server:
        context = context_for(
            root,
            services={"shop": {"url": f"http://127.0.0.1:{server.port}"}},
            workflows={"order": {"steps": STEPS, "cleanup": CLEANUP, "writes": True, **settings}},
        )
        collector = find("workflow")
        yield collector.gather("order", context, Deadline(collector.seconds_for("order", context.environment))), server


def lines(server: Web) -> list[str]:
    return [f"{each.method} {each.path}" for each in server.requests]


def is_good(step: StepAnswer) -> bool:
    return not (step.reasons or step.problem or step.skipped)


def test_all_steps_and_all_clean_up(tmp_path: Path) -> None:
    with ran(tmp_path, {}) as (found, server):
        assert all(is_good(step) for step in found.steps)
    assert lines(server) == [
        "POST /carts",
        "POST /carts/c%2F7/lines",
        "POST /orders",
        "DELETE /orders/41",
        "DELETE /carts/c%2F7",
    ]
    assert json.loads(server.requests[1].body) == {"cart": "c/7", "note": "for c/7 {other}"}
    assert server.requests[2].headers["X-Cart"] == "c/7"
    assert [step.cleanup for step in found.steps] == [False] * 3 + [True] * 2


def test_clean_up_runs_after_a_failed_step(tmp_path: Path) -> None:
    with ran(tmp_path, {"POST /carts/": (500, {}, b"")}) as (found, server):
        pass
    cart, line, place, cancel, drop = found.steps
    assert is_good(cart)
    assert "answered 500, expected 201" in line.reasons[0]
    assert place.skipped
    assert cancel.skipped
    assert cancel.reasons == ("placed was never captured",)
    assert is_good(drop)
    assert lines(server) == ["POST /carts", "POST /carts/c%2F7/lines", "DELETE /carts/c%2F7"]


def test_what_a_step_of_another_status_made_is_cleaned_up(tmp_path: Path) -> None:
    with ran(tmp_path, {"POST /carts/": 0.0, "POST /carts": (200, {}, b'{"id": "x"}')}) as (found, server):
        pass
    assert not is_good(found.steps[0])
    assert lines(server) == ["POST /carts", "DELETE /carts/x"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"id": null}', b'{"id": {}}', b'{"id": ""}', b"[]"])
def test_a_capture_that_is_not_there_fails_the_step(tmp_path: Path, body: bytes) -> None:
    with ran(tmp_path, {"POST /carts": (201, {}, body)}) as (found, server):
        pass
    assert found.steps[0].reasons == ("nothing to capture at /id",)
    assert lines(server) == ["POST /carts"]


def test_slow_steps_do_not_cost_the_clean_up_its_time(tmp_path: Path) -> None:
    with ran(tmp_path, {"POST /orders": 2.0}, timeout="800ms") as (found, server):
        pass
    assert found.steps[2].problem is not None
    assert found.steps[2].problem.kind == "timeout"
    assert is_good(found.steps[4])
    assert lines(server).count("POST /orders") == 1


def test_content_type_and_text_are_looked_at(tmp_path: Path) -> None:
    steps = [{"name": "a", "request": "GET shop:/a", "status": 201, "content_type": "text/html", "contains": "hello"}]
    with ran(tmp_path, {}, steps=steps, cleanup=[]) as (found, _):
        assert found.steps[0].reasons == (
            "the content type is missing, expected text/html",
            "the declared text is missing",
        )


def test_graphql_without_data_fails_the_step(tmp_path: Path) -> None:
    """schemathesis#1139: errors come by 200, too (GraphQL, 7.1)."""
    asked = {"name": "a", "request": "POST shop:/graphql", "status": 200, "json": {"query": "{ products { sku } }"}}
    answer = b'{"data": {"products": null}, "errors": [{"message": "no connection"}]}'
    for declared, reasons in (
        (asked, ("GraphQL answered errors and no data: no connection",)),
        ({**asked, "contains": "no connection"}, ()),
    ):
        with ran(tmp_path, {"POST /graphql": (200, {}, answer)}, steps=[declared], cleanup=[]) as (found, _):
            assert found.steps[0].reasons == reasons
