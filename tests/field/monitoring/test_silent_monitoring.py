"""Monitoring that looks whole and would call nobody, on a real Prometheus, Alertmanager and Pushgateway."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.monitoring import alerts
from tests.evidence.http.servers import Answer, Seen, web
from tests.field.monitoring.clusters import ALERTS, ERRORS, QUIET, TOML, TWICE
from tests.field.monitoring.exporters import exporting
from tests.field.monitoring.test_reports import in_front
from tests.monitoring import servers
from tests.monitoring.judging import colours
from tests.monitoring.servers import Server
from tests.project import Project

PROMETHEUS = """\
global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
  evaluation_interval: 500ms
  external_labels: {{cluster: east}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs:
- {{job_name: alertmanager, static_configs: [{{targets: ["{alertmanager}"]}}]}}
- {{job_name: pushgateway, honor_labels: true, static_configs: [{{targets: ["{pushgateway}"]}}]}}
- {{job_name: shop, metrics_path: /shop, static_configs: [{{targets: ["{exporter}"]}}]}}
- {{job_name: seldom, scrape_interval: 2s, metrics_path: /seldom, static_configs: [{{targets: ["{exporter}"]}}]}}
- job_name: node
  static_configs:
  - {{targets: ["{exporter}"], labels: {{instance: hostname, __metrics_path__: /node-a, host: a}}}}
  - {{targets: ["{exporter}"], labels: {{instance: hostname, __metrics_path__: /node-b, host: b}}}}
- job_name: both
  metrics_path: /shop
  static_configs:
  - {{targets: ["127.0.0.1:9"], labels: {{cluster: east}}}}
  - {{targets: ["{exporter}"], labels: {{cluster: west}}}}
"""
RULES = f"""\
groups:
- name: all
  rules:
  - {{alert: Watchdog, expr: vector(1), labels: {{severity: none}}}}
  - {{alert: Paged, expr: 'vector(1) > 1', labels: &page {{severity: page}}}}
  - {{alert: Heating, expr: vector(1), labels: {{severity: page, team: "Zürich", unit: web-1}}}}
  - {{alert: Renamed, expr: 'rate(shop_eror_total[5m]) > 1', labels: *page}}
  - {{alert: Renamed-half, expr: 'rate(shop_eror_total[5m]) / rate(shop_requests_total[5m]) > 1', labels: *page}}
  - {{alert: Either, expr: 'shop_eror > 1e9 or shop_requests_total > 1e9', labels: *page}}
  - {{alert: NoBackup, expr: 'time() - backup_success_timestamp_seconds{{job="backup"}} > 1e9', labels: *page}}
  - {{alert: NoPush, expr: 'time() - backup_success_timestamp_seconds{{job="backups"}} > 1e9', labels: *page}}
  - {{record: 'slo:errors:ratio', expr: {TWICE}, labels: {{cluster: west}}}}
  - {{record: 'slo:errors:ratio', expr: vector(0.05), labels: {{cluster: east}}}}
"""
ALERTMANAGER = """\
route:
  receiver: chat
  group_wait: 10ms
  group_interval: 1s
  repeat_interval: 1s
  routes:
  - {{receiver: team-shop, matchers: [alertname="Watchdog"]}}
  - {{receiver: nobody, matchers: [alertname="Other"]}}
receivers:
- {{name: team-shop, webhook_configs: [{{url: "http://{exporter}/refused"}}]}}
- {{name: chat, slack_configs: [{{api_url: "http://{exporter}/taken", channel: shop}}]}}
- {{name: nobody}}
"""
def node(name: str, free: float) -> str:
    """What a node_exporter tells of a machine with that share of its disk left."""
    mount = 'device="/dev/sda",fstype="ext4",mountpoint="/"'
    space = [("size", 1.0), ("free", free), ("avail", free)]
    lines = [f"node_filesystem_{what}_bytes{{{mount}}} {share * 1e12}" for what, share in space]
    lines += [f"node_filesystem_{what}{{{mount}}} 1000" for what in ("files", "files_free")]
    return "\n".join([f'node_uname_info{{nodename="{name}"}} 1', *lines]) + "\n"


TEXTS = {
    "node-a": node("a", 0.5),
    "node-b": node("b", 0.01),
    "shop": "# TYPE shop_requests_total counter\nshop_requests_total {n}\n"
    "# TYPE shop_seconds histogram\n"
    'shop_seconds_bucket{le="1"} 0\nshop_seconds_bucket{le="5"} 0\nshop_seconds_bucket{le="+Inf"} {n}\n'
    "shop_seconds_sum {n}\nshop_seconds_count {n}\n"
    'even_seconds_bucket{le="1"} 0\neven_seconds_bucket{le="5"} {n}\neven_seconds_bucket{le="+Inf"} {n}\n'
    'fast_seconds_bucket{le="1"} {n}\nfast_seconds_bucket{le="5"} {n}\nfast_seconds_bucket{le="+Inf"} {n}\n',
    "seldom": "# TYPE seldom_errors_total counter\nseldom_errors_total {n}\n",
}


@dataclass
class Site:
    """The servers, and the project's folder."""

    prometheus: str
    alertmanager: str
    folder: Path
    server: Server

    def judged(
        self, alerts: str = 'required = ["Watchdog"]', extra: str = "", prometheus: str = "",
        checks: tuple[str, ...] = ("pre_deploy.monitoring.*", "smoke.metrics.*"),
    ) -> dict[str, str]:  # fmt: skip
        """Check id -> outcome and reasons of what is not green."""
        told = alerts.replace("ALERTMANAGER", f'alertmanager = "http://{self.alertmanager}"')
        text = TOML.format(prometheus=prometheus or self.prometheus, alerts=told, extra=extra)
        return colours(Project.make(self.folder, text, ""), checks, "r1", window=600)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    pytest.importorskip("yaml", reason="no PyYAML: pip install pyyaml")
    if lacking := servers.missing("prometheus-pushgateway"):
        pytest.skip(f"no {', '.join(lacking)}: apt-get install {' '.join(lacking)}")
    place, started = tmp_path_factory.mktemp("silent"), []
    with exporting(TEXTS) as exporter:
        try:
            (place / "alertmanager.yml").write_text(ALERTMANAGER.format(exporter=exporter))
            words = [f"--config.file={place}/alertmanager.yml", f"--storage.path={place}/silences"]
            words += ["--cluster.listen-address=", "--log.level=warn"]
            started.append(alertmanager := Server(place, ["prometheus-alertmanager", *words]))
            started.append(pushgateway := Server(place, ["prometheus-pushgateway", "--log.level=warn"]))
            (place / "rules.yml").write_text(RULES)
            text = PROMETHEUS.format(alertmanager=alertmanager.address, pushgateway=pushgateway.address,
                                     exporter=exporter)  # fmt: skip
            (place / "prometheus.yml").write_text(text)
            words = [f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data"]
            words += ["--log.level=warn", "--web.enable-lifecycle", "--rules.alert.resend-delay=1s"]
            started.append(prometheus := Server(place, ["prometheus", *words]))
            pushed = b"backup_success_timestamp_seconds 1.7e9\n"
            pushgateway.wait(lambda: pushgateway.put("/metrics/job/backup", pushed), "the Pushgateway")
            failed = 'increase(alertmanager_notifications_failed_total{integration="webhook"}[1h]) > 1'
            sent = 'increase(alertmanager_notifications_total{integration="slack"}[1h]) > 0'
            others = ("seldom_errors_total>2", "backup_success_timestamp_seconds", "slo:errors:ratio")
            for query in (failed, sent, *others):
                prometheus.wait(partial(prometheus.number, query), query)
            yield Site(prometheus.address, alertmanager.address, place, prometheus)
        finally:
            for each in started:
                each.stop()


@pytest.fixture
def site(running: Site, tmp_path: Path) -> Site:
    """Judged from a project of the test's own."""
    running.folder = tmp_path
    return running


def quiet(match: str, alertmanager: str = "ALERTMANAGER\n") -> str:
    told = 'required = ["Watchdog"]\njobs = ["shop"]\ndeadman = "Watchdog"\n'
    return f"{told}{alertmanager}quiet = {{ match = '{match}', for = \"1ms\" }}"


@pytest.mark.parametrize(
    "match", ['team="Zürich"', r'unit=~"web-\d"', r'unit=~"web-\\d"', 'team=~"Z.rich"', 'severity="page"']
)
def test_matchers_mean_what_alertmanager_takes_them_for(match: str, site: Site) -> None:
    r"""prometheus/alertmanager#3572, grafana/mcp-grafana#785: it takes `\d` as it is, and knows no `\u00fc`."""
    assert site.judged(quiet(match))[QUIET].startswith("failed")


@pytest.mark.parametrize(("cluster", "outcome"), [("east", "failed"), ("west", "passed")])
def test_external_labels_count_where_only_prometheus_is_asked(cluster: str, outcome: str, site: Site) -> None:
    """prometheus/prometheus#1437, thanos-io/thanos#7327: its own API tells alerts without them."""
    found = site.judged(quiet(f'severity="page",cluster="{cluster}"', ""))
    assert found.get(QUIET, "passed").startswith(outcome)


def test_a_match_that_no_rule_can_meet(site: Site) -> None:
    """That no such alert fires proves nothing; an Alertmanager may have alerts of others."""
    assert site.judged(quiet('severity="critcal"', ""))[QUIET].startswith("errored: ")
    assert site.judged(quiet('severity="critcal"'))[QUIET].startswith("warned: rules whose alerts can match")
    assert QUIET not in site.judged(quiet('severity="page",cluster="west"'))


def test_a_prometheus_that_sends_to_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a dead man's alert nothing else tells."""
    monkeypatch.setattr(alerts, "DISCOVERY", 0.01)

    def nobody(document: dict[str, Any]) -> None:
        if "activeAlertmanagers" in document["data"]:
            document["data"]["activeAlertmanagers"] = []

    told = 'required = ["Watchdog"]\njobs = ["shop"]\nreceivers = ["chat"]\nALERTMANAGER'
    assert "Alertmanagers" not in site.judged(told).get(ALERTS, "")
    with web(in_front(site.server, nobody)) as front:
        found = site.judged(told, prometheus=f"127.0.0.1:{front.port}")
    assert "Alertmanagers that Prometheus sends to: 0 is less than 1" in found[ALERTS]


def test_targets_of_another_cluster_are_not_ours(site: Site) -> None:
    """thanos-io/thanos#4812's neighbour: a querier has the `up` of all clusters, and ours is down."""
    told = 'required = ["Watchdog"]\njobs = ["both"]\n'
    assert site.judged(told)[ALERTS].startswith("warned: targets that are down")
    found = site.judged(told + "labels = 'cluster=\"east\"'")[ALERTS]
    assert found.startswith("failed")
    assert "targets that are up of job both: 0" in found


METRIC = """
[environments.live.metrics.errors]
query = '''{query}'''
samples = 'sum(count_over_time(up{{job="shop"}}[{{window}}]))'
min_samples = 1
at_most = {at_most}
any_revision = true
{more}
"""


def metric(site: Site, query: str, at_most: object, more: str = "", alerts: str = 'required = ["Watchdog"]') -> str:
    text = METRIC.format(query=query, at_most=at_most, more=more)
    return site.judged(alerts, text).get(ERRORS, "passed")


def test_a_recording_rule_of_another_cluster_that_fails_is_not_ours(site: Site) -> None:
    query, ours = 'slo:errors:ratio{cluster="east"}', "\nlabels = 'cluster=\"east\"'"
    assert metric(site, query, 0.1).startswith("errored")
    assert metric(site, query, 0.1, alerts='required = ["Watchdog"]' + ours) == "passed"


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ("sum(rate(seldom_errors_total[1s])) or vector(0)", ""),
        ("sum(rate(seldom_errors_total[1s]))", "empty_numerator = 0"),
        ("sum(increase(seldom_errors_total[1s])) / sum(increase(shop_requests_total[1s]))", "empty_numerator = 0"),
    ],
)
def test_a_range_of_less_than_two_scrapes_is_no_zero(query: str, more: str, site: Site) -> None:
    """prometheus/prometheus#8001, #16795: a rate needs two samples, and nothing reads like no errors."""
    found = metric(site, query, 0.1, more)
    assert found.startswith("errored")
    assert "seldom_errors_total[1s]) has fewer than two samples" in found


