"""Requests whose answers tell who gets in: sent as a role or nobody, kept without bodies."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pytest_prodcheck.evidence.messages import Answer, Request
from pytest_prodcheck.evidence.records import EvidenceProblem, Problem
from pytest_prodcheck.evidence.records.access import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_prodcheck.environments.services import Endpoint
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

SECONDS = 60.0  # several requests, one after another
_REDIRECTS = (301, 302, 303, 307, 308)
_LOGIN_PATH = re.compile(r"log[-_]?in|log[-_]?on|sign[-_]?in|/auth|/sso|oauth|openid|saml|/sessions?(/|$)", re.I)
_PASSWORD_FIELD = re.compile(r"<input\b[^>]{0,400}type\s{0,3}=\s{0,3}[\"']?password", re.I)


def declared_request(endpoint: Endpoint, headers: Mapping[str, str], *, anonymous: bool = False) -> Request:
    """The request of an endpoint with further headers."""
    merged = {**endpoint.headers, **headers}
    return Request(endpoint.method, endpoint.path, merged, endpoint.json_, anonymous=anonymous)


def entry(service: str, request: Request, context: Context, deadline: Deadline) -> tuple[Entry, str]:
    """What came of a request, and the text of its answer ("" without); only the end of the deadline is raised."""
    try:
        answer = context.http(service).ask(request, deadline)
    except EvidenceProblem as error:
        if deadline.expired:
            raise
        return Entry(problem=error.problem), ""
    return made_of(answer, request.path, context), answer.text


def made_of(answer: Answer, path: str, context: Context) -> Entry:
    """An answer without its body."""
    return Entry(replace(answer.exchange, body=None), None, login_page(answer, path, context))


def login_page(answer: Answer, path: str, context: Context) -> Literal["redirect", "form", ""]:
    """Whether an answer is the login page, where roles carry session cookies; an API's token is told by a status."""
    auth = context.environment.auth
    if auth is None or auth.cookie is None or auth.token is not None:
        return ""
    if answer.exchange.status in _REDIRECTS:
        there = urlsplit(answer.location())
        declared = (auth.login or "").partition(" ")[2]
        elsewhere = bool(there.path) and there.path != path.partition("?")[0]
        return "redirect" if elsewhere and (there.path == declared or _LOGIN_PATH.search(there.path)) else ""
    html = answer.exchange.content_type in ("text/html", "application/xhtml+xml")
    return "form" if html and _PASSWORD_FIELD.search(answer.text) else ""


def got_in(found: Entry) -> bool:
    """Whether a request that had to be refused was answered as if it had not to be."""
    return found.exchange is not None and found.exchange.status < 300 and not found.login_page


def problem_entry(problem: Problem) -> Entry:
    """An entry that could not be had."""
    return Entry(problem=problem)
