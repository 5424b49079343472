"""Asks Alertmanager, by its API v2 (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml)."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pytest_prodcheck.evidence.http.clients import client_to
from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.evidence.monitoring.external_labels import fits, quoted
from pytest_prodcheck.evidence.monitoring.prometheus import LARGEST, as_service
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.monitoring import FiringAlert

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.monitoring import Alertmanager
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

MOST = 500  # alerts that are kept


def firing(
    declared: Alertmanager, filters: Iterable[str], now: float, context: Context, deadline: Deadline
) -> tuple[FiringAlert, ...]:
    """The alerts that it holds and that all filters (`severity="critical"`) fit, silenced and inhibited ones too."""
    query = urlencode([("filter", each) for each in filters])
    found = _list(declared, f"/api/v2/alerts?{query}", context, deadline)
    try:
        alerts = sorted((_alert(each, now, context) for each in found), key=lambda each: bool(each.suppressed))
        return tuple(alerts[:MOST])  # those that count come first
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EvidenceProblem(_unexpected_answer(declared, "alerts", error)) from None


def grouped(
    declared: Alertmanager, name: str, now: float, context: Context, deadline: Deadline
) -> tuple[FiringAlert, ...]:
    """The alerts of one name as they are grouped for receivers, which tells also what time intervals hold back."""
    query = urlencode({"filter": f"alertname={quoted(name)}"})
    groups = _list(declared, f"/api/v2/alerts/groups?{query}", context, deadline)
    try:
        found = [_alert(each, now, context) for group in groups for each in group["alerts"]]
        return tuple(sorted(found, key=lambda each: bool(each.suppressed))[:MOST])  # one that gets through counts
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EvidenceProblem(_unexpected_answer(declared, "groups of alerts", error)) from None


def receivers(declared: Alertmanager, context: Context, deadline: Deadline) -> tuple[str, ...]:
    """The names of its receivers."""
    found = _list(declared, "/api/v2/receivers", context, deadline)
    try:
        return tuple(plain(str(each["name"]), 200) for each in found)
    except (KeyError, TypeError) as error:
        raise EvidenceProblem(_unexpected_answer(declared, "receivers", error)) from None


def firing_of_one_peer(
    declared: Alertmanager, match: str, deadman: FiringAlert, now: float, context: Context, deadline: Deadline
) -> tuple[tuple[FiringAlert, ...], bool]:
    """The alerts that fit, and whether the dead man's is with them, of a single answer.

    Peers of a cluster do not tell each other alerts, and behind one address each request may reach another peer.
    """
    found = _list(declared, "/api/v2/alerts", context, deadline)
    try:
        alerts = [_alert(each, now, context) for each in found]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EvidenceProblem(_unexpected_answer(declared, "alerts", error)) from None
    fitting = [each for each in alerts if fits(dict(each.labels), match)]
    fitting.sort(key=lambda each: bool(each.suppressed))
    return tuple(fitting[:MOST]), any(each.labels == deadman.labels for each in alerts)


def silences(declared: Alertmanager, context: Context, deadline: Deadline) -> list[dict[str, Any]]:
    """Those that are active; [] where it does not tell."""
    try:
        found = _list(declared, "/api/v2/silences", context, deadline)
        return [each for each in found if each["status"]["state"] == "active"]
    except (EvidenceProblem, KeyError, TypeError, AttributeError):
        return []


def status(declared: Alertmanager, context: Context, deadline: Deadline) -> dict[str, Any]:
    """Its cluster and its configuration, without secrets; {} where it does not tell."""

    def ask() -> dict[str, Any]:
        try:
            found = _ask(declared, "/api/v2/status", context, deadline)
        except EvidenceProblem:
            return {}
        return found if isinstance(found, dict) else {}

    return context.once(("alertmanager-status",), ask, deadline)


def peers(declared: Alertmanager, context: Context, deadline: Deadline) -> int:
    """How many Alertmanagers make up its cluster, itself included; 0 where it is alone or does not tell."""
    cluster = status(declared, context, deadline).get("cluster")
    found = cluster.get("peers") if isinstance(cluster, dict) else None
    return len(found) if isinstance(found, list) else 0


def configuration(declared: Alertmanager, context: Context, deadline: Deadline) -> dict[str, Any]:
    """Its configuration, without secrets; {} where it does not tell, or PyYAML is not there."""
    try:
        import yaml
    except ImportError:
        return {}
    try:
        told = status(declared, context, deadline)["config"]["original"]
        found = yaml.load(told, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def epoch_seconds(text: str) -> float:
    """Epoch seconds of an RFC 3339 time, nanoseconds cut off; raises ValueError."""
    return datetime.datetime.fromisoformat(text).timestamp()


def labels_of(each: Any, context: Context) -> dict[str, str]:
    """The labels of an alert, without secrets."""
    redact = context.redactor.redact
    return {plain(str(name), 200): plain(redact(str(value)), 300) for name, value in each["labels"].items()}


def _alert(each: dict[str, Any], now: float, context: Context) -> FiringAlert:
    labels, status = labels_of(each, context), each["status"]
    suppressed = "silenced" if status["silencedBy"] else "inhibited" if status["inhibitedBy"] else ""
    if not suppressed and status.get("mutedBy"):
        suppressed = "muted"
    seconds = now - epoch_seconds(each["startsAt"])
    return FiringAlert(labels.get("alertname", ""), tuple(sorted(labels.items())), seconds, suppressed)


def _list(declared: Alertmanager, path: str, context: Context, deadline: Deadline) -> list[Any]:
    found = _ask(declared, path, context, deadline)
    if not isinstance(found, list):
        where = f"Alertmanager at {as_service(declared).host}: GET {path.partition('?')[0]}"
        raise EvidenceProblem(Problem("protocol", f"{where}: the answer is not a list"))
    return found


def _ask(declared: Alertmanager, path: str, context: Context, deadline: Deadline) -> Any:
    service = as_service(declared)
    answer = client_to(context, service).ask(Request("GET", path, document=LARGEST), deadline)
    status, where = answer.exchange.status, f"Alertmanager at {service.host}: GET {path.partition('?')[0]}"
    if status != 200:
        denied = status in (401, 403)
        wrong = "is `alerts.alertmanager` the address of Alertmanager?"
        hint = "give `alerts.alertmanager.authentication`" if denied else wrong
        said = plain(context.redactor.redact(answer.text), 200)
        raise EvidenceProblem(Problem("denied" if denied else "protocol", f"{where}: answered {status} {said}", hint))
    return answer.json()


def _unexpected_answer(declared: Alertmanager, what: str, error: Exception) -> Problem:
    said = plain(f"{type(error).__name__}: {error}", 100)
    return Problem("protocol", f"Alertmanager at {declared.url}: its {what} do not follow its API ({said})")