def test_a_range_of_two_scrapes_counts(site: Site) -> None:
    assert metric(site, "sum(rate(seldom_errors_total[1m])) or vector(0)", 0.001).startswith("failed")
    assert metric(site, "sum(rate(seldom_errors_total[1m])) or vector(0)", 100) == "passed"


@pytest.mark.parametrize(("at_most", "outcome"), [("10", "errored"), ('"5s"', "errored"), ('"2s"', "failed")])
def test_a_quantile_above_the_largest_bucket(at_most: str, outcome: str, site: Site) -> None:
    """prometheus/prometheus#13020, kubernetes/kubernetes#89691: histogram_quantile gives its bound."""
    query = "histogram_quantile(0.99, sum by (le) (rate(shop_seconds_bucket[1m])))"
    assert metric(site, query, at_most).startswith(outcome)
    assert metric(site, query.replace("shop_", "fast_"), at_most) == "passed"
    even = query.replace("shop_", "even_").replace("0.99", "1").replace("bucket[", 'bucket{job="shop"}[')
    expected = "passed" if outcome == "errored" else "failed: value: 5 s is more than 2 s ("
    assert metric(site, even, at_most).startswith(expected)


@pytest.mark.parametrize(
    ("rule", "lacks"), [("Renamed", True), ("Renamed-half", True), ("Either", False), ("NoBackup", False)]
)
def test_a_rule_whose_series_are_not_there(rule: str, lacks: bool, site: Site) -> None:
    """samber/awesome-prometheus-alerts#66, prometheus/pushgateway#539: it never fires; a pushed job has no `up`."""
    jobs = "" if rule == "NoBackup" else '\njobs = ["shop"]'
    found = site.judged(f'required = ["{rule}"]{jobs}').get(ALERTS, "passed")
    assert found.startswith("warned")
    assert (f"its series exist of {rule}" in found, "no series of shop_eror" in found) == (lacks, lacks)
    assert "targets that are up" not in found


