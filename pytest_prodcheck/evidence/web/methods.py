"""`http-methods`: what a service makes of TRACE, TRACK and WebDAV. At most 4 requests."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.service_requests import bounded_seconds, declared, service_host
from pytest_prodcheck.evidence.web.public_addresses import ask, control, control_path, plan_lines
from pytest_prodcheck.records.web import MethodAnswer, Methods

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

ECHO = "X-Prodcheck-Echo"


def _unusual(environment: Environment) -> tuple[str, ...]:
    """TRACK is TRACE's other name in old IIS; PROPFIND only reads, but protected environments get standard ones."""
    return ("TRACE",) if environment.protected else ("TRACE", "TRACK", "PROPFIND")


def _lines(target: str, environment: Environment) -> tuple[Sending, ...]:
    path = control_path(declared(environment, target))
    asked = [(f"{method} {path}", 1) for method in (*_unusual(environment), "OPTIONS")]
    return plan_lines(target, environment, (f"GET {path}", 1), *asked)


@evidence("http-methods", axis="service", feature="http", seconds=bounded_seconds(4), host=service_host, sends=_lines)
def http_methods(target: str, context: Context, deadline: Deadline) -> Methods:
    """The answers to unusual methods, without credentials of a role; a random header shows what is echoed."""
    good = control(target, context, deadline)
    path, mark = control_path(declared(context.environment, target)), secrets.token_hex(12)
    answers = []
    for method in _unusual(context.environment):
        headers = {ECHO: mark} if method != "PROPFIND" else {"Depth": "0"}
        answer = ask(target, method, path, context, deadline, headers)
        echoed = mark in answer.text or (method == "PROPFIND" and "multistatus" in answer.text)
        answers.append(MethodAnswer(method, replace(answer.exchange, body=None), echoed))
    options = ask(target, "OPTIONS", path, context, deadline).exchange
    allowed = tuple(word.strip().upper() for word in (options.header("Allow") or "").split(",") if word.strip())
    return Methods(good, tuple(answers), allowed, options.header("DAV") is not None)
