"""A field is judged as it was sent, however long."""

from __future__ import annotations

from pathlib import Path

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Request
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import web


def test_a_policy_of_40_kb_is_whole(tmp_path: Path) -> None:
    policy = "img-src 'self'" + " https://images.shop.example" * 1_500 + "; script-src *"
    with web(lambda seen: (200, {"Content-Security-Policy": policy}, b"")) as server:
        context = context_for(tmp_path, services={"shop": {"url": f"http://127.0.0.1:{server.port}"}})
        answer = client_of(context, "shop").ask(Request("GET", "/"), Deadline(5))
    assert answer.exchange.header("Content-Security-Policy") == policy