def test_a_pushed_job_that_nobody_pushes(site: Site) -> None:
    found = site.judged('required = ["NoPush"]')[ALERTS]
    assert found.startswith("failed")
    assert "targets that are up of job backups: 0 is less than 1" in found


@pytest.mark.parametrize(
    ("receiver", "outcome", "words"),
    [
        ("team-shop", "failed", "notifications that failed of webhook"),
        ("chat", "warned", "notifications that failed of webhook"),
        ("nobody", "failed", "it has no integration in Alertmanager"),
    ],
)
def test_a_receiver_that_calls_nobody(receiver: str, outcome: str, words: str, site: Site) -> None:
    """ministryofjustice/cloud-platform#3541: its webhook is gone; or it has no integration."""
    found = site.judged(f'required = ["Watchdog"]\njobs = ["shop"]\nreceivers = ["{receiver}"]\nALERTMANAGER')[ALERTS]
    assert found.startswith(outcome)
    assert words in found


def test_a_silence_that_every_alert_of_a_rule_meets(site: Site) -> None:
    """prometheus/alertmanager#1639, #3457: it was forgotten; one that only some of its alerts meet is no matter."""
    told = 'required = ["Paged"]\njobs = ["shop"]\nreceivers = ["chat"]\nALERTMANAGER'
    severity = {"name": "severity", "value": "pa.*", "isRegex": True, "isEqual": True}
    for name, is_whole in (("instance", False), ("alertname", True)):
        silence_in(site.alertmanager, [{"name": name, "value": "Paged", "isRegex": False, "isEqual": True}, severity])
        assert ("it is not silenced of Paged" in site.judged(told)[ALERTS]) == is_whole


