"""`http-endpoint` and `http-budget`: the answer of one declared request, sent once for both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.answers.expected_answers import expected_answer
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.freshness import cached
from pytest_prodcheck.evidence.http.service_requests import endpoint, endpoint_host, host_of
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem

BUDGET_SAMPLES = 5  # answers that are looked at where the first one was late

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    service, declared, _ = endpoint(environment, target)
    who = f" as {declared.as_}" if declared.as_ else ""
    return (Sending(host_of(service), f"{declared.request}{who}", writes=not declared.changes_nothing),)


def endpoint_seconds(target: str, environment: Environment) -> float:
    """Time for a login, the request itself and one further try."""
    return endpoint(environment, target)[0].timeout * 2 + 10


@evidence(
    "http-endpoint", axis="endpoint", feature="answer", seconds=endpoint_seconds, host=endpoint_host, sends=_sends
)
def http_endpoint(target: str, context: Context, deadline: Deadline) -> Exchange:
    """The answer as the declared role gets it; a refusal only where the `control` beside it is let through."""
    exchange = endpoint_answer(target, context, deadline)
    _, declared, name = endpoint(context.environment, target)
    if why := cached(exchange.headers):
        deadline.note(
            f"{exchange.method} {exchange.url}: the answer comes from a cache ({why}), "
            "so it does not show the current state"
        )
    if declared.control is not None and exchange.status >= 400:
        _insist_on_control(f"{name}.{declared.control}", context, deadline)
    return exchange


def _insist_on_control(target: str, context: Context, deadline: Deadline) -> None:
    """Raises EvidenceProblem where the control is not answered as declared: then a refusal proves nothing."""
    control = endpoint_answer(target, context, deadline)
    declared = endpoint(context.environment, target)[1]
    if control.status not in expected_answer(declared.model_dump(by_alias=True)).statuses:
        what = f"{control.method} {control.url} ({target}, the control) answered {control.status}"
        raise EvidenceProblem(Problem("protocol", f"{what}, so that a refusal proves nothing"))


@evidence(
    "http-budget",
    axis="endpoint",
    feature="budget",
    seconds=endpoint_seconds,
    host=endpoint_host,
    sends=lambda target, environment: (),  # the request of http-endpoint; where it is late, up to four more
)
def http_budget(target: str, context: Context, deadline: Deadline) -> Exchange:
    """The same answer, for those who judge its time; one that is late is asked for again, and the median counts.

    The first one came amid everything else that a run sends, our own logins among it.
    """
    first = endpoint_answer(target, context, deadline)
    declared = endpoint(context.environment, target)[1]
    if declared.budget is None or first.seconds <= declared.budget or not declared.changes_nothing:
        return first
    times = [first]
    while len(times) < BUDGET_SAMPLES and deadline.time_left() > 2 * first.seconds:
        times.append(_send(target, context, deadline))
    return sorted(times, key=lambda each: each.seconds)[len(times) // 2]


def endpoint_answer(target: str, context: Context, deadline: Deadline) -> Exchange:
    """The answer of a declared request as its role gets it, sent once in a run; raises EvidenceProblem."""
    return context.once(("endpoint", target), lambda: _send(target, context, deadline), deadline)


def _send(target: str, context: Context, deadline: Deadline) -> Exchange:
    from pytest_prodcheck.evidence.http.messages import Request

    _, declared, name = endpoint(context.environment, target)
    session = session_of(context, declared.as_, deadline)
    headers = {**declared.headers, **session.headers}
    request = Request(declared.method, declared.path, headers, declared.json_, declared.form)
    return client_of(context, name).ask(request, deadline).exchange
