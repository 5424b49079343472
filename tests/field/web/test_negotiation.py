"""What browsers negotiate: HTTP/2 of nginx, HAProxy and Node beside HTTP/1.1, compressed beside plain answers."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pytest

from tests.evidence.http.servers import Answer, Seen, web
from tests.field.web.support import Results, certify, folder_for_nginx, free_port, judged, program, running

CHECK = ("smoke.service.negotiation", "shop")
NODE = """
const fs = require('fs'), pem = fs.readFileSync(process.argv[3]), kind = process.argv[4];
const options = { key: pem, cert: pem, allowHTTP1: kind !== 'alone' };
const h2 = require('http2').createSecureServer(options, (request, answer) => {
  const over2 = request.httpVersion === '2.0';
  if (kind === 'gone' && over2 && request.url === '/page') { answer.statusCode = 421; return answer.end(); }
  if (kind === 'reset' && over2 && request.url === '/page') return request.stream.close(2);
  answer.setHeader('content-type', request.url === '/page' ? 'text/html' : 'application/json');
  if (kind === 'h3') answer.setHeader('alt-svc', 'h3=":443"; ma=86400');
  const revision = kind === 'old' && over2 ? 'rev-1' : 'rev-2';
  answer.end(request.url === '/page' ? `<p>release ${revision}` : JSON.stringify({ status: 'ok', revision }));
});
h2.listen(+process.argv[2], '127.0.0.1');
"""
ORIGIN = """
require('http').createServer((request, answer) => {
  answer.setHeader('content-type', request.url === '/page' ? 'text/html' : 'application/json');
  if (process.argv[3] === 'upgrade') answer.setHeader('upgrade', 'h2,h2c');
  answer.end(request.url === '/page' ? '<p>release rev-2' : '{"status":"ok","revision":"rev-2"}');
}).listen(+process.argv[2], '127.0.0.1');
"""
HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend edge
  bind 127.0.0.1:{edge} ssl crt {leaf} alpn h2,http/1.1
  default_backend shop
backend shop
  server one 127.0.0.1:{origin}
"""
NGINX = """daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{edge} ssl http2; ssl_certificate {leaf}; ssl_certificate_key {leaf};
    location / {{ proxy_pass http://127.0.0.1:{origin}; }} }}
}}
"""


def shop(url: str, folder: Path, more: str = "") -> dict[str, Any]:
    """The result of the check."""
    found: Results = judged(
        folder,
        f"""[environments.t.services.shop]
url = "{url}"
{more}
health = "/healthz"
version = {{ path = "/version", pointer = "/revision" }}
endpoints.page = {{ request = "GET /page", status = 200, contains = "release rev-2" }}
""",
        [CHECK[0]],
    )
    return found[CHECK]


def over_tls(port: int, ca: str) -> tuple[str, str]:
    return f"https://shop.test:{port}", f'connect_to = "127.0.0.1:{port}"\ntls = {{ ca = "{ca}" }}'


@pytest.mark.parametrize(
    ("kind", "outcome", "reason"),
    [
        ("both", "passed", ""),
        ("alone", "errored", ""),  # no HTTP/1.1 at all: nothing to compare with
        ("h3", "passed", ""),
        ("old", "failed", "the revision rev-2: it tells rev-1"),
        ("gone", "failed", "answered 421, but 200 as identity over HTTP/1.1"),
        ("reset", "failed", "the server ended the stream (INTERNAL_ERROR)"),
    ],
)
def test_node(kind: str, outcome: str, reason: str, tmp_path: Path) -> None:
    port, (ca, leaf) = free_port(), certify(tmp_path, "shop.test")
    (tmp_path / "server.js").write_text(NODE, encoding="utf-8")
    with running([program("node"), "server.js", str(port), leaf, kind], port, tmp_path):
        found = shop(over_tls(port, ca)[0], tmp_path, over_tls(port, ca)[1])
    assert found["outcome"] == outcome, found
    assert reason in found["reason"]


PROXY = """
const fs = require('fs'), net = require('net'), pem = process.argv[3] && fs.readFileSync(process.argv[3]);
const proxy = pem ? require('http2').createSecureServer({ key: pem, cert: pem, allowHTTP1: true })
                  : require('http').createServer();
proxy.on('connect', (request, socket) => {
  if (!request.httpVersion || request.httpVersion === '2.0') return socket.close ? socket.close() : socket.destroy();
  const onward = net.connect(+request.url.split(':').pop(), '127.0.0.1', () => {
    socket.write('HTTP/1.1 200 Connection established\\r\\n\\r\\n'); onward.pipe(socket); socket.pipe(onward);
  });
  onward.on('error', () => socket.destroy()); socket.on('error', () => onward.destroy());
});
proxy.listen(+process.argv[2], '127.0.0.1');
"""


