"""An endpoint's request as the bytes that a load sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.service_requests import endpoint

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.login.attempts import RoleSession


def raw_request(target: str, session: RoleSession, context: Context, deadline: Deadline) -> str:
    """Head and body of a request with a session's headers, each byte as one character; raises EvidenceProblem."""
    from pytest_prodcheck.evidence.http.messages import Request

    _, declared, name = endpoint(context.environment, target)
    client = client_of(context, name)
    headers = {**declared.headers, **session.headers}
    request = Request(declared.method, declared.path, headers, declared.json_)
    prepared = client.prepare(request, client.url(declared.path), deadline)
    return (prepared.head() + (prepared.body or b"")).decode("latin-1")
