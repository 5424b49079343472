"""Counters that begin anew and series that a pair of servers wrote twice, on a real Prometheus."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.field.monitoring.clusters import ERRORS
from tests.monitoring import servers
from tests.monitoring.judging import colours
from tests.project import Project

CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- {{job_name: alone, metrics_path: /alone, static_configs: [{{targets: ["{at}"], labels: {{instance: a}}}}]}}
- job_name: pair
  metrics_path: /pair
  static_configs:
  - {{targets: ["{at}"], labels: {{instance: a, prometheus_replica: p-0}}}}
  - {{targets: ["{at}"], labels: {{instance: a, prometheus_replica: p-1}}}}
- job_name: twins
  metrics_path: /twins
  static_configs:
  - {{targets: ["{at}"], labels: {{instance: a, replica: p-0}}}}
  - {{targets: ["{at}"], labels: {{instance: a, replica: p-1}}}}
"""
TOML = """\
version = 1
project = "shop"
[environments.live]
revision = "r1"
[environments.live.prometheus]
url = "http://{prometheus}"
[environments.live.metrics.errors]
query = '''{query}'''
samples = '''{samples}'''
min_samples = 1
at_most = {at_most}
any_revision = true
[gates.bug]
select = ["smoke.metrics.*"]
"""
SCRAPES = 'count_over_time(up{job="alone"}[{window}])'
BEFORE = """\
# TYPE born_total counter
# TYPE errors_total counter
errors_total 1000
left_total{pod="a"} 1000
left_total{pod="b"} 1
steady_total 5
# TYPE queue_count gauge
queue_count 9
# TYPE stock_total gauge
stock_total 9
lag_seconds{replica="x"} 1
lag_seconds{replica="y"} 2
"""
AFTER = "\n".join(line for line in BEFORE.splitlines() if 'pod="a"' not in line).replace("1000", "3").replace("9", "1")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus, after the target was restarted."""
    if "prometheus" in servers.missing():
        pytest.skip("no prometheus: apt-get install prometheus")
    told, began = [BEFORE], time.monotonic()

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            counted = f"{self.path.strip('/')}_total {1000 + 100 * (time.monotonic() - began)}\n"
            content = (told[0] + "\n" if self.path == "/alone" else counted).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    exporter = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    exporter.daemon_threads = True
    threading.Thread(target=exporter.serve_forever, args=(0.05,), daemon=True).start()
    place = tmp_path_factory.mktemp("counters")
    (place / "prometheus.yml").write_text(CONFIG.format(at=f"127.0.0.1:{exporter.server_address[1]}"))
    words = [f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data", "--log.level=warn"]
    server = servers.Server(place, ["prometheus", *words])
    try:
        three = "count(count_over_time({__name__=~%22errors_total|pair_total|twins_total%22}[1m])%3E2)"
        server.wait(lambda: _count(server, three) == 5, "its counters")
        told[0] = AFTER
        server.wait(lambda: _count(server, "resets(errors_total[1m])%3E0") == 1, "the restart")
        yield server.address
    finally:
        server.stop()
        exporter.shutdown()
        exporter.server_close()


def _count(server: servers.Server, query: str) -> float:
    found = server.ask(f"/api/v1/query?query={query}")["data"]["result"]
    return float(found[0]["value"][1]) if found else 0


def judged(
    folder: Path, address: str, query: str, samples: str = SCRAPES, at_most: float = 100, more: str = ""
) -> str:  # fmt: skip
    text = TOML.format(prometheus=address, query=query, samples=samples, at_most=at_most)
    text = text.replace("any_revision = true", f"any_revision = true\n{more}")
    return colours(Project.make(folder, text, ""), ("smoke.metrics.*",), "r1", window=600).get(ERRORS, "passed")


@pytest.mark.parametrize(
    "query",
    [
        "sum(errors_total)",
        "errors_total",
        "delta(errors_total[{window}])",
        "idelta(errors_total[{window}])",
        "deriv(errors_total[{window}])",
        "(sum(errors_total) or vector(0)) - (sum(errors_total offset 3s) or vector(0))",
        '{__name__="errors_total"}',
        "sum(left_total)",
    ],
)
def test_a_counter_that_began_anew_is_no_small_number(query: str, address: str, tmp_path: Path) -> None:
    """grafana/synthetic-monitoring-app#446, django-commons/django-prometheus#314, 2i2c-org/infrastructure#6738."""
    found = judged(tmp_path, address, query)
    assert found.startswith("errored")
    assert "was reset" in found


