"""What caches, compressed files and streams make of a service: HAProxy, nginx and Node."""

from __future__ import annotations

import gzip
import time
import urllib.request
from pathlib import Path

import pytest

from pytest_prodcheck.evidence.http.freshness import cached
from tests.evidence.http.servers import web
from tests.field.web.support import folder_for_nginx, free_port, judged, outcomes, program, python, running

SHOP = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b'{"revision":"rev-2"}' if self.path == "/version.json" else b'{"status":"ok"}'
        self.send_response(200)
        for name, value in (("Content-Type", "application/json"), ("Cache-Control", "max-age=3600")):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
HAPROXY = """
global
  maxconn 200
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
cache small
  total-max-size 4
  max-age 3600
frontend edge
  bind 127.0.0.1:{edge}
  http-request cache-use small
  http-response cache-store small
  default_backend shop
backend shop
  server one 127.0.0.1:{shop}
"""


def service(port: int, *more: str) -> str:
    lines = ["[environments.t.services.shop]", f'url = "http://127.0.0.1:{port}"', 'health = "/healthz"',
             'version = { path = "/version.json", pointer = "/revision", connections = 6 }', *more]  # fmt: skip
    return "\n".join(lines)


def test_health_and_version_from_a_cache_are_no_evidence(tmp_path: Path) -> None:
    """The origin is gone, and HAProxy answers with an Age (RFC 9111, 5.1): nothing is known of now."""
    edge, shop = free_port(), free_port()
    (tmp_path / "haproxy.cfg").write_text(HAPROXY.format(edge=edge, shop=shop), encoding="utf-8")
    select = ["smoke.service.health", "smoke.service.version", "smoke.service.latency"]
    with running([program("haproxy"), "-f", "haproxy.cfg", "-db"], edge, tmp_path):
        with running(python(SHOP, tmp_path, str(shop)), shop, tmp_path):
            for path in ("healthz", "version.json"):
                with urllib.request.urlopen(f"http://127.0.0.1:{edge}/{path}") as answer:  # a visitor, an hour ago
                    answer.read()
        time.sleep(1.1)  # an Age of 1
        dead = judged(tmp_path, service(edge), select, "--revision", "rev-2")
    assert "passed" not in outcomes(dead).values(), dead


@pytest.mark.parametrize(
    ("field", "value", "from_a_cache"),
    [
        # EasyEngine#405, wappalyzer#2471, trellis#1642: nginx, add_header … $upstream_cache_status
        ("X-FastCGI-Cache", "HIT", True), ("X-Fastcgi-Cache", "STALE", True), ("X-FastCGI-Cache", "MISS", False),
        ("X-FastCGI-Cache", "BYPASS", False), ("X-FastCGI-Cache", "EXPIRED", False),
        ("X-Kinsta-Cache", "HIT", True), ("CDN-Cache", "HIT", True), ("X-SRCache-Status", "HIT", True),
        ("X-Magento-Cache-Debug", "HIT", True), ("X-Magento-Cache-Debug", "MISS", False),
        ("X-Rack-Cache", "fresh", True), ("X-Rack-Cache", "miss, store", False), ("X-Rack-Cache", "pass", False),
        ("X-Symfony-Cache", "GET /healthz: fresh", True),
        ("X-Symfony-Cache", "GET /healthz: stale, valid, store", False),
        ("Cache-Control", "hit=1", False), ("X-Cache-Key", "HIT/healthz", False), ("X-Cached-By", "HIT Ltd.", False),
        ("X-Cache", "RefreshHit from cloudfront", False),  # the origin was asked
    ],
)  # fmt: skip
def test_fields_that_people_name_themselves(field: str, value: str, from_a_cache: bool) -> None:
    assert bool(cached([(field, value)])) is from_a_cache


