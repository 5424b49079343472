"""A real browser loads what we say it loads: mixed content, policies, and where a Location leads. One run for all."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from pytest_prodcheck.evidence.http.redirect_locations import ascii_location
from pytest_prodcheck.judging.headers import csp, page_loads
from tests.chromium import FINISH, browse

# policy, body; {O}: another host over TLS, {H}: the same over plain HTTP, {L}: localhost over plain HTTP
CASES = [
    ("", '<script src="{H}/x.js?{N}"></script>'),
    ("", '<script src="{L}/x.js?{N}"></script>'),
    ("", '<script src="{O}/x.js?{N}"></script>'),
    ("", '<script src="//cdn.test:{P}/x.js?{N}"></script>'),
    ("script-src 'self'", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src 'self'", "<script src=/x.js?{N}></script>"),
    ("script-src 'nonce-bm9uY2U='", '<script nonce="bm9uY2U=" src="{O}/x.js?{N}"></script>'),
    ("script-src 'nonce-bm9uY2U='", '<script nonce="other" src="{O}/x.js?{N}"></script>'),
    ("script-src 'strict-dynamic' 'nonce-bm9uY2U=' https:", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src cdn.test:{P}", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src http://cdn.test:*", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src *.test:*", '<script src="{O}/x.js?{N}"></script>'),
    ("default-src 'none'; script-src-elem {O}", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src {O}/x.js", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src {O}/y.js", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src {O}/x%2Ejs", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src 'self'", '<base href="{O}/"><script src="x.js?{N}"></script>'),
    ("", '<base href="{O}/"><base href="/y/"><script src="x.js?{N}"></script>'),
    ("", '<script type="application/json" src="{O}/x.js?{N}"></script>'),
    ("", '<script type="module" src="/x.js?{N}"></script>'),
    ("", '<script type=" Text/JavaScript " src="/x.js?{N}"></script>'),
    ("", '<script src=""></script>'),
    ("", '<!-- <script src="/x.js?{N}"></script> -->'),
    ("", '<template><script src="/x.js?{N}"></script></template>'),
    ("", '<textarea><script src="/x.js?{N}"></script></textarea>'),
    ("", '<noscript><script src="/x.js?{N}"></script></noscript>'),
    ("upgrade-insecure-requests", '<script src="http://cdn.test:{P}/x.js?{N}"></script>'),
    ("script-src 'none', script-src *", '<script src="/x.js?{N}"></script>'),
    ("img-src 'none'", '<script src="/x.js?{N}"></script>'),
    ("script-src https:", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src http:", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src data:", '<script src="{O}/x.js?{N}"></script>'),
    ("script-src CDN.test:{P}", '<script src="{O}/x.js?{N}"></script>'),
    ("default-src", '<script src="/x.js?{N}"></script>'),
]  # fmt: skip
# octets of a Location; {P} is the port
LOCATIONS = [
    b"/there/plain", "/there/stra\u00dfe".encode(), "/there?q=\u00e9&r=\u20ac".encode(), b"/there/\xe9",
    b"/there/a%20b",
    "https://m\u00fcnchen.test:{P}/there/stra\u00dfe".encode(), "//stra\u00dfe.test:{P}/there/x".encode(),
]  # fmt: skip
PAGE = """<!doctype html><title>cases</title><pre id="seen"></pre><script>
const seen = [];
addEventListener("message", event => seen.push(event.data));
const run = async () => {
  for (let n = 0; n < COUNT; n++) {
    const made = document.createElement("iframe"); made.src = "/page/" + n; document.body.append(made);
  }
  for (let n = 0; n < PLACES; n++) await fetch("/location/" + n, {mode: "no-cors"}).catch(() => 0);
  await new Promise(done => setTimeout(done, 3000));
  FINISH
};
run();
</script>"""
ARRIVED: list[tuple[str, str]] = []  # host and target of requests that a Location led to, in order
PORTS: dict[str, int] = {}


def filled(text: str, number: int) -> str:
    tls, plain = PORTS["tls"], PORTS["plain"]
    places = {"{O}": f"https://cdn.test:{tls}", "{H}": f"http://cdn.test:{plain}", "{L}": f"http://localhost:{plain}",
              "{P}": str(tls), "{N}": str(number)}  # fmt: skip
    for name, value in places.items():
        text = text.replace(name, value)
    return text


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kind, _, rest = self.path[1:].replace("?", "/").partition("/")
        if kind == "":
            page = PAGE.replace("COUNT", str(len(CASES))).replace("PLACES", str(len(LOCATIONS)))
            self._answer(page.replace("FINISH", FINISH))
        elif kind == "page":
            policy, body = (filled(each, int(rest)) for each in CASES[int(rest)])
            self._answer(f"<!doctype html>{body}", **({"Content-Security-Policy": policy} if policy else {}))
        elif kind == "x.js":
            self._answer(f"parent.postMessage({rest}, '*')", "text/javascript")
        elif kind == "location":
            place = LOCATIONS[int(rest)].replace(b"{P}", str(PORTS["tls"]).encode())
            self.send_response(302)
            self.send_header("Location", place.decode("latin-1"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            if kind == "there":
                ARRIVED.append((str(self.headers["Host"]), self.path))
            self._answer("")

    def _answer(self, text: str, kind: str = "text/html", **more: str) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(text)), **more}.items():
            self.send_header(name, value)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[int]]:
    """The numbers of the cases whose script ran."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("*.test").configure_cert(context)
    servers = {name: ThreadingHTTPServer(("127.0.0.1", 0), _Handler) for name in ("tls", "plain")}
    servers["tls"].socket = context.wrap_socket(servers["tls"].socket, server_side=True, do_handshake_on_connect=False)
    PORTS.update({name: server.server_address[1] for name, server in servers.items()})
    for server in servers.values():
        threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
    try:
        more = ("--ignore-certificate-errors", "--host-resolver-rules=MAP *.test 127.0.0.1")
        yield set(browse(f"https://shop.test:{PORTS['tls']}/", tmp_path_factory.mktemp("browser"), *more))
    finally:
        for server in servers.values():
            server.shutdown()
            server.server_close()


def runs(number: int) -> bool:
    policy, body = (filled(each, number) for each in CASES[number])
    url = f"https://shop.test:{PORTS['tls']}/page/{number}"
    policies = csp.policies([("Content-Security-Policy", policy)] if policy else [])
    asked = [
        each for each in page_loads.subresources(body, url) if f"x.js?{number}" in each.url and "/y/" not in each.url
    ]
    return any(
        not page_loads.is_mixed_content(each, url, policies) and not page_loads.forbidden(each, url, policies)
        for each in asked
    )


def test_scripts_that_pages_load(loaded: set[int]) -> None:
    both = {number: (number in loaded, runs(number)) for number in range(len(CASES))}
    assert {each[0] for each in both.values()} == {True, False}, both
    assert not {CASES[number]: each for number, each in both.items() if each[0] != each[1]}


def test_where_locations_lead(loaded: set[int]) -> None:
    from urllib.parse import urljoin, urlsplit

    ours = []
    for place in LOCATIONS:
        value = place.replace(b"{P}", str(PORTS["tls"]).encode()).decode("latin-1")
        parts = urlsplit(urljoin(f"https://shop.test:{PORTS['tls']}/", ascii_location(value)))
        ours.append((parts.netloc, parts.path + (f"?{parts.query}" if parts.query else "")))
    assert ours == ARRIVED, json.dumps([ours, ARRIVED], indent=1)
