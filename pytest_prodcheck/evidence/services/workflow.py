"""`workflow`: what a user does, step by step, and the clean-up, which runs whatever happened before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_prodcheck.answers.expected_answers import answer_checks, expected_answer
from pytest_prodcheck.answers.variables import VARIABLE, captured
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.service_requests import declared, host_of
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.flow import StepAnswer, WorkflowRun

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.workflows import Step, Upload, Workflow
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.messages import Answer

MOST_UPLOAD = 1_000_000  # bytes of a file that is sent
_SAFE = ("GET", "HEAD", "OPTIONS")


def _seconds(target: str, environment: Environment) -> float:
    return environment.workflows[target].longest + 1


def _host(target: str, environment: Environment) -> str:
    return host_of(declared(environment, environment.workflows[target].steps[0].service))


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    workflow = environment.workflows[target]
    return tuple(
        Sending(
            host_of(declared(environment, step.service)), f"{step.method} {step.path}", writes=step.method not in _SAFE
        )
        for step in (*workflow.steps, *workflow.cleanup)
    )


@evidence("workflow", axis="workflow", seconds=_seconds, host=_host, sends=_sends)
def workflow(target: str, context: Context, deadline: Deadline) -> WorkflowRun:
    """Every step in turn until one is not as declared, then every clean-up step whose variables are known."""
    found = context.environment.workflows.get(target)
    if found is None:
        raise EvidenceProblem(Problem("configuration", f"no workflow {target!r} is declared"))
    return context.once(("workflow", target), lambda: _WorkflowRunner(found, context).all(deadline), deadline)


class _WorkflowRunner:
    """One run through a workflow."""

    def __init__(self, workflow: Workflow, context: Context) -> None:
        self._workflow = workflow
        self._context = context
        self._names = workflow.names
        self._captured: dict[str, Any] = dict(workflow.values)

    def all(self, deadline: Deadline) -> WorkflowRun:
        """All steps, then all clean-up steps, each part with its own share of the time."""
        answers: list[StepAnswer] = []
        part = deadline.at_most(self._workflow.timeout)
        failed = False
        for step in self._workflow.steps:
            answer = StepAnswer(step.name, False, None, skipped=True) if failed else self._step(step, False, part)
            answers.append(answer)
            failed = failed or answer.skipped or bool(answer.reasons) or answer.problem is not None
        part = deadline.at_most(self._workflow.longest - self._workflow.timeout)
        answers.extend(self._step(step, True, part) for step in self._workflow.cleanup)
        return WorkflowRun(tuple(answers))

    def _step(self, step: Step, cleanup: bool, deadline: Deadline) -> StepAnswer:
        from pytest_prodcheck.evidence.http.messages import Request

        missing = sorted(self._needed(step) - set(self._captured))
        if missing:
            return StepAnswer(step.name, cleanup, None, (f"{', '.join(missing)} was never captured",), skipped=True)
        try:
            session = session_of(self._context, step.as_, deadline)
            path = VARIABLE.sub(lambda found: self._value(found, quoted=True), step.path)
            headers = {name: VARIABLE.sub(self._value, value) for name, value in step.headers.items()}
            request = Request(
                step.method, path, {**headers, **session.headers}, self._filled(step.json_), self._filled(step.form),
                {name: self._upload(each) for name, each in step.files.items()},
            )  # fmt: skip
            answer = client_of(self._context, step.service).ask(request, deadline)
            self._capture(step, answer)
            return StepAnswer(step.name, cleanup, answer.exchange, tuple(self._reasons(step, answer)))
        except EvidenceProblem as error:
            return StepAnswer(step.name, cleanup, None, problem=error.problem)

    def _needed(self, step: Step) -> set[str]:
        text = [step.path, *step.headers.values(), *_strings(step.json_), *_strings(step.form)]
        return {name for each in text for name in VARIABLE.findall(each)} & self._names

    def _value(self, found: re.Match[str], quoted: bool = False) -> str:
        if found[1] not in self._names:
            return found[0]
        return quote(str(self._captured[found[1]]), safe="") if quoted else str(self._captured[found[1]])

    def _filled(self, part: Any) -> Any:
        """A JSON document with its variables filled in; a string that is one variable takes the value's own type."""
        if isinstance(part, str):
            whole = VARIABLE.fullmatch(part)
            return self._captured[whole[1]] if whole and whole[1] in self._names else VARIABLE.sub(self._value, part)
        if isinstance(part, (list, tuple)):
            return [self._filled(each) for each in part]
        return {key: self._filled(value) for key, value in part.items()} if isinstance(part, dict) else part

    def _upload(self, upload: Upload) -> tuple[str, bytes, str]:
        """File name, content and media type; raises EvidenceProblem for a file that cannot be read."""
        if upload.file is None:
            return upload.name, str(upload.content).encode(), upload.type
        try:
            content = self._context.root.joinpath(upload.file).read_bytes()[: MOST_UPLOAD + 1]
        except OSError as error:
            raise EvidenceProblem(Problem("configuration", f"{upload.file}: {error.strerror}")) from None
        if len(content) > MOST_UPLOAD:
            raise EvidenceProblem(Problem("configuration", f"{upload.file}: larger than {MOST_UPLOAD} bytes"))
        return upload.name, content, upload.type

    def _capture(self, step: Step, answer: Answer) -> None:
        """Takes what is there, also from a success of another status than declared: the clean-up needs it."""
        if not step.capture or answer.exchange.status >= 300:
            return
        try:
            document = answer.json()
        except EvidenceProblem:
            return
        self._captured |= captured(document, step.capture)

    def _reasons(self, step: Step, answer: Answer) -> list[str]:
        exchange = answer.exchange
        text = VARIABLE.sub(self._value, step.contains or "")
        looked_at = expected_answer(
            {"status": step.status, "content_type": step.content_type, "contains": text, "json": step.json_}
        )
        found = answer_checks(
            looked_at, exchange.status, exchange.content_type, lambda: text in answer.text, lambda: answer.text
        )
        reasons = [each.why for each in found if not each.good]
        if exchange.status not in step.status:
            return [f"{exchange.method} {exchange.url}: {reasons[0]}, expected {looked_at.status_text}"]
        reasons += [
            f"nothing to capture at {step.capture[name]}" for name in step.capture if name not in self._captured
        ]
        return reasons


def _strings(part: Any) -> list[str]:
    if isinstance(part, str):
        return [part]
    if isinstance(part, dict):
        return [text for value in part.values() for text in _strings(value)]
    return [text for value in part for text in _strings(value)] if isinstance(part, (list, tuple)) else []
