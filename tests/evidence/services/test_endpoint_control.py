"""A declared refusal counts only where its `control` is let through in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.services.endpoint import http_endpoint
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Seen, web

ENDPOINTS: dict[str, Any] = {
    "one": {"request": "GET /one", "status": 200},
    "stranger": {"request": "GET /one?as=stranger", "status": [403, 404], "control": "one"},
}


def answering(one: int, stranger: int) -> Any:
    def answer(seen: Seen) -> tuple[int, dict[str, str], bytes]:
        return (stranger if "stranger" in seen.path else one), {"Content-Type": "application/json"}, b"{}"

    return answer


def gathered_codes(root: Path, one: int, stranger: int) -> int:
    with web(answering(one, stranger)) as server:
        shop = {"url": f"http://127.0.0.1:{server.port}", "endpoints": ENDPOINTS}
        context = context_for(root, services={"shop": shop})
        status: int = http_endpoint.gather("shop.stranger", context, Deadline(5)).status
        return status


def test_a_refusal_beside_a_control_that_works(tmp_path: Path) -> None:
    assert gathered_codes(tmp_path, 200, 403) == 403


def test_being_let_in_is_told_as_it_is(tmp_path: Path) -> None:
    assert gathered_codes(tmp_path, 500, 200) == 200


@pytest.mark.parametrize("control", [403, 404, 429, 500, 503])
def test_a_refusal_of_everybody_proves_nothing(tmp_path: Path, control: int) -> None:
    """Row 42."""
    with pytest.raises(EvidenceProblem, match="proves nothing"):
        gathered_codes(tmp_path, control, 403)


@pytest.mark.parametrize(("fields", "noted"), [({"Age": "7"}, True), ({"X-Cache": "HIT"}, True), ({"Age": "0"}, False)])
def test_an_answer_from_a_cache_is_noted(fields: dict[str, str], noted: bool, tmp_path: Path) -> None:
    """RFC 9111, 5.1: it was not made for this request. What it holds is judged all the same."""
    with web(lambda seen: (200, {"Content-Type": "application/json", **fields}, b"{}")) as server:
        shop = {"url": f"http://127.0.0.1:{server.port}", "endpoints": ENDPOINTS}
        deadline = Deadline(5)
        assert http_endpoint.gather("shop.one", context_for(tmp_path, services={"shop": shop}), deadline).status == 200
    assert any("from a cache" in each for each in deadline.notes) is noted
