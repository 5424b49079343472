"""`alert-rules` and `alerts-firing`: whether alerts could come and would arrive, and which are there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.monitoring import (
    absent_series,
    alert_receivers,
    alertmanager,
    external_labels,
    prometheus,
    recording_rules,
    scraping,
)
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.monitoring import AlertingRule, AlertRules, AlertsFiring, FiringAlert

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.monitoring import Alerts
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

SEEN = 600.0  # seconds in which the series of a rule must have had a sample
DISCOVERY = 6.0  # seconds: Prometheus takes up what it discovers every five
Rule = dict[str, Any]


def _seconds(target: str, environment: Environment) -> float:
    there = [environment.prometheus, environment.alerts.alertmanager if environment.alerts else None]
    return sum(each.timeout for each in there if each is not None) * 5 + DISCOVERY + 5


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    from pytest_prodcheck.evidence.http.service_requests import host_of

    whom = prometheus.host(target, environment)
    rules = len(environment.alerts.required) if environment.alerts else 0
    declared = environment.alerts.alertmanager if environment.alerts else None
    found = [Sending(whom, "GET /api/v1/rules", once="rules")]
    found += [Sending(whom, "POST /api/v1/query (time, up, series of rules, notifications)", 4 + 2 * rules)]
    found += [Sending(whom, "GET /api/v1/status/runtimeinfo")]
    found += [Sending(whom, "GET /api/v1/metadata", 2 * rules)] if rules else []
    found += [Sending(whom, "GET /api/v1/alertmanagers", 3), Sending(whom, "GET /api/v1/status/config", once="config")]
    if declared is not None:
        address = host_of(prometheus.as_service(declared))
        paths = ("alerts", "alerts/groups", "receivers", "status", "silences")
        found += [Sending(address, f"GET /api/v2/{each}") for each in paths]
    return tuple(found)


@evidence("alert-rules", axis="alerts", seconds=_seconds, host=prometheus.host, sends=_sends)
def alert_rules(target: str, context: Context, deadline: Deadline) -> AlertRules:
    """The required rules and the dead man's, the targets they rest on, Alertmanager's side of it."""
    declared, now = _declared(context), _prometheus_now(context, deadline)
    wanted = {*declared.required, *([declared.deadman] if declared.deadman else ())}
    mine = [(rule, group) for rule, group in _rules(context, deadline) if rule["name"] in wanted]
    required = [rule for rule, _ in mine if rule["name"] in declared.required]
    arrived: FiringAlert | None = None
    receivers: tuple[str, ...] = ()
    if declared.alertmanager is not None:
        receivers = alertmanager.receivers(declared.alertmanager, context, deadline)
        if declared.deadman is not None:
            arrived = _deadman(declared, now, context, deadline)
    queries = [str(each.get("query", "")) for each in required]
    series, expressions = recording_rules.needed(queries, context, deadline)
    recorded = {each.name for each in series}
    return AlertRules(
        declared.required, tuple(_rule(rule, group, now, recorded, context, deadline) for rule, group in mine),
        scraping.jobs(declared.jobs, (*queries, *expressions), context, deadline), declared.deadman or "",
        None if declared.alertmanager and declared.deadman else _alertmanagers(context, deadline), arrived,
        declared.alertmanager is not None, receivers, declared.receivers, series,
        alert_receivers.uses(context, deadline), alert_receivers.notifications(context, deadline),
        alert_receivers.unreached(context, deadline), prometheus.refused_configuration(context, deadline),
    )  # fmt: skip


@evidence(
    "alerts-firing", axis="alerts", feature="quiet", seconds=_seconds, host=prometheus.host,
    sends=lambda target, environment: (),  # the requests of alert-rules
)  # fmt: skip
def alerts_firing(target: str, context: Context, deadline: Deadline) -> AlertsFiring:
    """What fires of the declared kind, as Alertmanager holds it, or Prometheus where no Alertmanager is declared."""
    declared, now = _declared(context), _prometheus_now(context, deadline)
    quiet = declared.quiet
    if quiet is None or declared.deadman is None:
        raise EvidenceProblem(Problem("configuration", "no alerts.quiet is declared"))
    if declared.alertmanager is None:
        firing = _of_prometheus(now, context, deadline)
        found = tuple(each for each in firing if _counts(each, quiet.match, context, deadline))
        control = any(each.name == declared.deadman for each in firing)
    else:
        from pytest_prodcheck.environments.sections.monitoring import matchers

        quoted = external_labels.quoted
        filters = [f"{label}{operator}{quoted(value)}" for label, operator, value in matchers(quiet.match)]
        deadman = _deadman(declared, now, context, deadline)
        control = deadman is not None
        if deadman is not None and alertmanager.peers(declared.alertmanager, context, deadline) > 1:
            found, control = alertmanager.firing_of_one_peer(
                declared.alertmanager, quiet.match, deadman, now, context, deadline
            )
        else:
            found = alertmanager.firing(declared.alertmanager, filters, now, context, deadline)
    alerts = tuple(each for each in found if each.name != declared.deadman)
    able = sum(_may_fit(rule, quiet.match) for rule, _ in _rules(context, deadline) if rule["name"] != declared.deadman)
    source = "Prometheus" if declared.alertmanager is None else "Alertmanager"
    return AlertsFiring(quiet.match, quiet.for_, source, declared.deadman, control, alerts, able)


def _declared(context: Context) -> Alerts:
    if context.environment.alerts is None:
        raise EvidenceProblem(Problem("configuration", "no alerts are declared"))
    return context.environment.alerts


def _prometheus_now(context: Context, deadline: Deadline) -> float:
    """Prometheus's clock, by which all times here are; epoch seconds."""
    return context.once(("prometheus-time",), lambda: prometheus.clock(context, deadline), deadline)