def test_a_stale_compressed_file_beside_a_new_one(tmp_path: Path) -> None:
    """Every browser asks with gzip and is given rev-1; Chromium shows it."""
    port, files = free_port(), folder_for_nginx(tmp_path) / "www"
    files.mkdir()
    names = {
        "version.json": '{{"revision":"rev-{}"}}',
        "index.html": "<!doctype html><title>Shop</title><p>release rev-{}",
    }
    for name, text in names.items():
        (files / name).write_text(text.format(2), encoding="utf-8")
        (files / f"{name}.gz").write_bytes(gzip.compress(text.format(1).encode()))
    (tmp_path / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {tmp_path}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off; types {{ text/html html; application/json json; }}
  client_body_temp_path {tmp_path}/a; proxy_temp_path {tmp_path}/b; fastcgi_temp_path {tmp_path}/c;
  uwsgi_temp_path {tmp_path}/d; scgi_temp_path {tmp_path}/e;
  server {{ listen 127.0.0.1:{port}; root {files}; gzip_static on;
    location = /healthz {{ default_type application/json; return 200 '{{"status":"ok"}}'; }} }}
}}
""",
        encoding="utf-8",
    )
    home = 'endpoints.home = { request = "GET /index.html", status = 200, contains = "release rev-2" }'
    select = ["smoke.service.version", "smoke.api.endpoint"]
    with running([program("nginx"), "-p", str(tmp_path), "-c", "nginx.conf"], port, tmp_path):
        found = judged(tmp_path, service(port, home), select, "--revision", "rev-2")
        for name in names:
            (files / f"{name}.gz").write_bytes(gzip.compress((files / name).read_bytes()))
        mended = judged(tmp_path, service(port, home), select, "--revision", "rev-2")
    assert set(outcomes(found).values()) == {"failed"}, found
    assert "precompressed file older than the original" in found["smoke.service.version", "shop"]["reason"]
    assert set(outcomes(mended).values()) == {"passed"}, mended


STREAM = """
require('http').createServer((request, answer) => {
  const quiet = request.url === '/quiet';
  if (quiet || request.url === '/events') {
    answer.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    if (quiet) { answer.flushHeaders(); return; }
    answer.write('event: ready\\ndata: {"ok":true}\\n\\n');
    const timer = setInterval(() => answer.write(': ping\\n\\n'), 500);
    request.on('close', () => clearInterval(timer));
    return;
  }
  answer.setHeader('content-type', 'application/json'); answer.end('{"status":"ok"}');
}).listen(+process.argv[2], '127.0.0.1');
"""


def test_a_stream_is_judged_by_its_head_and_first_event(tmp_path: Path) -> None:
    """One that is quiet, too: its head is all there is."""
    port = free_port()
    (tmp_path / "server.js").write_text(STREAM, encoding="utf-8")
    toml = f"""[environments.t.services.shop]
url = "http://127.0.0.1:{port}"
timeout = "3s"
[environments.t.services.shop.endpoints]
events = {{ request = "GET /events", status = 200, content_type = "text/event-stream", contains = "event: ready" }}
quiet = {{ request = "GET /quiet", status = 200, content_type = "text/event-stream" }}
other = {{ request = "GET /events", status = 200, contains = "event: other" }}
"""
    with running([program("node"), "server.js", str(port)], port, tmp_path):
        told = outcomes(judged(tmp_path, toml, ["smoke.api.endpoint"]))
    assert told == {
        "smoke.api.endpoint shop.events": "passed",
        "smoke.api.endpoint shop.quiet": "passed",
        "smoke.api.endpoint shop.other": "failed",
    }


@pytest.mark.parametrize(
    "field",
    [("X-Vercel-Cache", "HIT"), ("X-Cache", "Hit from cloudfront"), ("Cache-Status", "edge; hit"), ("Age", "17"), None],
)
def test_a_cache_tells_by_its_fields(field: tuple[str, str] | None, tmp_path: Path) -> None:
    fields = {"Content-Type": "application/json", "X-Cache": "Miss from cloudfront", "Age": "0"}
    with web(lambda seen: (200, {**fields, **dict([field] if field else [])}, b'{"status":"ok"}')) as server:
        found = judged(tmp_path, service(server.port), ["smoke.service.health"])
    assert found["smoke.service.health", "shop"]["outcome"] == ("errored" if field else "passed")


def test_degraded_in_plain_text_warns(tmp_path: Path) -> None:
    """ASP.NET Core's default writer: one word, text/plain, 200."""
    with web(lambda seen: (200, {"Content-Type": "text/plain"}, b"Degraded")) as server:
        found = judged(tmp_path, service(server.port), ["smoke.service.health"])
    assert found["smoke.service.health", "shop"]["outcome"] == "warned"
    assert 'it says "degraded"' in found["smoke.service.health", "shop"]["reason"]
