"""What goes wrong with what watches the shop, made in the numbers that a real Prometheus scrapes, or in the files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.monitoring.exporter import Numbers
from tests.monitoring.servers import RULES, Watch
from tests.project import Project

ERRORS, P95 = "smoke.metrics.error-ratio", "smoke.metrics.p95"
ALERTS, QUIET = "pre_deploy.monitoring.alerts", "pre_deploy.monitoring.quiet"
_HOSTS = "pre_deploy.resources."
CPU, MEMORY, DISK, INODES = (f"{_HOSTS}{each}" for each in ("cpu", "memory", "disk", "inodes"))
URL = '[environments.live.prometheus]\nurl = "http://'
PERCENTILE = "histogram_quantile(0.95, sum by (le) (rate("


@dataclass
class Bench:
    """What a fault can change: the numbers, the servers' files, the project's file, what the run is about."""

    numbers: Numbers
    watched: Watch
    home: Project
    revision: str = "good"

    @property
    def alertmanager(self) -> str:
        """Where Alertmanager is: "127.0.0.1:9093"."""
        return self.watched.alertmanager.address

    def rules(self, old: str, new: str) -> None:
        """Changes the rules."""
        assert old in RULES
        self.watched.prometheus.configure("rules.yml", RULES.replace(old, new))

    def wait_for(self, name: str, state: str = "active") -> None:
        """Waits until Alertmanager has an alert, and half a second more, from when on it counts."""
        self.watched.alertmanager.wait(lambda: name in self.watched.alerts(state), f"{name} {state}")
        time.sleep(0.6)


@dataclass(frozen=True)
class Fault:
    """A fault: how it is made, which checks notice it and how, () for what is no fault at all."""

    name: str
    make: Callable[[Bench], None]
    outcomes: Mapping[str, str] = field(default_factory=dict)

    @property
    def notices(self) -> tuple[str, ...]:
        """The checks that notice it."""
        return tuple(self.outcomes)


def _revision(name: str) -> Callable[[Bench], None]:
    def make(bench: Bench) -> None:
        bench.revision = name

    return make


def _edited(old: str, new: str) -> Callable[[Bench], None]:
    return lambda bench: bench.home.edit(old, new)


def _died(bench: Bench) -> None:
    """Its numbers stand still; what was before is within the window yet."""
    bench.revision = "mortal"
    bench.numbers.dead["mortal"] = time.monotonic()
    time.sleep(6)


def _down(bench: Bench, severity: str = "critical") -> None:
    bench.numbers.down = severity
    bench.wait_for("ShopDown")


def _silenced(bench: Bench) -> None:
    now = time.time()
    starts, ends = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + each)) for each in (-5, 600))
    matcher = {"name": "alertname", "value": "ShopDown", "isRegex": False, "isEqual": True}
    silence = {"matchers": [matcher], "startsAt": starts, "endsAt": ends, "createdBy": "test", "comment": "test"}
    bench.watched.alertmanager.ask("/api/v2/silences", "POST", silence)
    bench.numbers.down = "critical"
    bench.wait_for("ShopDown", "suppressed")


def _inhibited(bench: Bench) -> None:
    bench.numbers.maintenance = True
    bench.wait_for("Maintenance")
    bench.numbers.down = "critical"
    bench.wait_for("ShopDown", "suppressed")


def _just_begun(bench: Bench) -> None:
    bench.home.edit('for = "500ms"', 'for = "2m"')
    _down(bench)


def _unheard(bench: Bench) -> None:
    """Prometheus fires, and sends it elsewhere."""
    lost = bench.watched.prometheus_file.replace(bench.watched.alertmanager.address, "127.0.0.1:9")
    bench.watched.prometheus.configure("prometheus.yml", lost)
    bench.watched.alertmanager.wait(lambda: not bench.watched.alerts(), "Watchdog's end")


def _without_watchdog(bench: Bench) -> None:
    bench.rules("alert: Watchdog, expr: vector(1)", "alert: Watchdog, expr: vector(1) > 1")
    bench.watched.alertmanager.wait(lambda: not bench.watched.alerts(), "Watchdog's end")


def _unhealthy(bench: Bench) -> None:
    bench.rules("'shop_down == 1'", "'shop_down * on () shop_down'")
    bench.watched.prometheus.wait(lambda: "ShopDown" in bench.watched.rules("err"), "the rule's error")


def _no_escalation(bench: Bench) -> None:
    lines = bench.watched.alertmanager_file.splitlines(keepends=True)
    kept = "".join(line for line in lines if "escalation" not in line)
    bench.watched.alertmanager.configure("alertmanager.yml", kept)


def _alone(bench: Bench) -> None:
    """Alertmanager is not declared: Prometheus is all there is to ask."""
    for line in ('receivers    = ["team-shop", "escalation"]\n', f'alertmanager = "http://{bench.alertmanager}"\n'):
        bench.home.edit(line, "")


def _fires_alone(bench: Bench) -> None:
    _alone(bench)
    _silenced(bench)


def _sent_nowhere(bench: Bench) -> None:
    _alone(bench)
    text = bench.watched.prometheus_file.replace(f'targets: ["{bench.alertmanager}"]', "targets: []")
    bench.watched.prometheus.configure("prometheus.yml", text)


def _host(role: str) -> Callable[[Bench], None]:
    """The hosts that are looked at are a healthy one and another one."""
    return _edited('role="web"', f'instance=~"web-1|{role}"')


def _metrics(outcome: str) -> dict[str, str]:
    return {ERRORS: outcome, P95: outcome}


FAULTS = (
    Fault("errors", _revision("failing"), {ERRORS: "failed"}),
    Fault("some-errors", _revision("failing-somewhat"), {ERRORS: "warned"}),
    Fault("slow", _revision("slow"), {P95: "failed"}),
    Fault("slowish", _revision("slowish"), {P95: "warned"}),
    Fault("no-traffic", _revision("idle"), _metrics("errored")),
    Fault("hardly-any-traffic", _revision("hardly-used"), _metrics("errored")),
    Fault("revision-not-labelled", _revision("unheard-of"), _metrics("errored")),
    Fault("percentile-of-nothing", _revision("stuck"), {P95: "errored"}),
    Fault("died", _died, _metrics("errored")),
    Fault("query-broken", _edited("/ sum(rate(", "/ sum(rate(("), {ERRORS: "errored"}),
    Fault("query-not-aggregated", _edited(PERCENTILE, "topk(3, abs (rate("), {P95: "errored"}),
    Fault(
        "prometheus-down", _edited(URL, f"{URL}127.0.0.1:9/"),
        {**_metrics("errored"), **dict.fromkeys((ALERTS, QUIET, CPU, MEMORY, DISK, INODES), "errored")},
    ),
    Fault("rule-missing", lambda bench: bench.rules("alert: ShopDown", "alert: ShopUp"), {ALERTS: "failed"}),
    Fault("rule-unhealthy", _unhealthy, {ALERTS: "failed"}),
    Fault("target-down", _edited("deadman ", 'jobs = ["shop", "dead"]\ndeadman '), {ALERTS: "failed"}),
    Fault("receiver-gone", _no_escalation, {ALERTS: "failed"}),
    Fault("deadman-silent", _without_watchdog, {ALERTS: "failed", QUIET: "errored"}),
    Fault("alerts-do-not-arrive", _unheard, {ALERTS: "failed", QUIET: "errored"}),
    Fault(
        "alertmanager-down", _edited('alertmanager = "http://', 'alertmanager = "http://127.0.0.1:9/'),
        {ALERTS: "errored", QUIET: "errored"},
    ),
    Fault("alert-fires", _down, {QUIET: "failed"}),
    Fault("alert-fires-and-silences-are-not-known", _fires_alone, {QUIET: "failed"}),
    Fault("nobody-to-send-alerts-to", _sent_nowhere, {ALERTS: "failed"}),
    Fault("processors-busy", _host("busy"), {CPU: "failed"}),
    Fault("processors-rather-busy", _host("busyish"), {CPU: "warned"}),
    Fault("memory-used-up", _host("swapping"), {MEMORY: "failed"}),
    Fault("memory-tight", _host("tight"), {MEMORY: "warned"}),
    Fault("disk-full", _host("full"), {DISK: "failed"}),
    Fault("disk-filling", _host("filling"), {DISK: "warned"}),
    Fault("inodes-used-up", _host("littered"), {INODES: "failed"}),
    Fault("inodes-few", _host("littering"), {INODES: "warned"}),
    Fault("disk-became-read-only", _host("frozen"), {DISK: "failed"}),
    Fault("not-mounted", _host("unmounted"), dict.fromkeys((DISK, INODES), "errored")),
    Fault("host-not-scraped", _host("silent"), dict.fromkeys((CPU, MEMORY, DISK, INODES), "errored")),
    Fault("host-gone", _host("gone"), dict.fromkeys((CPU, MEMORY, DISK, INODES), "errored")),
)  # fmt: skip
BENIGN = (
    Fault("alertmanager-not-declared", _alone),
    Fault("alert-silenced", _silenced),
    Fault("alert-inhibited", _inhibited),
    Fault("alert-just-begun", _just_begun),
    Fault("another-alert-fires", lambda bench: _down(bench, "warning")),
)
