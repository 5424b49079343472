"""A real Prometheus and a real Alertmanager on loopback, looking twice a second; they end by process id."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.monitoring.exporter import MACHINES

READY = 60  # seconds: two on an idle machine
EVERY = "500ms"  # between two scrapes, and two looks at the rules
PROGRAMS = ("prometheus", "prometheus-alertmanager")
PROMETHEUS = f"""\
global: {{scrape_interval: {EVERY}, scrape_timeout: {EVERY}, evaluation_interval: {EVERY}}}
rule_files: [rules.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["%(alertmanager)s"]}}]}}]
scrape_configs:
  - job_name: shop
    honor_labels: true
    static_configs: [{{targets: ["%(exporter)s"]}}]
  - job_name: worker
    metrics_path: /worker
    static_configs: [{{targets: ["%(exporter)s"]}}]
  - job_name: dead
    metrics_path: /dead
    static_configs: [{{targets: ["%(exporter)s"]}}]
  - job_name: node
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs:
"""
NODE = """\
      - targets: ["%(exporter)s"]
        labels: {__metrics_path__: /node/%(name)s, instance: %(name)s, role: %(role)s}
"""
RULES = """\
groups:
  - name: watchdog
    rules:
      - {alert: Watchdog, expr: vector(1), labels: {severity: none}}
  - name: shop
    rules:
      - {alert: ShopDown, expr: 'shop_down == 1', labels: {namespace: shop}}
      - {alert: WorkerDown, expr: 'up{job="worker"} == 0', for: 1h, labels: {severity: warning, namespace: shop}}
      - {alert: Maintenance, expr: 'shop_maintenance == 1', labels: {severity: none}}
"""
ALERTMANAGER = """\
route: {receiver: team-shop, group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}
receivers:
  - {name: team-shop, webhook_configs: [{url: "http://%(exporter)s/"}]}
  - {name: escalation, webhook_configs: [{url: "http://%(exporter)s/"}]}
inhibit_rules:
  - {source_matchers: [alertname="Maintenance"], target_matchers: [namespace="shop"]}
"""


class Server:
    """One program, and what it answers."""

    def __init__(self, place: Path, words: list[str]) -> None:
        self.place, self.address = place, f"127.0.0.1:{free_port()}"
        self._log = place / f"{words[0]}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*words, f"--web.listen-address={self.address}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """The JSON of a path; None for another answer. Raises OSError for anything but 2xx."""
        content = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{self.address}{path}", content, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text[:1] in (b"{", b"[") else None

    def number(self, query: str) -> list[Any]:
        """The elements of an instant vector that a Prometheus answers."""
        found: list[Any] = self.ask(f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")["data"]["result"]
        return found

    def put(self, path: str, content: bytes) -> bool:
        """Sends a body as it is; raises OSError for anything but 2xx."""
        request = urllib.request.Request(f"http://{self.address}{path}", content, method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            return True

    def configure(self, name: str, text: str) -> None:
        """Writes one of its files anew and has it read, where that changes anything."""
        file = self.place / name
        if file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            self.ask("/-/reload", "POST")

    def wait(self, good: Callable[[], object], what: str) -> None:
        """Waits until something is so; raises RuntimeError."""
        end = time.monotonic() + READY
        while time.monotonic() < end:
            try:
                if good():
                    return
            except OSError:
                pass
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"{what} did not come: {self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Ends it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)


class Watch:
    """Both of them, watching one exporter."""

    def __init__(self, place: Path, scraped: str) -> None:
        self.alertmanager_file = ALERTMANAGER % {"exporter": scraped}
        (place / "alertmanager.yml").write_text(self.alertmanager_file)
        words = ["--cluster.listen-address=", "--log.level=warn", f"--storage.path={place}/silences"]
        file = f"--config.file={place}/alertmanager.yml"
        self.alertmanager = Server(place, ["prometheus-alertmanager", file, *words])
        self.prometheus_file = PROMETHEUS % {"exporter": scraped, "alertmanager": self.alertmanager.address}
        for name in MACHINES:
            self.prometheus_file += NODE % {"exporter": scraped, "name": name, "role": name.partition("-")[0]}
        (place / "prometheus.yml").write_text(self.prometheus_file)
        (place / "rules.yml").write_text(RULES)
        # an alert that is not sent again is over after four times this
        words = ["--web.enable-lifecycle", "--log.level=warn", "--rules.alert.resend-delay=1s"]
        words += [f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data"]
        self.prometheus = Server(place, ["prometheus", *words])

    def number(self, query: str) -> list[Any]:
        """The elements of an instant vector."""
        return self.prometheus.number(query)

    def rules(self, health: str) -> set[str]:
        """The names of the alerting rules of one health."""
        groups = self.prometheus.ask("/api/v1/rules?type=alert")["data"]["groups"]
        return {rule["name"] for group in groups for rule in group["rules"] if rule["health"] == health}

    def alerts(self, state: str = "active") -> set[str]:
        """The names of Alertmanager's alerts in a state."""
        return {each["labels"]["alertname"] for each in self.alertmanager.ask("/api/v2/alerts")
                if each["status"]["state"] == state}  # fmt: skip

    def heal(self) -> None:
        """All files and silences as in the beginning, and nothing fires but the dead man's alert."""
        self.prometheus.configure("prometheus.yml", self.prometheus_file)
        self.prometheus.configure("rules.yml", RULES)
        self.alertmanager.configure("alertmanager.yml", self.alertmanager_file)
        for silence in self.alertmanager.ask("/api/v2/silences"):
            if silence["status"]["state"] != "expired":
                self.alertmanager.ask(f"/api/v2/silence/{silence['id']}", "DELETE")
        self.prometheus.wait(lambda: len(self.rules("ok")) == 4, "rules")
        self.prometheus.wait(lambda: len(self.number('up{job=~"shop|worker"} == 1')) == 2, "targets")
        self.alertmanager.wait(
            lambda: (self.alerts(), self.alerts("suppressed"), self.alerts("unprocessed"))
            == ({"Watchdog"}, set(), set()), "quiet",
        )  # fmt: skip

    def stop(self) -> None:
        """Ends both."""
        self.prometheus.stop()
        self.alertmanager.stop()


def missing(*more: str) -> list[str]:
    """The programs that are not here, further ones among them; each is named as the package that brings it."""
    return [name for name in (*PROGRAMS, *more) if shutil.which(name) is None]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def watch(place: Path, scraped: str) -> Iterator[Watch]:
    """Both, once they have seen enough to tell a rate."""
    servers = Watch(place, scraped)
    try:
        counted = 'sum(increase(http_requests_total{service="orders",revision="good"}[60s])) > 200'
        servers.prometheus.wait(lambda: servers.number(counted), "Prometheus")
        servers.heal()
        seen = "count(rate(node_cpu_seconds_total[5m]) > 0)"
        servers.prometheus.wait(lambda: servers.number(seen), "hosts")
        yield servers
    finally:
        servers.stop()
