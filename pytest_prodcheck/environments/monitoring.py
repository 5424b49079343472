"""What watches the environment: Prometheus, and what its numbers say of what users see."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from pytest_prodcheck.environments.base import Name, Seconds, SecretRef, Section
from pytest_prodcheck.environments.database import Limits
from pytest_prodcheck.environments.services import Authentication, Url
from pytest_prodcheck.environments.tls import Trust

Query = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000)]


class Prometheus(Section):
    """A Prometheus, or what answers its HTTP API (Thanos, Mimir, VictoriaMetrics)."""

    url: Url  # address that `/api/v1/…` is below, such as "https://prometheus.shop.example"
    authentication: Authentication | None = None  # the credentials it asks for: a bearer token or a basic login
    # sent with every request to it, such as X-Scope-OrgID; a value may be a secret reference
    headers: dict[str, str | SecretRef] = {}
    tls: Trust = Trust.model_construct()  # how its certificate is trusted
    timeout: Seconds = 10.0  # for one query
    # from where it is reached; a run looks from one place (`--vantage`), what is elsewhere is skipped `out-of-reach`
    vantage: Name = "outside"


class Metric(Section):
    """One number over a window of time that says what users see; each is a check `smoke.metrics.NAME`."""

    # PromQL whose answer is one number, in base units (seconds, bytes, a ratio of 1); `{window}`, `{revision}` and, of
    # `per = "service"`, `{service}` are filled in
    query: Query
    # PromQL that counts what the number is made of, such as the requests in the window; filled in likewise
    samples: Query
    min_samples: Annotated[float, Field(gt=0)]  # fewer prove nothing: errored
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
            raise ValueError('`services` goes with `per = "service"`')
