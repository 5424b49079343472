"""Alerts: would somebody be called if the deployment went wrong, and is nobody being called already?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import check, judge
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import AlertRules, AlertsFiring

LATE = 5  # intervals, and two minutes at least: rules that were not looked at for so long stand still
PATIENCE = 120.0


@check("pre_deploy.monitoring.alerts", severity="high", runbook="alerts")
def test_alerts_would_come(alert_rules: AlertRules) -> None:
    """The required rules are loaded and healthy, their targets are up, and alerts arrive where they are passed on."""
    there = {each.name for each in alert_rules.rules}
    for name in alert_rules.required:
        judge("rule is loaded", name in there, of=name, reason="Prometheus has no alerting rule of that name")
    for each in alert_rules.rules:
        known = None if each.health == "unknown" else each.health
        judge("health", known, equals="ok", of=each.name, reason=each.error or "it was never looked at")
        late = max(LATE * each.interval, PATIENCE)
        if known is not None:
            judge("time since it was looked at", each.age, at_most=late, unit="s", of=each.name)
    if alert_rules.required:
        judge("jobs whose targets are looked at", len(alert_rules.jobs), at_least=1, warn_only=True,
              reason="the rules name none: say which in alerts.jobs")  # fmt: skip
    for job in alert_rules.jobs:
        judge("targets that are up", job.up, at_least=1, of=f"job {job.name}", reason=f"{job.down} are down")
        judge("targets that are down", job.down, equals=0, of=f"job {job.name}", warn_only=True)
    if alert_rules.alertmanagers is not None:
        judge("Alertmanagers that Prometheus sends to", alert_rules.alertmanagers, at_least=1)
    for receiver in alert_rules.wanted:
        judge("receiver is there", receiver in alert_rules.receivers, of=receiver,
              reason=f"Alertmanager has {', '.join(alert_rules.receivers) or 'none'}")  # fmt: skip
    if alert_rules.deadman:
        _judge_deadman(alert_rules)


def _judge_deadman(alert_rules: AlertRules) -> None:
    name = alert_rules.deadman
    fires = any(each.firing for each in alert_rules.rules if each.name == name)
    judge("dead man's alert fires", fires, of=name, reason="Prometheus does not fire it, which it always should")
    if alert_rules.asked:
        arrived = alert_rules.arrived
        judge("dead man's alert arrives", arrived is not None, of=name, reason="Alertmanager does not have it")
        if arrived is not None:
            judge("dead man's alert is passed on", not arrived.suppressed, of=name, warn_only=True,
                  reason=f"it is {arrived.suppressed}")  # fmt: skip


@check("pre_deploy.monitoring.quiet", severity="critical", runbook="alerts-quiet")
def test_nothing_fires(alerts_firing: AlertsFiring) -> None:
    """No alert of the declared kind has been firing for long, but for silenced and inhibited ones."""
    if not alerts_firing.control:
        what = f"{alerts_firing.source} does not have {alerts_firing.deadman} either, which always fires"
        raise EvidenceProblem(Problem("empty", f"{what}: that it has no other alert proves nothing"))
    heard = [each for each in alerts_firing.alerts if not each.suppressed and each.seconds >= alerts_firing.shortest]
    for each in heard:
        labels = ", ".join(f'{name}="{value}"' for name, value in each.labels if name != "alertname")
        judge("is quiet", False, of=each.name, reason=f"firing for {each.seconds:.0f} s: {labels}")
    if not heard:
        judge(f"alerts that fit {alerts_firing.match}", len(heard), equals=0)
