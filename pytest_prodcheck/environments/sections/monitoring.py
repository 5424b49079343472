"""What watches the environment: Prometheus and Alertmanager, what users see, and the alerts that have to come."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from pytest_prodcheck.environments.kinds import Kind, no_targets
from pytest_prodcheck.environments.listing.monitoring import alerts_targets, metric_targets
from pytest_prodcheck.environments.rules.monitoring import (
    alerts_complaints,
    metric_complaints,
    prometheus_complaints,
)
from pytest_prodcheck.environments.sections.base import Name, Seconds, SecretRef, Section
from pytest_prodcheck.environments.sections.database import Limits
from pytest_prodcheck.environments.sections.services import Authentication, Url
from pytest_prodcheck.environments.sections.tls import Trust

Query = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000)]


_MATCHER = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPE = re.compile(r'\\(["\\n])')  # what Alertmanager takes for one; `\d` stays as it is


def matchers(text: str) -> tuple[tuple[str, str, str], ...]:
    """Label, operator and value of each matcher in `severity="critical",team=~"a|b"`; raises ValueError."""
    found, at = [], 0
    while at < len(text):
        each = _MATCHER.match(text, at)
        if each is None:
            raise ValueError('expected label matchers such as severity="critical",namespace="shop"')
        label, operator, value = each.groups()
        value = _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], value)
        if operator.endswith("~"):
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{label}: expected a regular expression ({error})") from None
        found.append((label, operator, value))
        at = each.end()
    if not found:
        raise ValueError('expected label matchers such as severity="critical": otherwise the alerts of all teams count')
    return tuple(found)


def _matchers(text: str) -> str:
    matchers(text)
    return text


Matchers = Annotated[str, AfterValidator(_matchers)]

class Prometheus(Section):
    """A Prometheus, or what answers its HTTP API (Thanos, Mimir, VictoriaMetrics)."""

    url: Url  # address that `/api/v1/…` is below, such as "https://prometheus.shop.example"
    authentication: Authentication | None = None  # the credentials it asks for: a bearer token or a basic login
    # sent with every request to it, such as X-Scope-OrgID; a value may be a secret reference
    headers: dict[str, str | SecretRef] = {}
    tls: Trust = Trust.model_construct()  # how its certificate is trusted
    timeout: Seconds = 10.0  # for one query
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"


class Metric(Section):
    """One number over a window of time that says what users see; each is a check `smoke.metrics.NAME`."""

    # PromQL whose answer is one number, in base units (seconds, bytes, a ratio of 1); `{window}`, `{revision}` and, of
    # `per = "service"`, `{service}` are filled in
    query: Query
    # PromQL that counts what the number is made of, such as the requests in the window; filled in likewise
    samples: Query
    min_samples: Annotated[float, Field(gt=0)]  # fewer samples make the check errored: errored
    # number that stands for an empty answer, such as 0 where no error has ever been counted; it takes enough samples
    empty_numerator: float | None = None
    per: Literal["service"] | None = None  # "service": asked of each service by itself; where left out, once
    services: tuple[Name, ...] = ()  # of `per = "service"`: only these; all in scope where left out
    # more than this is wrong: a number, or { warn = …, fail = … }; "1%" and "500ms" are compared in base units;
    # where left out, `[thresholds]` names a limit of smoke.metrics.NAME
    at_most: Limits | None = None
    at_least: Limits | None = None  # less than this is wrong; instead of `at_most`
    severity: Literal["critical", "high", "medium", "low"] = "critical"  # what a failure means
    window: Seconds = 600.0  # span that `{window}` stands for, where the gate names none
    # newest part of the window in which something must be counted too: what has died, or is scraped no more, is not
    # judged by what was before; where left out a third of it, at least 3 minutes; not asked where not below the window
    recent: Seconds | None = None
    any_revision: bool = False  # true: it is about whatever runs, so that `{revision}` need not be in its queries
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts

    def model_post_init(self, _context: Any) -> None:
        """Refuses two limits, and services of what is not asked by service."""
        if self.at_most is not None and self.at_least is not None:
            raise ValueError("expected one of `at_most` and `at_least`: one check has one limit")
        if self.services and self.per is None:
            raise ValueError('`services` is allowed with `per = "service"` only')


class Alertmanager(Section):
    """The Alertmanager that alerts are sent to; its address alone is enough."""

    url: Url  # address that `/api/v2/…` is below, such as "https://alertmanager.shop.example"
    authentication: Authentication | None = None  # the credentials it asks for: a bearer token or a basic login
    # sent with every request to it; a value may be a secret reference
    headers: dict[str, str | SecretRef] = {}
    tls: Trust = Trust.model_construct()  # how its certificate is trusted
    timeout: Seconds = 10.0  # for one request


class Quiet(Section):
    """The alerts that may not be firing when something is about to be changed."""

    # label matchers that all have to fit, such as 'severity="critical",namespace="shop"'
    match: Matchers
    for_: Seconds = Field(default=120.0, alias="for")  # how long an alert has to be firing before it counts


def _address(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class Alerts(Section):
    """Whether somebody would be called: alerting rules that must be loaded, and alerts that must not be firing."""

    # names of the alerting rules that have to be loaded and healthy in Prometheus
    required: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    # jobs of Prometheus whose targets have to be up; where left out, those that the required rules name by job="…"
    jobs: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    # name of the alert that always fires, so that its absence tells that alerts do not arrive
    deadman: Annotated[str, Field(min_length=1)] | None = None
    # label matchers that only our own alerts fit, such as 'cluster="east"', where several Prometheus servers share an
    # Alertmanager; where left out, the external labels that Prometheus tells of itself (GET /api/v1/status/config)
    labels: Matchers | None = None
    receivers: tuple[Annotated[str, Field(min_length=1)], ...] = ()  # receivers that Alertmanager has to have
    # where alerts are sent: its address, or a table; where left out only Prometheus is asked, so that nothing is known
    # of silences and receivers
    alertmanager: Annotated[
        Alertmanager | None, BeforeValidator(_address, json_schema_input_type=Alertmanager | str | None)
    ] = None
    quiet: Quiet | None = None  # what may not be firing; not judged where left out
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts

    def model_post_init(self, _context: Any) -> None:
        """Refuses what could not be judged."""
        if not (self.required or self.deadman or self.receivers):
            raise ValueError("expected `required`, `deadman` or `receivers`: otherwise there is nothing to check")
        if self.quiet is not None and self.deadman is None:
            raise ValueError("`quiet` needs `deadman`: no alert is good news only if alerts can arrive")
        if self.receivers and self.alertmanager is None:
            raise ValueError("`receivers` needs `alertmanager`, the server that knows them")


KINDS = (
    Kind(section="prometheus", awaited={}, targets=no_targets, rules=prometheus_complaints, single=True),
    Kind(section="metrics", awaited={"metric": ()}, targets=metric_targets, rules=metric_complaints),
    Kind(section="alerts", awaited={"alerts": ()}, targets=alerts_targets, rules=alerts_complaints, single=True),
)