def _rules(context: Context, deadline: Deadline) -> list[tuple[Rule, Rule]]:
    """Our alerting rules, each with its group: those whose labels say that they are of another one are left out."""
    found = _all_rules(context, deadline)
    return [(rule, group) for rule, group in found if external_labels.is_ours(rule.get("labels") or {}, context)]


def _all_rules(context: Context, deadline: Deadline) -> list[tuple[Rule, Rule]]:

    def ask() -> list[tuple[Rule, Rule]]:
        data = prometheus.prometheus(context, deadline).get("/api/v1/rules?type=alert", "rules", deadline)
        try:
            rules = [(rule, group) for group in data["groups"] for rule in group["rules"]]
            return [(rule, group) for rule, group in rules if rule["type"] == "alerting" and rule["name"]]
        except (KeyError, TypeError) as error:
            what = f"Prometheus: its rules do not follow its API ({plain(repr(error), 100)})"
            raise EvidenceProblem(Problem("protocol", what)) from None

    return context.once(("prometheus-rules",), ask, deadline)


def _rule(
    rule: Rule, group: Rule, now: float, recorded: set[str], context: Context, deadline: Deadline
) -> AlertingRule:
    error = plain(context.redactor.redact(str(rule.get("lastError") or "")), 300)
    seen = alertmanager.epoch_seconds(str(rule.get("lastEvaluation", "1970-01-01T00:00:00Z")))
    interval = float(group.get("interval") or 60)
    name, where = plain(str(rule["name"]), 200), plain(str(group.get("name", "")), 200)
    firing, what, query = rule.get("state") == "firing", f"rule {name}", str(rule.get("query", ""))
    try:
        lacks = absent_series.lacking(query, "", (), recorded, False, SEEN, what, context, deadline)
    except EvidenceProblem:  # series that are too many to count are there
        lacks = ""
    silenced = alert_receivers.silenced({**_fixed_labels(rule), "alertname": name}, context, deadline)
    return AlertingRule(name, where, str(rule.get("health")), error, firing, now - seen, interval, lacks, silenced)


def _alertmanagers(context: Context, deadline: Deadline) -> int:
    """How many Prometheus sends to; looked at twice, for in the first seconds after a reload it knows none."""
    server = prometheus.prometheus(context, deadline)
    for last in (False, True):
        found = server.get("/api/v1/alertmanagers", "Alertmanagers", deadline).get("activeAlertmanagers") or ()
        if found or last:
            return len(found)
        time.sleep(min(DISCOVERY, deadline.seconds_left() / 2))
    raise AssertionError("not reached")


def _deadman(declared: Alerts, now: float, context: Context, deadline: Deadline) -> FiringAlert | None:
    """The dead man's alert of our own Prometheus as Alertmanager has it; that of another one is none."""
    return context.once(("deadman",), lambda: _delivered_alert(declared, now, context, deadline), deadline)


def _delivered_alert(declared: Alerts, now: float, context: Context, deadline: Deadline) -> FiringAlert | None:
    server, name = declared.alertmanager, declared.deadman
    assert server is not None
    assert name is not None
    there = alertmanager.grouped(server, name, now, context, deadline)
    labels = declared.labels
    if labels is not None:
        return next((each for each in there if external_labels.fits(dict(each.labels), labels)), None)
    rules = [rule for rule, _ in _rules(context, deadline) if rule["name"] == name]
    firing = [{**(rule.get("labels") or {}), **each.get("labels", {})} for rule in rules
              for each in rule.get("alerts") or () if each.get("state") == "firing"]  # fmt: skip
    if not (there and firing):
        return None
    try:
        wanted = external_labels.as_sent(firing, context, deadline)
    except EvidenceProblem:
        if not any(dict(each.labels) in firing for each in there):
            raise  # only such that have labels besides, and whose they are is not known
        wanted = firing
    ours = [alertmanager.labels_of({"labels": each}, context) for each in wanted]
    return next((each for each in there if dict(each.labels) in ours), None)


def _of_prometheus(now: float, context: Context, deadline: Deadline) -> list[FiringAlert]:
    """What fires according to Prometheus; `activeAt` is when it became pending, `duration` how long it then waits."""
    found = []
    for rule, _ in _rules(context, deadline):
        for each in rule.get("alerts") or ():
            if each.get("state") == "firing":
                labels = alertmanager.labels_of({"labels": {**_fixed_labels(rule), **each["labels"]}}, context)
                seconds = now - alertmanager.epoch_seconds(str(each["activeAt"])) - float(rule.get("duration") or 0)
                found.append(FiringAlert(str(rule["name"]), tuple(sorted(labels.items())), seconds, ""))
    return found


def _fixed_labels(rule: Rule) -> dict[str, str]:
    """The labels that every alert of a rule has, whatever fires; Thanos adds external ones to rules alone."""
    return {name: value for name, value in (rule.get("labels") or {}).items() if "{{" not in value}


def _counts(alert: FiringAlert, match: str, context: Context, deadline: Deadline) -> bool:
    """Whether an alert that Prometheus told of fits; external labels, which it tells only others, count too."""
    labels = dict(alert.labels)
    if external_labels.fits(labels, match) or not external_labels.fits(labels, match, missing=True):
        return external_labels.fits(labels, match)
    return external_labels.fits({**external_labels.external_labels(context, deadline), **labels}, match)


def _may_fit(rule: Rule, match: str) -> bool:
    """Whether an alert of a rule may fit, by what is fixed of it."""
    return external_labels.fits({**_fixed_labels(rule), "alertname": str(rule["name"])}, match, missing=True)