@pytest.mark.parametrize(
    ("query", "at_most", "outcome"),
    [
        ("sum(increase(errors_total[{window}]))", 100, "passed"),
        ("sum(increase(errors_total[{window}]))", 0.5, "failed"),
        ("sum(rate(errors_total[{window}]))", 100, "passed"),
        ("resets(errors_total[{window}])", 0, "failed"),
        ("sum(steady_total)", 100, "passed"),
        ("sum(steady_total)", 1, "failed"),
        ("sum(queue_count)", 100, "passed"),
        ("sum(stock_total)", 100, "passed"),  # a gauge, as its exporter says
    ],
)
def test_what_sees_that_it_began_anew(query: str, at_most: float, outcome: str, address: str, tmp_path: Path) -> None:
    """prometheus/prometheus#1892: an increase counts from 0 after it."""
    assert judged(tmp_path, address, query, at_most=at_most).startswith(outcome)


@pytest.mark.parametrize(("name", "label"), [("pair", "prometheus_replica"), ("twins", "replica")])
def test_series_of_a_pair_are_not_added_up(name: str, label: str, address: str, tmp_path: Path) -> None:
    """prometheus/prometheus#7123, skyhook-io/radar#1734, prometheus-operator/prometheus-operator#5274."""
    increase = f"increase({name}_total[{{window}}])"
    once = f"sum(max without ({label}) ({increase}))"
    for query, samples in ((f"sum({increase})", once), ("vector(1)", f"sum({increase})")):
        found = judged(tmp_path, address, query, samples, 1e9)
        assert found.startswith("errored")
        assert f"differ only in the label {label}" in found
    assert judged(tmp_path, address, once, once, 1e9) == "passed"
    assert judged(tmp_path, address, f"max({increase})", once, 1e9) == "passed"
    found = judged(tmp_path, address, increase, once, 1e9)
    assert found.startswith("errored")
    assert f"max without ({label})" in found


def test_replicas_of_an_application_are_no_pair(address: str, tmp_path: Path) -> None:
    assert judged(tmp_path, address, "sum(lag_seconds)") == "passed"


@pytest.mark.parametrize(
    ("query", "lacks"),
    [
        ("sum(increase(eror_total[{window}])) or vector(0)", "no series of eror_total"),
        ("(sum(increase(errors_total[{window}])) or vector(0)) + (sum(eror) or on() vector(0))", "no series of eror"),
        ('sum(increase(left_total{pot="a"}[{window}])) or vector(0)', 'has the labels {pot!=""}'),
        ('count(up{job="shop"} == 0) or vector(0)', 'has the labels {job="shop"}'),
        ("scalar(sum(eror)) > bool 5", "no series of eror"),
        ("sum(slo:eror:ratio5m) or vector(0)", "no series of slo:eror:ratio5m"),
    ],
)
def test_a_number_of_nothing_is_no_zero(query: str, lacks: str, address: str, tmp_path: Path) -> None:
    """grafana/loki#2337, kubernetes-sigs/kubernetes-mixin#416: a name that is wrong reads like no error at all."""
    found = judged(tmp_path, address, query)
    assert found.startswith("errored")
    assert lacks in found


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ('sum(increase(left_total{pod="none"}[{window}])) or vector(0)', ""),  # the metric is there, and no such series
        ('count(up{job="alone"} == 0) or vector(0)', ""),
        ("sum(increase(born_total[{window}])) or vector(0)", ""),  # its exporter tells of it, without series yet
        ("sum(eror) or sum(queue_count)", ""),  # an old name and a new one
        ('sum(ALERTS{alertname="ShopDown"}) or vector(0)', ""),
        ("absent(up) or vector(0)", ""),
        ("sum(increase(eror_total[{window}])) or vector(0)", "empty_numerator = 0"),  # declared
        ("sum(increase(eror_total[{window}]))", "empty_numerator = 0"),
    ],
)
def test_a_zero_of_what_is_known_counts(query: str, more: str, address: str, tmp_path: Path) -> None:
    """kubernetes/autoscaler#1390, argoproj/argo-rollouts#3503: a counter that comes with the first error."""
    assert judged(tmp_path, address, query, more=more) == "passed"
