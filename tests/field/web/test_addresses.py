"""A name with two addresses on a real nginx: the shop is at one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evidence.network.dns_servers import dns_server
from tests.evidence.network.test_resolving import reply
from tests.field.web.support import certify, folder_for_nginx, free_port, judged, program, running

BOTH = (("shop.test", "A", "127.0.0.1"), ("shop.test", "A", "127.0.0.2"))


@pytest.mark.parametrize(
    ("other", "outcome"),
    [("return 200", "passed"), ("return 404", "failed"), ("return 421", "failed"), ("return 403", "errored")],
)
def test_an_address_that_knows_nothing_of_the_service(other: str, outcome: str, tmp_path: Path) -> None:
    """As in nginx-proxy/nginx-proxy#1081, hobby-kube/guide#3: every second user gets "default backend - 404"."""
    folder, port = folder_for_nginx(tmp_path), free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off; error_log stderr; pid {folder}/pid; events {{}}\n"
        f"http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }}\n"
        f"server {{ listen 127.0.0.2:{port}; location / {{ {other}; }} }} }}\n"
    )
    with (
        running([program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)], port, folder),
        dns_server(lambda query, _: reply(query, *BOTH)) as server,
    ):
        toml = f'nameserver = "{server}"\n[environments.t.services.shop]\nurl = "http://shop.test:{port}"\n'
        found = judged(folder, f"{toml}health = \"/health\"\n", ["smoke.service.addresses"])
    result = found["smoke.service.addresses", "shop"]
    assert result["outcome"] == outcome, result
    assert outcome == "passed" or "127.0.0.2" in str(result)


def test_an_address_that_serves_plain_http(tmp_path: Path) -> None:
    """One of two balancers lacks the redirect: every second user stays on plain HTTP."""
    folder, tls, plain = folder_for_nginx(tmp_path), free_port(), free_port()
    _, leaf = certify(folder, "shop.test")
    (folder / "nginx.conf").write_text(
        f"daemon off; error_log stderr; pid {folder}/pid; events {{}}\n"
        f"http {{ access_log off; ssl_certificate {leaf}; ssl_certificate_key {leaf};\n"
        f"server {{ listen 127.0.0.1:{tls} ssl; listen 127.0.0.2:{tls} ssl; location / {{ return 200; }} }}\n"
        f"server {{ listen 127.0.0.1:{plain}; return 301 https://shop.test:{tls}/; }}\n"
        f"server {{ listen 127.0.0.2:{plain}; location / {{ return 200; }} }} }}\n"
    )
    with (
        running([program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)], plain, folder),
        dns_server(lambda query, _: reply(query, *BOTH)) as server,
    ):
        toml = (
            f'nameserver = "{server}"\n[environments.t.services.shop]\nurl = "https://shop.test:{tls}"\n'
            f'tls = {{ ca = "{folder / "ca.pem"}" }}\nredirect = "http://shop.test:{plain}/"\n'
        )
        result = judged(folder, toml, ["smoke.service.redirect"])["smoke.service.redirect", "shop"]
    assert result["outcome"] == "failed", result
    assert "127.0.0.2" in str(result)