def test_a_configuration_that_prometheus_refused(site: Site) -> None:
    """prometheus/prometheus#814, #2242: it runs with the one before, and nothing new in its files is in force."""
    file, told = site.server.place / "prometheus.yml", 'required = ["Watchdog"]\njobs = ["shop"]'
    before = file.read_text()
    assert "configuration is loaded" not in site.judged(told)[ALERTS]
    try:
        file.write_text(before + "scrape_configs: []\n")
        with pytest.raises(OSError, match="500"):
            site.server.ask("/-/reload", "POST")
        assert "configuration is loaded" in site.judged(told)[ALERTS]
    finally:
        file.write_text(before)
        site.server.ask("/-/reload", "POST")
        path = "/api/v1/alertmanagers"
        site.server.wait(lambda: site.server.ask(path)["data"]["activeAlertmanagers"], "the Alertmanager")


def test_peers_behind_one_address(site: Site, tmp_path: Path) -> None:
    """prometheus/alertmanager#2023, #2198, #4249: one peer got the alerts, and each request may reach the other one."""
    with peers(tmp_path) as (first, second):
        now = [{"labels": {"alertname": name, "severity": severity, "cluster": "east"}}
               for name, severity in (("Watchdog", "none"), ("Down", "page"))]  # fmt: skip
        first.ask("/api/v2/alerts", "POST", now)
        for other, outcome in ((second, "errored"), (first, "failed")):
            to_first, to_other = in_front(first, lambda _: None), in_front(other, lambda _: None)

            def answer(seen: Seen, to_first: Any = to_first, to_other: Any = to_other) -> Answer:
                return (to_other if seen.path.partition("?")[0] == "/api/v2/alerts" else to_first)(seen)  # type: ignore[no-any-return]

            with web(answer) as front:
                found = site.judged(quiet('severity="page"', f'alertmanager = "http://127.0.0.1:{front.port}"\n'))
            assert found[QUIET].startswith(outcome)
            assert "Prometheus sends to 1 of 2 Alertmanagers" in found[ALERTS]


