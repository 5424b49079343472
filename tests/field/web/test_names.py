"""One shop under four names, one of them ASCII; its CORS is broken under every one."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pytest_prodcheck.environments.sections.host_names import ascii_host
from tests.field.web.support import certify, judged, outcomes

NAMES = {
    "shop.test": "shop.test",
    "münchen.test": "xn--mnchen-3ya.test",
    "straße.test": "xn--strae-oqa.test",  # UTS 46, non-transitional: not "strasse"
    "пример.test": "xn--e1afmkfd.test",
}


@pytest.mark.parametrize(
    ("host", "right"),
    [*NAMES.items(), ("MÜNCHEN.test", "xn--mnchen-3ya.test"), ("日本。test", "xn--wgv71a.test"),
     ("☕.test", "xn--53h.test"),
     ("s_h.internal", "s_h.internal"), ("r3---sn.test", "r3---sn.test"), ("[::1]", "[::1]")],
)  # fmt: skip
def test_a_labels_are_those_of_browsers(host: str, right: str) -> None:
    assert ascii_host(host) == right


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    https = 0

    def do_GET(self) -> None:
        name = self.headers["Host"].partition(":")[0]
        secure = isinstance(self.connection, ssl.SSLSocket)
        fields = {"Content-Type": "application/json", "Content-Length": "15" if secure else "0"}
        origin = self.headers.get("Origin", "")
        if not secure:
            fields["Location"] = f"https://{name}:{self.https}/"
        elif origin.startswith(f"https://{name}"):
            fields |= {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        fields["Set-Cookie"] = f"sid=abcdef123456; Domain={name}; Path=/; Secure; HttpOnly; SameSite=Lax"
        self.send_response(200 if secure else 301)
        for key, value in fields.items():
            self.send_header(key, value)
        self.end_headers()
        if secure:
            self.wfile.write(b'{"status":"ok"}')

    do_OPTIONS = do_GET

    def log_message(self, *words: object) -> None:
        """Quiet."""


def test_a_name_in_unicode_is_judged_like_one_in_ascii(tmp_path: Path) -> None:
    ca, leaf = certify(tmp_path, *NAMES.values())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(leaf)
    plain, secure = (ThreadingHTTPServer(("127.0.0.1", 0), Shop) for _ in range(2))
    secure.socket = tls.wrap_socket(secure.socket, server_side=True)
    Shop.https = secure.server_address[1]
    for server in (plain, secure):
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        toml = "\n".join(
            f"""[environments.t.services.{right.partition(".")[0]}]
url = "https://{name}:{Shop.https}"
connect_to = "127.0.0.1:{Shop.https}"
health = "/healthz"
redirect = "http://{name}:{plain.server_address[1]}/"
tls = {{ ca = "{ca}" }}"""
            for name, right in NAMES.items()
        )
        select = ["security.tls.hostname", "smoke.service.health", "smoke.service.redirect", "security.cookies",
                  "security.cors"]  # fmt: skip
        told = outcomes(judged(tmp_path, toml + "\n", select))
    finally:
        for server in (plain, secure):
            server.shutdown()
            server.server_close()
    checks = {each.rpartition(" ")[0] for each in told}
    for check in checks:
        of = {told[f"{check} {right.partition('.')[0]}"] for right in NAMES.values()}
        expected = "failed" if check == "security.cors" else "passed"
        assert of == {expected}, (check, told)
