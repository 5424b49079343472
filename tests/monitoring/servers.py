"""A real Prometheus on loopback, scraping four times a second; ends by process id."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READY = 30  # seconds: one on an idle machine
EVERY = "250ms"  # between two scrapes, and two looks at the rules
PROMETHEUS = f"""\
global: {{scrape_interval: {EVERY}, scrape_timeout: {EVERY}, evaluation_interval: {EVERY}}}
scrape_configs:
  - job_name: shop
    honor_labels: true
    static_configs: [{{targets: ["%(exporter)s"]}}]
"""


class Server:
    """One program, and what it answers."""

    def __init__(self, place: Path, name: str, words: list[str]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        with (place / f"{name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*words, f"--web.listen-address={self.address}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._log = place / f"{name}.log"

    def get(self, path: str, method: str = "GET", body: bytes | None = None) -> Any:
        """The JSON of a path; None for an empty answer. Raises OSError for anything but 2xx."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{self.address}{path}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text[:1] in (b"{", b"[") else None

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


class Prometheus(Server):
    """Prometheus, scraping one exporter."""

    def __init__(self, place: Path, scraped: str) -> None:
        (place / "prometheus.yml").write_text(PROMETHEUS % {"exporter": scraped})
        words = ["--web.enable-lifecycle", "--log.level=warn", f"--storage.tsdb.path={place}/data"]
        super().__init__(place, "prometheus", ["prometheus", f"--config.file={place}/prometheus.yml", *words])

    def ask(self, query: str) -> list[Any]:
        """The elements of an instant vector."""
        found: list[Any] = self.get(f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")["data"]["result"]
        return found


def missing() -> list[str]:
    """The programs that are not here."""
    return [name for name in ("prometheus",) if shutil.which(name) is None]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def prometheus(place: Path, scraped: str) -> Iterator[Prometheus]:
    """One that has scraped long enough to tell a rate."""
    server = Prometheus(place, scraped)
    try:
        counted = 'sum(increase(http_requests_total{service="orders",revision="good"}[60s])) > 200'
        server.wait(lambda: server.ask(counted), "Prometheus")
        yield server
    finally:
        server.stop()
