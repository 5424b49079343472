"""What a load sends: endpoints and steps of flows as bytes, with marks where rows and captured values go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.answers.expected_answers import ExpectedAnswer, expected_answer
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.service_requests import declared, endpoint
from pytest_prodcheck.load.templates import marked

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.load import Load
    from pytest_prodcheck.environments.sections.workflows import Step
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.login.attempts import RoleSession

SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class PlannedRequest:
    """One endpoint or step. weight: of the arrivals that come to it; schema: whether some bodies are kept for one."""

    name: str
    service: str
    role: str | None
    method: str
    path: str
    json: Any
    headers: Mapping[str, str]
    safe: bool
    wanted: ExpectedAnswer
    weight: int
    schema: bool = False
    form: Mapping[str, str] | None = None
    capture: Mapping[str, str] | None = None
    same: bool = False  # all requests are the same, and no status is declared

    def raw(self, session: RoleSession, context: Context, deadline: Deadline) -> str:
        """Head and body with a session's headers, each byte as one character; raises EvidenceProblem."""
        from pytest_prodcheck.evidence.http.messages import Request

        client = client_of(context, self.service)
        request = Request(self.method, self.path, {**self.headers, **session.headers}, self.json, self.form)
        prepared = client.prepare(request, client.url(self.path), deadline)
        return (prepared.head() + (prepared.body or b"")).decode("latin-1")


def planned_requests(
    load: Load, environment: Environment, rows: Mapping[str, Iterable[str]]
) -> dict[str, PlannedRequest]:
    """Everything that a load sends, by its name in the results; rows: the columns of what varies."""
    found = [_endpoint(name, load, environment, rows.get(name, ())) for name in load.mix]
    for flow in load.flows:
        workflow = environment.workflows[flow]
        names = {*workflow.names, *rows.get(flow, ())}
        found += [_planned_step(flow, step, names, load) for step in (*workflow.steps, *workflow.cleanup)]
    return {each.name: each for each in found}


def _endpoint(name: str, load: Load, environment: Environment, columns: Iterable[str]) -> PlannedRequest:
    _, it, service = endpoint(environment, name)
    vary = load.vary.get(name)
    path = vary.path if vary is not None and vary.path else it.path
    document = vary.json_ if vary is not None and vary.json_ is not None else it.json_
    headers = {**it.headers, **(marked(vary.headers, columns) if vary is not None else {})}
    return PlannedRequest(
        name, service, it.as_, it.method, marked(path, columns) if vary is not None else path,
        marked(document, columns) if vary is not None else document, headers, it.changes_nothing,
        expected_answer({**it.model_dump(by_alias=True), "json": document}), load.mix[name], it.schema_ is not None,
        it.form if document is it.json_ else None, same=it.status is None and vary is None,
    )  # fmt: skip


def _planned_step(flow: str, step: Step, names: Iterable[str], load: Load) -> PlannedRequest:
    return PlannedRequest(
        f"{flow}.{step.name}", step.service, step.as_, step.method, marked(step.path, names),
        marked(step.json_, names), marked(step.headers, names), step.method in SAFE,
        expected_answer(
            {"status": step.status, "content_type": step.content_type, "contains": step.contains, "json": step.json_}
        ),
        load.flows[flow], capture=step.capture,
    )  # fmt: skip


def origin_of(service: str, environment: Environment) -> str:
    """Scheme, host and port of a service: whose cookies its requests carry."""
    return "/".join(declared(environment, service).url.split("/")[:3])