@pytest.mark.parametrize(("host", "outcome"), [("", "errored"), (',host="a"', "passed"), (',host="b"', "failed")])
def test_machines_that_share_an_instance(host: str, outcome: str, site: Site) -> None:
    """grafana/agent#1779: a relabelling gives each the same; the full disk of one hides behind the other's."""
    hosts = f"\n[environments.live.hosts.web]\nsource = \"prometheus\"\nmatch = 'job=\"node\"{host}'\n"
    found = site.judged(extra=hosts, checks=("pre_deploy.resources.disk",))
    assert found.get("pre_deploy.resources.disk", "passed").startswith(outcome)


def silence_in(alertmanager: str, matchers: list[dict[str, Any]]) -> None:
    times = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + each)) for each in (-5, 600))
    silence = dict(zip(("startsAt", "endsAt"), times, strict=True))
    body = json.dumps({"matchers": matchers, "createdBy": "test", "comment": "works", **silence}).encode()
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{alertmanager}/api/v2/silences", body, kind)
    urllib.request.urlopen(request, timeout=10).close()


@contextmanager
def peers(place: Path) -> Iterator[tuple[Server, Server]]:
    """A cluster of two."""
    (place / "alertmanager.yml").write_text("route: {receiver: a}\nreceivers: [{name: a}]\n")
    started: list[Server] = []
    gossip = [f"127.0.0.1:{servers.free_port()}" for _ in range(2)]
    try:
        for number, address in enumerate(gossip):
            words = [f"--config.file={place}/alertmanager.yml", f"--storage.path={place}/{number}", "--log.level=warn"]
            words += [f"--cluster.listen-address={address}", f"--cluster.peer={gossip[0]}"]
            started.append(Server(place, ["prometheus-alertmanager", *words]))
        for each in started:
            each.wait(partial(_has_two_peers, each), "a cluster of two")
        yield started[0], started[1]
    finally:
        for each in started:
            each.stop()


def _has_two_peers(server: Server) -> bool:
    return len(server.ask("/api/v2/status")["cluster"]["peers"]) == 2
