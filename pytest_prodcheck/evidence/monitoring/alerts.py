"""`alert-rules` and `alerts-firing`: whether alerts could come and would arrive, and which are there."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.monitoring import alertmanager, identity, prometheus, recording_rules
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.monitoring import AlertingRule, AlertRules, AlertsFiring, FiringAlert, ScrapedJob

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.monitoring import Alerts
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_JOB = re.compile(r'\bjob\s*=\s*"([^"\\]+)"')
LATELY = "2m"  # a target whose last scrape failed may just have been restarted
DISCOVERY = 6.0  # seconds: Prometheus takes up what it discovers every five
Rule = dict[str, Any]


def _seconds(target: str, environment: Environment) -> float:
    there = [environment.prometheus, environment.alerts.alertmanager if environment.alerts else None]
    return sum(each.timeout for each in there if each is not None) * 3 + DISCOVERY + 5


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    from pytest_prodcheck.evidence.http.service_requests import host_of

    whom = prometheus.host(target, environment)
    found = [Sending(whom, "GET /api/v1/rules", once="rules"), Sending(whom, "POST /api/v1/query (time, up)", 2)]
    declared = environment.alerts.alertmanager if environment.alerts else None
    if declared is None:
        found.append(Sending(whom, "GET /api/v1/alertmanagers", 2))
    else:
        address = host_of(prometheus.as_service(declared))
        found += [Sending(whom, "GET /api/v1/status/config", once="config")]
        found += [Sending(address, f"GET /api/v2/{each}") for each in ("alerts", "alerts/groups", "receivers")]
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
    series, expressions = recording_rules.needed([str(each.get("query", "")) for each in required], context, deadline)
    return AlertRules(
        declared.required, tuple(_rule(rule, group, now, context) for rule, group in mine),
        _jobs(_jobs_of(declared, required, expressions), context, deadline), declared.deadman or "",
        _alertmanagers(context, deadline) if declared.alertmanager is None else None, arrived,
        declared.alertmanager is not None, receivers, declared.receivers, series,
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
        found = [each for each in _of_prometheus(now, context, deadline) if _fits(dict(each.labels), quiet.match)]
        control = any(each.name == declared.deadman for each in _of_prometheus(now, context, deadline))
    else:
        from pytest_prodcheck.environments.sections.monitoring import matchers

        filters = [f"{label}{operator}{json.dumps(value)}" for label, operator, value in matchers(quiet.match)]
        found = list(alertmanager.firing(declared.alertmanager, filters, now, context, deadline))
        control = _deadman(declared, now, context, deadline) is not None
    alerts = tuple(each for each in found if each.name != declared.deadman)
    source = "Prometheus" if declared.alertmanager is None else "Alertmanager"
    return AlertsFiring(quiet.match, quiet.for_, source, declared.deadman, control, alerts)


def _declared(context: Context) -> Alerts:
    if context.environment.alerts is None:
        raise EvidenceProblem(Problem("configuration", "no alerts are declared"))
    return context.environment.alerts


def _prometheus_now(context: Context, deadline: Deadline) -> float:
    """Prometheus's clock, by which all times here are; epoch seconds."""
    return context.once(("prometheus-time",), lambda: prometheus.clock(context, deadline), deadline)


def _rules(context: Context, deadline: Deadline) -> list[tuple[Rule, Rule]]:
    """Our alerting rules, each with its group: those whose labels say that they are of another one are left out."""
    told = _declared(context).labels
    return [
        (rule, group)
        for rule, group in _all_rules(context, deadline)
        if told is None or _fits(rule.get("labels") or {}, told, missing=True)
    ]


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


def _rule(rule: Rule, group: Rule, now: float, context: Context) -> AlertingRule:
    error = plain(context.redactor.redact(str(rule.get("lastError") or "")), 300)
    seen = alertmanager.epoch_seconds(str(rule.get("lastEvaluation", "1970-01-01T00:00:00Z")))
    interval = float(group.get("interval") or 60)
    name, where = plain(str(rule["name"]), 200), plain(str(group.get("name", "")), 200)
    firing = rule.get("state") == "firing"
    return AlertingRule(name, where, str(rule.get("health")), error, firing, now - seen, interval)


def _alertmanagers(context: Context, deadline: Deadline) -> int:
    """How many Prometheus sends to; looked at twice, for in the first seconds after a reload it knows none."""
    server = prometheus.prometheus(context, deadline)
    for last in (False, True):
        found = server.get("/api/v1/alertmanagers", "Alertmanagers", deadline).get("activeAlertmanagers") or ()
        if found or last:
            return len(found)
        time.sleep(min(DISCOVERY, deadline.seconds_left() / 2))
    raise AssertionError("not reached")


def _jobs_of(declared: Alerts, rules: list[Rule], recorded_by: tuple[str, ...]) -> tuple[str, ...]:
    """The jobs that are declared, or that the rules and those that record for them name."""
    if declared.jobs is not None:
        return declared.jobs
    queries = [*(str(rule.get("query", "")) for rule in rules), *recorded_by]
    return tuple(dict.fromkeys(job for query in queries for job in _JOB.findall(query)))


def _jobs(names: tuple[str, ...], context: Context, deadline: Deadline) -> tuple[ScrapedJob, ...]:
    if not names:
        return ()
    wanted = json.dumps("|".join(map(re.escape, names)))
    now = f"up{{job=~{wanted}}}"  # targets that are looked at no more are not in it, within two minutes or not
    query = f"(max_over_time({now}[{LATELY}]) and {now}) or {now}"  # some are scraped every four minutes
    found = prometheus.prometheus(context, deadline).vector(query, "targets", deadline)
    values = {name: [each.value for each in found if each.labels.get("job") == name] for name in names}
    return tuple(ScrapedJob(name, up := values[name].count(1.0), len(values[name]) - up) for name in names)


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
        return next((each for each in there if _fits(dict(each.labels), labels)), None)
    rules = [rule for rule, _ in _rules(context, deadline) if rule["name"] == name]
    firing = [{**(rule.get("labels") or {}), **each.get("labels", {})} for rule in rules
              for each in rule.get("alerts") or () if each.get("state") == "firing"]  # fmt: skip
    if not (there and firing):
        return None
    try:
        wanted = identity.as_sent(firing, context, deadline)
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
                labels = alertmanager.labels_of(each, context)
                seconds = now - alertmanager.epoch_seconds(str(each["activeAt"])) - float(rule.get("duration") or 0)
                found.append(FiringAlert(str(rule["name"]), tuple(sorted(labels.items())), seconds, ""))
    return found


def _fits(labels: dict[str, str], match: str, missing: bool = False) -> bool:
    """Whether labels fit all matchers, regular expressions anchored as Prometheus does; missing: so do absent ones."""
    from pytest_prodcheck.environments.sections.monitoring import matchers

    for label, operator, wanted in matchers(match):
        if missing and label not in labels:
            continue
        value = labels.get(label, "")
        same = re.fullmatch(wanted, value) is not None if operator.endswith("~") else value == wanted
        if same == operator.startswith("!"):
            return False
    return True
