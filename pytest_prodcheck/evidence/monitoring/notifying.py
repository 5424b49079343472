"""What becomes of alerts in Alertmanager: which receivers notify anybody, and whether notifications arrive."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_prodcheck.evidence.monitoring import alertmanager, identity, prometheus
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

    def ask() -> tuple[ReceiverUse, ...]:
        config = alertmanager.configuration(declared, context, deadline)
        try:
            found = config.get("receivers") or ()
            return tuple(ReceiverUse(plain(str(each["name"]), 200), _integrations(each)) for each in found)
        except (KeyError, TypeError, AttributeError):
            return ()

    return context.once(("alertmanager-config",), ask, deadline)


def notifications(context: Context, deadline: Deadline) -> tuple[Notifications, ...]:
    """What Prometheus counted in the last hour, by integration; () where it does not scrape our Alertmanager."""
    declared = context.environment.alerts
    if declared is None:
        return ()
    server = prometheus.prometheus(context, deadline)
    try:
        active = server.get("/api/v1/alertmanagers", "Alertmanagers", deadline).get("activeAlertmanagers") or ()
        urls = [str(each["url"]) for each in active]
    except (EvidenceProblem, KeyError, TypeError):
        urls = []
    urls += [declared.alertmanager.url] if declared.alertmanager else []
    if not urls:
        return ()
    where = identity.quoted("|".join(sorted({re.escape(urlsplit(each).netloc.rpartition("@")[2]) for each in urls})))
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
