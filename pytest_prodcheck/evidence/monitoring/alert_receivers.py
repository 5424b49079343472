"""What becomes of alerts in Alertmanager: which receivers notify anybody, and whether notifications arrive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_prodcheck.evidence.monitoring import alertmanager, external_labels, prometheus
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.monitoring import Notifications, ReceiverUse

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

HOUR = "1h"


def uses(context: Context, deadline: Deadline) -> tuple[ReceiverUse, ...]:
    """All receivers of the declared Alertmanager; () where it does not tell its configuration."""
    declared = context.environment.alerts.alertmanager if context.environment.alerts else None
    if declared is None:
        return ()

    try:
        found = alertmanager.configuration(declared, context, deadline).get("receivers") or ()
        return tuple(ReceiverUse(plain(str(each["name"]), 200), _integrations(each)) for each in found)
    except (KeyError, TypeError, AttributeError):
        return ()


def unreached(context: Context, deadline: Deadline) -> str:
    """How many of the peers of a cluster Prometheus sends alerts to, where these are not all; "" otherwise."""
    declared = context.environment.alerts.alertmanager if context.environment.alerts else None
    peers = alertmanager.peers(declared, context, deadline) if declared else 0
    sent_to = len(_addresses(context, deadline))
    return f"{sent_to} of {peers}" if 0 < sent_to < peers else ""


def silenced(labels: Mapping[str, str], context: Context, deadline: Deadline) -> str:
    """The silence that every alert with these labels meets, whatever else it has; "" for none."""
    declared = context.environment.alerts.alertmanager if context.environment.alerts else None
    if declared is None:
        return ""
    active = context.once(("silences",), lambda: alertmanager.silences(declared, context, deadline), deadline)
    for each in active:
        try:
            if each["matchers"] and all(_meets(matcher, labels) for matcher in each["matchers"]):
                said = plain(context.redactor.redact(str(each.get("comment", ""))), 100)
                return f"until {plain(str(each['endsAt']), 40)}: {said}"
        except (KeyError, TypeError, re.error):
            continue
    return ""


def _meets(matcher: dict[str, Any], labels: Mapping[str, str]) -> bool:
    name, wanted = str(matcher["name"]), str(matcher["value"])
    if name not in labels or (matcher.get("isRegex") and not _is_quick(wanted)):
        return False
    same = re.fullmatch(wanted, labels[name]) is not None if matcher.get("isRegex") else labels[name] == wanted
    return same == bool(matcher.get("isEqual", True))


def _is_quick(pattern: str) -> bool:
    """Whether Python matches it in no time, whoever wrote it: no repeated groups, few repeats."""
    repeats = sum(pattern.count(each) for each in "*+{?")
    return len(pattern) <= 2000 and repeats <= 3 and not any(f"){each}" in pattern for each in "*+{?")


def _addresses(context: Context, deadline: Deadline) -> tuple[str, ...]:
    """The Alertmanagers that Prometheus sends to; () where it does not tell."""

    def ask() -> tuple[str, ...]:
        server = prometheus.prometheus(context, deadline)
        try:
            found = server.get("/api/v1/alertmanagers", "Alertmanagers", deadline).get("activeAlertmanagers") or ()
            return tuple(str(each["url"]) for each in found)
        except (EvidenceProblem, KeyError, TypeError):
            return ()

    return context.once(("prometheus-alertmanagers",), ask, deadline)


def notifications(context: Context, deadline: Deadline) -> tuple[Notifications, ...]:
    """What Prometheus counted in the last hour, by integration; () where it does not scrape our Alertmanager."""
    declared = context.environment.alerts
    if declared is None:
        return ()
    server = prometheus.prometheus(context, deadline)
    urls = [*_addresses(context, deadline)]
    urls += [declared.alertmanager.url] if declared.alertmanager else []
    if not urls:
        return ()
    hosts = {re.escape(urlsplit(each).netloc.rpartition("@")[2]) for each in urls}
    where = external_labels.quoted("|".join(sorted(hosts)))
    counted = [
        f'label_replace(sum by (integration) (increase({name}{{instance=~{where}}}[{HOUR}])), "of", "{of}", "", "")'
        for of, name in (("sent", "alertmanager_notifications_total"),
                         ("failed", "alertmanager_notifications_failed_total"))
    ]  # fmt: skip
    found = server.vector(" or ".join(counted), "notifications", deadline)
    numbers = {(each.labels["of"], each.labels.get("integration", "")): each.value or 0.0 for each in found}
    used = uses(context, deadline)
    ours = {name for each in used if each.name in declared.receivers for name in each.integrations}
    theirs = {name for each in used if each.name not in declared.receivers for name in each.integrations}
    return tuple(
        Notifications(plain(name, 100), sent, numbers.get(("failed", name), 0.0), name in ours - theirs)
        for (of, name), sent in sorted(numbers.items())
        if of == "sent" and sent > 0
    )


def _integrations(receiver: dict[str, Any]) -> tuple[str, ...]:
    """As the metrics name them: `slack_configs` -> "slack"."""
    suffix = "_configs"
    return tuple(plain(name.removesuffix(suffix), 100) for name, each in receiver.items()
                 if name.endswith(suffix) and each)  # fmt: skip
