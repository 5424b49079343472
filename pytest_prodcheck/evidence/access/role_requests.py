"""Requests whose answers tell who gets in: sent as a role or nobody, kept without bodies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Answer, Request
from pytest_prodcheck.evidence.login.pages import login_page
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.access import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_prodcheck.environments.sections.services import Endpoint
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

SECONDS = 60.0  # several requests, one after another


def declared_request(endpoint: Endpoint, headers: Mapping[str, str], *, anonymous: bool = False) -> Request:
    """The request of an endpoint with further headers."""
    merged = {**endpoint.headers, **headers}
    return Request(endpoint.method, endpoint.path, merged, endpoint.json_, endpoint.form, anonymous=anonymous)


def entry(service: str, request: Request, context: Context, deadline: Deadline) -> tuple[Entry, str]:
    """What came of a request, and the text of its answer ("" without); only the end of the deadline is raised."""
    try:
        answer = client_of(context, service).ask(request, deadline)
    except EvidenceProblem as error:
        if deadline.expired:
            raise
        return Entry(problem=error.problem), ""
    return entry_of(answer, service, request.path, context), answer.text


def entry_of(answer: Answer, service: str, path: str, context: Context) -> Entry:
    """An answer without its body."""
    return Entry(replace(answer.exchange, body=None), None, login_page(answer, service, path, context))


def got_in(found: Entry) -> bool:
    """Whether a request that had to be refused was answered as if it had not to be."""
    return found.exchange is not None and found.exchange.status < 300 and not found.login_page


def problem_entry(problem: Problem) -> Entry:
    """An entry that could not be had."""
    return Entry(problem=problem)
