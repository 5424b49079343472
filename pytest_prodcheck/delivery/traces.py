"""A run as an OpenTelemetry trace: one span for the run, one for each result, links to the traces of the services."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.delivery.pushgateway import resolved
from pytest_prodcheck.outcomes import NO_TARGET, Outcome, Result, RunRecord
from pytest_prodcheck.reports.escaping import safe
from pytest_prodcheck.reports.measurement_text import decisive
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, finite, first_line, status_of, views
from pytest_prodcheck.trace_context import ids_of_run

if TYPE_CHECKING:
    import requests

    from pytest_prodcheck.environments.sections.base import SecretRef
    from pytest_prodcheck.environments.sections.delivery import Traces

_TIMEOUT = 10.0  # seconds, further tries of the exporter among them
_NEEDED = "traces need OpenTelemetry: pip install 'pytest-prodcheck[traces]'"
_NS = 1_000_000_000
Seen = Mapping[str, Sequence[tuple[int, int]]]  # key of evidence -> trace and span ids that its answers named


def send_trace(
    declared: Traces,
    run: RunRecord,
    verdicts: Sequence[AnyVerdict],
    resolve: Callable[[SecretRef], str],
    seen: Seen | None = None,
) -> Iterator[str]:
    """Sends the run's trace; one line where that did not work."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult
    except ImportError:
        yield _NEEDED
        return
    import logging

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)  # its messages may hold the headers
    try:
        headers = resolved(declared.headers, resolve)
    except ValueError as error:
        yield f"the trace of this run was not sent: {error}"
        return
    exporter = OTLPSpanExporter(endpoint=declared.url, headers=headers, timeout=_TIMEOUT, session=_session())
    try:
        done = exporter.export(spans(run, verdicts, seen or {}))
    except Exception as error:  # of the client, which may quote what it sends
        done = None
        why = type(error).__name__
    else:
        why = "the collector did not accept it"
    finally:
        exporter.shutdown()
    if done is not SpanExportResult.SUCCESS:
        yield f"the trace of this run was not sent: {why}"


def _session() -> requests.Session:
    """Goes to no other address, where the secrets of the headers would go too, and reads no body."""
    import requests

    def take(answer: requests.Response, **_: object) -> None:
        answer.close()
        if answer.is_redirect:  # which newer exporters take for success
            raise requests.TooManyRedirects(response=answer)

    session = requests.Session()
    session.auth = lambda request: request  # else ~/.netrc comes before the declared headers
    session.max_redirects = 0
    session.stream = True
    session.hooks["response"].append(take)
    return session


def spans(run: RunRecord, verdicts: Sequence[AnyVerdict], seen: Seen) -> list[Any]:
    """The ended spans, the run's own last."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    trace_id, root_id = ids_of_run(run.id)

    class Ids(RandomIdGenerator):  # type: ignore[misc]
        """The first span is the run's, whose ids the requests of the run have told already."""

        first = True

        def generate_trace_id(self) -> int:
            return trace_id

        def generate_span_id(self) -> int:
            if self.first:
                self.first = False
                return root_id
            made: int = super().generate_span_id()
            return made

    kept = InMemorySpanExporter()
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource({"service.name": "prodcheck", "service.version": run.version}),
        shutdown_on_exit=False,
        id_generator=Ids(),
    )
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("pytest_prodcheck")
    began = run.started_at or run.ended_at
    root = tracer.start_span(
        "prodcheck run", start_time=round(began * _NS), attributes=_resource_attributes(run, verdicts)
    )
    inside = trace.set_span_in_context(root)
    for each in run.results:
        start = min(max(each.gathered_at or run.ended_at, began), run.ended_at)
        links = [
            trace.Link(trace.SpanContext(theirs, span, is_remote=True))
            for key in each.evidence
            for theirs, span in seen.get(key, ())
            if theirs != trace_id
        ]
        span = tracer.start_span(
            safe(each.check),
            context=inside,
            start_time=round(start * _NS),
            attributes=_result_attributes(each),
            links=links,
        )
        if each.outcome in (Outcome.FAILED, Outcome.ERRORED):
            span.set_status(trace.StatusCode.ERROR, safe(first_line(each.reason)))
        span.end(round(max(start, min(run.ended_at, start + each.seconds)) * _NS))
    if any(each.number("code") != 0 for each in views(verdicts)):
        root.set_status(trace.StatusCode.ERROR)
    root.end(round(max(began, run.ended_at) * _NS))
    return list(kept.get_finished_spans())


def _resource_attributes(run: RunRecord, verdicts: Sequence[AnyVerdict]) -> dict[str, str]:
    named = {
        "prodcheck.run": run.id,
        "prodcheck.project": run.project,
        "deployment.environment.name": run.environment,
        "prodcheck.unit": run.unit,
        "prodcheck.slot": run.slot,
        "prodcheck.revision": run.revision,
        **{f"prodcheck.gate.{each.text('gate')}": status_of(each) or "invalid" for each in views(verdicts)},
    }
    return {name: safe(value) for name, value in named.items() if value}


def _result_attributes(result: Result) -> dict[str, str | float]:
    told: dict[str, str | float] = {
        "prodcheck.outcome": str(result.outcome),
        "prodcheck.severity": str(result.severity),
        "prodcheck.suite": safe(result.suite),
    }
    if result.target != NO_TARGET:
        told["prodcheck.target"] = safe(result.target)
    judgement = decisive(result)
    if judgement is not None and (value := finite(judgement.value)) is not None:
        told |= {"prodcheck.value": value, "prodcheck.unit": judgement.unit}
        if (limit := finite(judgement.fail)) is not None:
            told["prodcheck.limit"] = limit
    return told
