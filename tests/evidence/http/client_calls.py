"""Calls of the HTTP client, and servers that answer with given bytes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Answer, Request
from pytest_prodcheck.records import EvidenceProblem, Problem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import read_request

GET = Request("GET", "/x")


MIB = 1024 * 1024


def ask_shop(context: Context, request: Request = GET, seconds: float = 5.0, **how: Any) -> Answer:
    return client_of(context, "shop").ask(request, Deadline(seconds), **how)


def problem(context: Context, request: Request = GET, seconds: float = 5.0, **how: Any) -> Problem:
    with pytest.raises(EvidenceProblem) as caught:
        ask_shop(context, request, seconds, **how)
    return caught.value.problem


def plain(root: Path, port: int, **service: Any) -> Context:
    return context_for(root, services={"shop": {"url": f"http://127.0.0.1:{port}/base", **service}})


def answers_with(text: bytes) -> Callable[[socket.socket], None]:
    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(text)

    return speak
