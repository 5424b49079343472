"""A Prometheus that scrapes what a test says, and judging by it; it ends by process id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.monitoring.exporter import serving


@contextmanager
def exporting(texts: Mapping[str, str]) -> Iterator[str]:
    """The address of an exporter: path -> what it says there, counters (`{n}`) going up with each scrape."""
    scrapes = dict.fromkeys(texts, 0)

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            scrapes[name] += 1
            content = texts[name].replace("{n}", str(scrapes[name])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            """Takes what is sent to it, or refuses it for good."""
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(400 if self.path == "/refused" else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with serving(Exporter) as address:
        yield address