@pytest.mark.parametrize(
    ("kind", "secured", "outcome"), [("both", False, "passed"), ("old", False, "failed"), ("both", True, "passed")]
)
def test_http2_through_a_proxy(kind: str, secured: bool, outcome: str, tmp_path: Path) -> None:
    """A tunnel is HTTP/1.1, also with a proxy that would rather speak HTTP/2; what goes through it is the service's."""
    port, front, (ca, leaf) = free_port(), free_port(), certify(tmp_path, "shop.test", "127.0.0.1")
    (tmp_path / "server.js").write_text(NODE, encoding="utf-8")
    (tmp_path / "proxy.js").write_text(PROXY, encoding="utf-8")
    words = [program("node"), "proxy.js", str(front), *([leaf] if secured else [])]
    behind = running([program("node"), "server.js", str(port), leaf, kind], port, tmp_path)
    with behind, running(words, front, tmp_path):
        proxy = f'proxy = "{"https" if secured else "http"}://127.0.0.1:{front}"\ntls = {{ ca = "{ca}" }}'
        found = shop(f"https://shop.test:{port}", tmp_path, proxy)
    assert found["outcome"] == outcome, found
    assert "3 of them over HTTP/2" in " ".join(found["notes"]), found


def haproxy(folder: Path, edge: int, origin: int, leaf: str) -> list[str]:
    (folder / "haproxy.cfg").write_text(HAPROXY.format(edge=edge, origin=origin, leaf=leaf), encoding="utf-8")
    return [program("haproxy"), "-f", "haproxy.cfg", "-db"]


def nginx(folder: Path, edge: int, origin: int, leaf: str) -> list[str]:
    text = NGINX.format(folder=folder_for_nginx(folder), edge=edge, origin=origin, leaf=leaf)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    return [program("nginx"), "-p", str(folder), "-c", "nginx.conf"]


@pytest.mark.parametrize(
    ("front", "kind", "outcome"),
    [(haproxy, "upgrade", "passed"), (nginx, "plain", "passed"), (nginx, "upgrade", "failed")],
)
def test_an_upgrade_field_of_the_origin(
    front: Callable[..., list[str]], kind: str, outcome: str, tmp_path: Path
) -> None:
    """HAProxy leaves it out; nginx passes it on, and curl, Safari and Firefox refuse the answer (RFC 9113, 8.2.2)."""
    edge, origin, (ca, leaf) = free_port(), free_port(), certify(tmp_path, "shop.test")
    (tmp_path / "origin.js").write_text(ORIGIN, encoding="utf-8")
    behind = running([program("node"), "origin.js", str(origin), kind], origin, tmp_path)
    with behind, running(front(tmp_path, edge, origin, leaf), edge, tmp_path):
        found = shop(over_tls(edge, ca)[0], tmp_path, over_tls(edge, ca)[1])
    assert found["outcome"] == outcome, found
    if outcome == "failed":
        assert "malformed, and browsers refuse it (RFC 9113" in found["reason"]


def squeezed(changes: Callable[[str, Seen], str]) -> Callable[[Seen], Answer]:
    """A server that compresses its page as it is asked to; changes: what a coding makes of its text."""
    made = {"br": brotli.compress, "gzip": gzip.compress, "identity": lambda body: body}

    def answer(seen: Seen) -> Answer:
        if seen.path != "/page":
            return 200, {"Content-Type": "application/json"}, b'{"status":"ok","revision":"rev-2"}'
        asked = seen.headers.get("Accept-Encoding", "")
        coding = next((each for each in ("br", "gzip") if each in asked), "identity")
        fields = {"Content-Type": "text/html"} | ({} if coding == "identity" else {"Content-Encoding": coding})
        return 200, fields, made[coding](changes(coding, seen).encode())

    return answer


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        (lambda coding, seen: "<p>release rev-2", "passed", ""),
        (lambda coding, seen: f"<p>release rev-2 {id(seen)} {coding}", "passed", ""),  # each answer is another one
        (lambda coding, seen: f"<p>release rev-{1 if coding == 'gzip' else 2}", "failed", "the declared text"),
        (lambda coding, seen: f"<p>release rev-{1 if coding == 'identity' else 2}", "failed", "the declared text"),
        (lambda coding, seen: f"<p>release rev-2, {'old' if coding == 'gzip' else 'new'} menu", "warned", "stale"),
    ],
)
def test_codings(changes: Callable[[str, Seen], str], outcome: str, reason: str, tmp_path: Path) -> None:
    """Whoever asks otherwise than the client that was judged gets the same: an old .gz beside a new .br and page."""
    with web(squeezed(changes)) as server:
        found = shop(f"http://127.0.0.1:{server.port}", tmp_path)
    assert found["outcome"] == outcome, found
    assert reason in found["reason"]


def test_a_body_that_is_not_what_its_coding_says(tmp_path: Path) -> None:
    def answer(seen: Seen) -> Answer:
        status, fields, body = squeezed(lambda coding, seen: "<p>release rev-2")(seen)
        return status, fields, body if fields.get("Content-Encoding") != "gzip" else b"no gzip"

    with web(answer) as server:
        found = shop(f"http://127.0.0.1:{server.port}", tmp_path)
    assert found["outcome"] == "failed", found
    assert "its compression is broken" in found["reason"]

