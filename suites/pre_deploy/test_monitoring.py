"""Alerts: would somebody be called if the deployment went wrong, and is nobody being called already?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import AlertingRule, AlertRules, AlertsFiring, Notifications, RecordingRule

LATE = 5  # intervals, and two minutes at least: rules that were not looked at for so long stand still
PATIENCE = 120.0
FAILED_SHARE = Limit(warn="1%", fail="99%")  # 99 are all: both numbers are extrapolated
AT_REST = ("silenced", "inhibited")  # a time interval that mutes an alert is no word of anybody about it


@check("pre_deploy.monitoring.alerts", severity="high", runbook="alerts",
       fixed={"time since the last evaluation of a rule, as a multiple of its interval": Limit(fail=LATE),
              "share of an integration's notifications of the last hour that failed": FAILED_SHARE})  # fmt: skip
def test_alerts_would_come(alert_rules: AlertRules) -> None:
    """The required rules are loaded and healthy, their targets are up, and alerts reach Alertmanager."""
    there = {each.name for each in alert_rules.rules}
    for name in alert_rules.required:
        judge("rule is loaded", name in there, of=name, reason="Prometheus has no alerting rule of that name")
    for each in alert_rules.rules:
        _judge_looks(each)
        if each.lacks:
            told = f"{each.lacks}: it cannot fire"
            judge("its series exist", False, of=each.name, warn_only=True, reason=told)
        if each.silenced and not each.firing and each.name != alert_rules.deadman:  # one that fires is known of
            judge("it is not silenced", False, of=each.name, warn_only=True, reason=f"all of it, {each.silenced}")
    if alert_rules.refused:
        judge("configuration is loaded", False, warn_only=True,
              reason="Prometheus refused the last one, and runs with the one before")  # fmt: skip
    for series in alert_rules.recorded:
        if series.health != "elsewhere":
            _judge_looks(series)
        elif judge("recorded series is there", series.age is not None, of=series.name, warn_only=True,
                   reason=("no rule in this Prometheus records this series and it has no "
                       "samples: alerts that use it cannot fire")):  # fmt: skip
            _judge_age(series)
    if alert_rules.required:
        judge("jobs whose targets are checked", len(alert_rules.jobs), at_least=1, warn_only=True,
              reason="the rules name no job: list the jobs in alerts.jobs")  # fmt: skip
    for job in alert_rules.jobs:
        if job.pushed:
            continue
        judge("targets that are up", job.up, at_least=1, of=f"job {job.name}", reason=f"{job.down} are down")
        judge("targets that are down", job.down, equals=0, of=f"job {job.name}", warn_only=True)
    if alert_rules.alertmanagers is not None:
        judge("Alertmanagers that Prometheus sends to", alert_rules.alertmanagers, at_least=1)
    if alert_rules.unreached:
        judge("alerts reach all peers", False, warn_only=True,
              reason=f"Prometheus sends to {alert_rules.unreached} Alertmanagers of the cluster")  # fmt: skip
    for receiver in alert_rules.wanted:
        judge("receiver exists", receiver in alert_rules.receivers, of=receiver,
              reason=f"Alertmanager has {', '.join(alert_rules.receivers) or 'none'}")  # fmt: skip
    for use in alert_rules.uses:
        if use.name in alert_rules.wanted:
            judge("receiver notifies somebody", bool(use.integrations), of=use.name,
                  reason="it has no integration in Alertmanager")  # fmt: skip
    for sent in alert_rules.notifications:
        _judge_notifications(sent)
    if alert_rules.deadman:
        _judge_deadman(alert_rules)


def _judge_notifications(sent: Notifications) -> None:
    share = min(100.0, 100 * sent.failed / sent.sent)
    judge("notifications that failed", share, at_most=FAILED_SHARE, unit="%", of=sent.integration,
          warn_only=not sent.ours, reason=f"about {sent.failed:.0f} of {sent.sent:.0f} in the last hour")  # fmt: skip


def _judge_looks(rule: AlertingRule | RecordingRule) -> None:
    known = None if rule.health == "unknown" else rule.health
    judge("health", known, equals="ok", of=rule.name, reason=rule.error or "it was never evaluated")
    if known is not None:
        _judge_age(rule)


def _judge_age(rule: AlertingRule | RecordingRule) -> None:
    late = max(LATE * rule.interval, PATIENCE)
    if rule.age is not None:
        judge("time since its last evaluation", rule.age, at_most=late, unit="s", of=rule.name)


def _judge_deadman(alert_rules: AlertRules) -> None:
    name = alert_rules.deadman
    fires = any(each.firing for each in alert_rules.rules if each.name == name)
    judge("dead man's alert fires", fires, of=name, reason="the alert is not firing in Prometheus; it must always fire")
    if alert_rules.asked:
        arrived = alert_rules.arrived
        judge("dead man's alert arrives", arrived is not None, of=name,
              reason="Alertmanager does not have this alert, or has only the one of another Prometheus")  # fmt: skip
        if arrived is not None:
            judge("dead man's alert is not muted", not arrived.suppressed, of=name, warn_only=True,
                  reason=f"it is {arrived.suppressed}")  # fmt: skip


@check("pre_deploy.monitoring.quiet", severity="critical", runbook="alerts-quiet")
def test_nothing_fires(alerts_firing: AlertsFiring) -> None:
    """No matching alert has been firing for long; silenced and inhibited alerts do not count."""
    if not alerts_firing.control:
        what = f"{alerts_firing.source} does not have {alerts_firing.deadman} either, although it always fires"
        raise EvidenceProblem(Problem("empty", f"{what}: the absence of other alerts proves nothing"))
    heard = [each for each in alerts_firing.alerts
             if each.suppressed not in AT_REST and each.seconds >= alerts_firing.shortest]  # fmt: skip
    for each in heard:
        labels = ", ".join(f'{name}="{value}"' for name, value in each.labels if name != "alertname")
        judge("is quiet", False, of=each.name, reason=f"firing for {each.seconds:.0f} s: {labels}")
    if not alerts_firing.able and not heard:
        what = f"no alerting rule of Prometheus can raise an alert that matches {alerts_firing.match}"
        if alerts_firing.source == "Prometheus":
            raise EvidenceProblem(Problem("empty", f"{what}, so that none fires proves nothing", "correct quiet.match"))
        judge("rules whose alerts can match", 0, at_least=1, warn_only=True, reason=what)
    if not heard:
        judge(f"firing alerts that match {alerts_firing.match}", len(heard), equals=0)
