"""Prometheus servers of several clusters that share an Alertmanager, started once and together; end by process id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.monitoring.judging import colours
from tests.monitoring.servers import Server
from tests.project import Project

ALERTS, QUIET, ERRORS = "pre_deploy.monitoring.alerts", "pre_deploy.monitoring.quiet", "smoke.metrics.errors"
CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 500ms, external_labels: {labels}}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]{relabelled}}}
scrape_configs: [{{job_name: self, static_configs: [{{targets: [{scraped}]}}]}}]
{more}
"""
REMOTE = "remote_read: [{{url: 'http://127.0.0.1:{port}/api/v1/read', read_recent: true, remote_timeout: 5s}}]"
TOML = """\
version = 1
project = "shop"
[environments.live]
revision = "r1"
[environments.live.prometheus]
url = "http://{prometheus}"
[environments.live.alerts]
{alerts}
{extra}
[gates.bug]
select = ["pre_deploy.monitoring.*", "smoke.metrics.*"]
"""
USUAL = """\
required     = ["Watchdog"]
jobs         = ["self"]
deadman      = "Watchdog"
alertmanager = "http://{alertmanager}"
quiet        = {{ match = 'severity="critical"', for = "1ms" }}
"""
DROPPED = ", alert_relabel_configs: [{regex: replica, action: labeldrop}]"
RENAMED = """, alert_relabel_configs: [{source_labels: [cluster], regex: "(e)(.*)", target_label: site,
  replacement: "${2}-$1"}, {regex: cluster, action: labeldrop},
  {source_labels: [scene], modulus: 1000, target_label: shard, action: hashmod}]"""
DOWN = "{alert: ShopDown, expr: vector(1), labels: {severity: warning, namespace: shop}}"
MANY = """'label_replace(vector(1), "of", "a", "", "") or label_replace(vector(1), "of", "b", "", "")'"""
LIMITED = f"{{name: limited, limit: 1, rules: [{{alert: Many, expr: {MANY}, labels: {{severity: critical}}}}]}}"
TWICE = """'label_replace({__name__=~"up|scrape_samples_scraped"}, "__name__", "x", "", "")'"""
RECORDED = {  # what a budget's alert rests on -> the expression that records it, "" where nobody does
    "plain": "vector(0.05)",
    "job": """'sum(rate(prometheus_http_requests_total{job="self"}[1m]))'""",
    "gone": """'sum(rate(prometheus_http_requests_total{job="gone"}[1m]))'""",
    "failing": TWICE,
    "nobody": "",
}


def watchdog(scene: str) -> str:
    """A rule that always fires; servers of one scene differ in their external labels alone."""
    return f"{{alert: Watchdog, expr: vector(1), labels: {{severity: none, scene: {scene}}}}}"


def budget(name: str) -> list[str]:
    """An alert on a recorded series, and the rule that records it."""
    series, expression = f"slo:{name}:ratio5m", RECORDED[name]
    made = [f"{{record: '{series}', expr: {expression}}}"] if expression else []
    return [*made, f"{{alert: Burn-{name}, expr: '{series} > 1e9', labels: {{severity: critical}}}}"]


SERVERS = {  # name -> external labels, whether it sends, rules, relabelling
    "east": ("{cluster: east}", False, [watchdog("shared"), DOWN], ""),
    "west": ("{cluster: west}", True, [watchdog("shared"), watchdog("bare")], ""),
    "bare": ("{}", False, [watchdog("bare")], ""),
    "pair": ("{cluster: south, replica: a}", True, [watchdog("pair")], DROPPED),
    "renamed": ("{cluster: east}", True, [watchdog("renamed")], RENAMED),
    "slo": ("{}", True, [watchdog("slo"), *(rule for name in RECORDED for rule in budget(name))], ""),
}
ARRIVING = 5  # dead man's alerts


