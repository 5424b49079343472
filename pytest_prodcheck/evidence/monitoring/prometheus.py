"""Asks Prometheus by its HTTP API: https://prometheus.io/docs/prometheus/latest/querying/api/ ; others speak it too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.http.clients import client_to
from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem, ProblemKind

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.monitoring import Alertmanager as AlertmanagerSettings
    from pytest_prodcheck.environments.sections.monitoring import Prometheus as PrometheusSettings
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

LARGEST = 16 * 1024 * 1024  # bytes of one answer
_KINDS: dict[str, ProblemKind] = {"bad_data": "configuration", "timeout": "timeout", "canceled": "timeout"}
_DENIED = (401, 403)


@dataclass(frozen=True)
class Sample:
    """One element of an instant vector: its labels, and its number as it was written ("0.25", "NaN", "+Inf")."""

    labels: Mapping[str, str]
    text: str

    @property
    def value(self) -> float | None:
        """The number, None where it is not finite."""
        value = float(self.text)
        return value if math.isfinite(value) else None


class Prometheus:
    """The API of the declared Prometheus."""

    def __init__(self, context: Context) -> None:
        self._service = service(context.environment)
        self._client = client_to(context, self._service)
        self._redact = context.redactor.redact

    def vector(self, query: str, what: str, deadline: Deadline, at: float | None = None) -> list[Sample]:
        """An instant vector, [] for an empty one, a scalar as one sample; what: whose query it is, for messages.

        at: epoch seconds by its clock; now where left out.

        Raises EvidenceProblem for a query that is refused or fails, and for an answer with warnings: it may be partial.
        """
        form = {"query": query, "timeout": f"{max(1, round(1000 * self._service.timeout))}ms"}
        if at is not None:
            form["time"] = f"{at:.3f}"
        data = self._ask(Request("POST", "/api/v1/query", form=form, safe=True, document=LARGEST), what, deadline)
        kind, result = data.get("resultType"), data.get("result")
        try:
            if kind == "scalar":
                return [Sample({}, _number(result))]
            if kind != "vector":
                raise ValueError(f"the query returned a {kind}, but one number is expected")
            return [Sample(dict(each["metric"]), _number(each.get("value"))) for each in result or ()]
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            said = plain(self._redact(str(error)), 200)
            hint = "the result must be an instant vector or a scalar, not a range or a histogram"
            raise EvidenceProblem(Problem("protocol", f"{self._where}: {what}: {said}", hint)) from None

    def get(self, path: str, what: str, deadline: Deadline) -> dict[str, Any]:
        """The `data` of one other address of the API."""
        return self._ask(Request("GET", path, document=LARGEST), what, deadline)

    @property
    def _where(self) -> str:
        return f"Prometheus at {self._service.host}"

    def _ask(self, request: Request, what: str, deadline: Deadline) -> dict[str, Any]:
        answer = self._client.ask(request, deadline)
        status, where = answer.exchange.status, f"{self._where}: {what}"
        try:
            document = answer.json()
            if not isinstance(document, dict) or "status" not in document:
                raise ValueError
        except (EvidenceProblem, ValueError) as error:
            if isinstance(error, EvidenceProblem) and error.problem.kind == "too-large":
                told = f"{where}: the answer is larger than {LARGEST} bytes"
                raise EvidenceProblem(Problem("too-large", told)) from None
            said = plain(self._redact(answer.text), 100) if status in _DENIED else ""
            hint = "give `prometheus.authentication`" if status in _DENIED else "is `prometheus.url` its API's address?"
            if "org id" in said.lower():
                hint = "name the tenant in `prometheus.headers`, such as X-Scope-OrgID"
            kind: ProblemKind = "denied" if status in _DENIED else "protocol"
            told = f"{where}: answered {status}{said and f' ({said})'}, which does not follow its API"
            raise EvidenceProblem(Problem(kind, told, hint)) from None
        if document["status"] != "success" or not 200 <= status < 300:
            raise EvidenceProblem(self._failure(document, status, where))
        warnings = [plain(self._redact(str(each)), 200) for each in document.get("warnings") or ()]
        warnings += _partial(document, answer.headers)
        if warnings:
            said = "; ".join(warnings[:3])
            hint = "some of its sources did not answer, or the query combines series that do not belong together"
            raise EvidenceProblem(Problem("invalid", f"{where}: the answer may be partial: {said}", hint))
        data = document.get("data")
        if not isinstance(data, dict):
            raise EvidenceProblem(Problem("protocol", f"{where}: the answer has no data"))
        return data

    def _failure(self, document: dict[str, Any], status: int, where: str) -> Problem:
        error_type = str(document.get("errorType", ""))
        said = plain(self._redact(str(document.get("error", ""))), 400) or f"answered {status} without a reason"
        kind = "denied" if status in _DENIED else _KINDS.get(error_type, "protocol")
        hint = "is the query right? try it on the web page of Prometheus" if error_type == "bad_data" else ""
        return Problem(kind, f"{where}: {said}", hint)


def _partial(document: dict[str, Any], headers: Iterable[tuple[str, str]]) -> list[str]:
    """What says so where no warning does: VictoriaMetrics by a field, M3 by a header."""
    said = ["isPartial"] if document.get("isPartial") else []
    cut = [value for name, value in headers if name.lower() == "m3-results-limited" and value.lower() != "false"]
    return said + [f"M3-Results-Limited: {plain(each, 100)}" for each in cut]


def clock(context: Context, deadline: Deadline) -> float:
    """Prometheus's clock, epoch seconds."""
    (found,) = prometheus(context, deadline).vector("time()", "its clock", deadline)
    return float(found.text)


def refused_configuration(context: Context, deadline: Deadline) -> bool:
    """Whether Prometheus refused its last configuration and runs with the one before; False where it does not tell."""
    try:
        found = prometheus(context, deadline).get("/api/v1/status/runtimeinfo", "its state", deadline)
    except EvidenceProblem:
        return False
    return found.get("reloadConfigSuccess") is False


def prometheus(context: Context, deadline: Deadline) -> Prometheus:
    """The client of the declared Prometheus, made once in a run; raises EvidenceProblem (configuration)."""
    return context.once(("prometheus",), lambda: Prometheus(context), deadline)


def service(environment: Environment) -> Service:
    """The declared Prometheus as an HTTP service; raises EvidenceProblem (configuration) for none."""
    if environment.prometheus is None:
        raise EvidenceProblem(Problem("configuration", "no prometheus is declared"))
    return as_service(environment.prometheus)


def as_service(declared: PrometheusSettings | AlertmanagerSettings) -> Service:
    """What is declared of one of them, for the HTTP client."""
    from pytest_prodcheck.environments.sections.services import Service, ServiceTls

    return Service(
        url=declared.url, authentication=declared.authentication, headers=declared.headers, timeout=declared.timeout,
        tls=ServiceTls(**declared.tls.model_dump()),
    )  # fmt: skip


def host(target: str, environment: Environment) -> str:
    """`host` of the collectors that ask Prometheus: "prometheus.shop.example:443"."""
    from pytest_prodcheck.evidence.http.service_requests import host_of

    return host_of(service(environment))


def _number(pair: Any) -> str:
    """The text of the number of a sample `[time, "text"]`; raises ValueError."""
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], str):
        raise ValueError("a histogram was returned, but a number is expected")
    float(pair[1])
    return pair[1]
