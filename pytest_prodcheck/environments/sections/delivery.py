"""Who is told of a run: people through apprise, a Pushgateway, a collector of traces."""

from __future__ import annotations

from typing import Literal

from pytest_prodcheck.environments.sections.base import Name, SecretRef, Section
from pytest_prodcheck.environments.sections.services import Url

Level = Literal["info", "warning", "critical", "emergency"]


class Channel(Section):
    """Where people are told of a run: Slack, e-mail, PagerDuty, whatever apprise reaches."""

    # address as apprise writes it (slack://…, mailtos://…, pagerduty://…); a secret, because it holds the token
    url: SecretRef
    # "change": where a gate's answer, or its level, is another one than the last time; "always": after each run
    on: Literal["change", "always"] = "change"
    # the lowest level that is told; info: open, warning: open with warnings, critical: closed, emergency: blocked by a
    # failed check of severity critical
    level: Level = "warning"
    recovery: bool = True  # whether a gate that is open again is told, whatever the level
    environments: tuple[Name, ...] = ()  # runs of these environments; all where left out


class Pushgateway(Section):
    """A Prometheus Pushgateway that gets the figures of each run."""

    url: Url  # its address, such as "http://pushgateway.internal:9091"
    headers: dict[str, str | SecretRef] = {}  # sent to it, such as an Authorization; a value may be a secret reference


class Traces(Section):
    """An OpenTelemetry collector that gets a trace of each run."""

    url: Url  # where it takes OTLP over HTTP, such as "http://collector.internal:4318/v1/traces"
    headers: dict[str, str | SecretRef] = {}  # sent to it; a value may be a secret reference