class Clusters:
    """The servers, by name, and their Alertmanager."""

    def __init__(self, place: Path) -> None:
        self.folder = place
        (place / "alertmanager.yml").write_text(
            "route: {receiver: team-shop, group_wait: 10ms, group_interval: 1s}\nreceivers: [{name: team-shop}]\n"
        )
        words = [f"--config.file={place}/alertmanager.yml", f"--storage.path={place}/silences"]
        words += ["--cluster.listen-address=", "--log.level=warn"]
        self.alertmanager = Server(place, ["prometheus-alertmanager", *words])
        self.servers = {name: self._prometheus(name, place / name) for name in SERVERS}

    def _prometheus(self, name: str, place: Path) -> Server:
        place.mkdir()
        groups = f"{{name: all, rules: [{', '.join(SERVERS[name][2])}]}}, {LIMITED}"
        (place / "rules.yml").write_text(f"groups: [{groups}]\n")
        (place / "prometheus.yml").write_text("global: {}\n")
        words = ["--web.enable-lifecycle", "--log.level=warn", "--rules.alert.resend-delay=10s"]
        words += [f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data"]
        server = Server(place, ["prometheus", *words])
        self._configure(name, place, f'"{server.address}"')
        return server

    def _configure(self, name: str, place: Path, scraped: str, more: str = "") -> None:
        labels, sends, _, relabelled = SERVERS[name]
        receives = self.alertmanager.address if sends else "127.0.0.1:9"
        text = CONFIG.format(labels=labels, alertmanager=receives, relabelled=relabelled, scraped=scraped,
                             more=more)  # fmt: skip
        (place / "prometheus.yml").write_text(text)

    def wait(self) -> None:
        """Until all rules were looked at, targets are up, and all alerts that are sent have arrived."""
        for server in self.servers.values():
            server.wait(partial(_reloaded, server), "its server")
        for server in self.servers.values():
            server.wait(partial(_target_is_up, server), "its target")
            server.wait(partial(_looked_at, server), "its rules")
        groups = "/api/v2/alerts/groups?filter=alertname%3DWatchdog"

        def there() -> bool:
            return sum(len(group["alerts"]) for group in self.alertmanager.ask(groups)) == ARRIVING

        self.alertmanager.wait(there, "dead man's alerts")

    def without_targets(self, name: str) -> None:
        """One scrapes nothing any more; what it scraped a moment ago is stored."""
        server = self.servers[name]
        self._configure(name, server.place, "")
        server.ask("/-/reload", "POST")
        server.wait(lambda: not server.ask("/api/v1/query?query=up")["data"]["result"], "the end of its target")

    @contextmanager
    def with_remote_store(self, name: str, port: int) -> Iterator[None]:
        """One also asks a store elsewhere for each series; the configuration is put back afterwards."""
        server = self.servers[name]
        self._configure(name, server.place, f'"{server.address}"', REMOTE.format(port=port))
        server.ask("/-/reload", "POST")
        try:
            yield
        finally:
            self._configure(name, server.place, f'"{server.address}"')
            server.ask("/-/reload", "POST")

    def judged(self, name: str, alerts: str = USUAL, extra: str = "", prometheus: str = "") -> dict[str, str]:
        """Check id -> outcome and reasons of what is not green, as the people of one cluster see it."""
        address = prometheus or self.servers[name].address
        told = alerts.format(alertmanager=self.alertmanager.address)
        project = Project.make(self.folder, TOML.format(prometheus=address, alerts=told, extra=extra), "")
        return colours(project, ("pre_deploy.monitoring.*", "smoke.metrics.*"), "r1")

    def stop(self) -> None:
        """Ends all of them."""
        for each in (*self.servers.values(), self.alertmanager):
            each.stop()


def _reloaded(server: Server) -> bool:
    return server.ask("/-/reload", "POST") is None


def _target_is_up(server: Server) -> bool:
    return bool(server.ask("/api/v1/query?query=up==1")["data"]["result"])


def _looked_at(server: Server) -> bool:
    groups = server.ask("/api/v1/rules")["data"]["groups"]
    return bool(groups) and all(rule["health"] != "unknown" for group in groups for rule in group["rules"])


@contextmanager
def clusters(place: Path) -> Iterator[Clusters]:
    """All servers, once they have said what they have to say."""
    started = Clusters(place)
    try:
        started.wait()
        yield started
    finally:
        started.stop()
