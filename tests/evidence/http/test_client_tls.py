"""TLS, client certificates and proxies of the HTTP client."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_prodcheck.evidence.context import Context
from tests.evidence.contexts import context_for
from tests.evidence.http.client_calls import ask_shop, plain, problem
from tests.evidence.http.servers import ok, read_request, web
from tests.evidence.network.speakers import raw_server


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("shop.example", "localhost").configure_cert(context)
    return context


def secure(root: Path, port: int, ca: trustme.CA | None, name: str = "shop.example", **tls: Any) -> Context:
    if ca is not None:
        ca.cert_pem.write_to_path(str(root / "ca.pem"))
        tls["ca"] = "ca.pem"
    return context_for(
        root, services={"shop": {"url": f"https://{name}:{port}", "connect_to": f"127.0.0.1:{port}", "tls": tls}}
    )


def test_connects_elsewhere_while_name_and_sni_stay(tmp_path: Path, ca: trustme.CA, server_tls: ssl.SSLContext) -> None:
    names = []
    server_tls.sni_callback = lambda sock, name, context: names.append(name)
    with web(ok, server_tls) as server:
        assert ask_shop(secure(tmp_path, server.port, ca)).exchange.address == f"127.0.0.1:{server.port}"
    server_tls.sni_callback = None
    assert names == ["shop.example"]
    assert server.requests[0].headers["Host"] == f"shop.example:{server.port}"


def test_an_unknown_ca_is_told_with_what_to_do(tmp_path: Path, server_tls: ssl.SSLContext) -> None:
    with web(ok, server_tls) as server:
        told = problem(secure(tmp_path, server.port, None))
        other = problem(secure(tmp_path, server.port, trustme.CA()))
    for each in (told, other):
        assert each.kind == "tls"
        assert "name a private CA in tls.ca" in each.hint
    assert server.requests == []


def test_a_certificate_of_another_name_is_refused(tmp_path: Path, ca: trustme.CA, server_tls: ssl.SSLContext) -> None:
    with web(ok, server_tls) as server:
        told = problem(secure(tmp_path, server.port, ca, "bank.example"))
    assert told.kind == "tls"
    assert "bank.example" in told.message


def test_verification_is_off_only_where_declared(tmp_path: Path, server_tls: ssl.SSLContext) -> None:
    with web(ok, server_tls) as server:
        assert ask_shop(secure(tmp_path, server.port, None, verify="off")).exchange.status == 200


def test_shows_a_client_certificate(tmp_path: Path, ca: trustme.CA) -> None:
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("shop.example").configure_cert(server_tls)
    server_tls.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(server_tls)
    client = ca.issue_cert("prodcheck@shop.example")
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    with web(ok, server_tls) as server:
        context = secure(tmp_path, server.port, ca, certificate="client.pem", key="client.key")
        assert ask_shop(context).exchange.status == 200
        assert server.requests[0].peer_certificate
        assert problem(secure(tmp_path, server.port, ca), retry=False).kind in ("denied", "reset")


@pytest.mark.parametrize("tls", [{"ca": "nothing.pem"}, {"ca": "garbage.pem"}, {"certificate": "garbage.pem"}])
def test_unusable_files_are_configuration_problems(tmp_path: Path, tls: dict[str, str]) -> None:
    (tmp_path / "garbage.pem").write_text("no certificate")
    told = problem(context_for(tmp_path, services={"shop": {"url": "https://localhost:9", "tls": tls}}))
    assert told.kind == "configuration"
    assert next(iter(tls.values())) in told.message


def test_plain_http_on_a_tls_port_is_told(tmp_path: Path) -> None:
    with web(ok) as server:
        context = context_for(tmp_path, services={"shop": {"url": f"https://localhost:{server.port}"}})
        told = problem(context, retry=False)
    assert told.kind == "tls"
    assert "does it speak TLS" in told.hint


def test_goes_through_a_proxy(tmp_path: Path) -> None:
    with web(lambda seen: (200, {}, seen.path.encode())) as proxy:
        context = context_for(
            tmp_path, services={"shop": {"url": "http://shop.example", "proxy": f"http://127.0.0.1:{proxy.port}"}}
        )
        assert ask_shop(context).text == "http://shop.example/x"


def test_tunnels_through_a_proxy_with_the_names_own_certificate(
    tmp_path: Path, ca: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    asked_for = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                sink.sendall(piece)

    def tunnel(connection: socket.socket) -> None:
        asked_for.append(read_request(connection).split()[1])
        with socket.create_connection(("127.0.0.1", server.port)) as onward:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pump, args=(onward, connection), daemon=True)
            back.start()
            pump(connection, onward)

    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with web(ok, server_tls) as server, raw_server(tunnel) as port:
        service = {"url": "https://shop.example", "proxy": f"http://127.0.0.1:{port}", "tls": {"ca": "ca.pem"}}
        context = context_for(tmp_path, services={"shop": service})
        assert ask_shop(context).exchange.status == 200
        assert ask_shop(context).exchange.status == 200
        context.close()
    assert asked_for == [b"shop.example:443"]


def test_a_proxy_and_connect_to_exclude_each_other(tmp_path: Path) -> None:
    told = problem(plain(tmp_path, 9, proxy="http://127.0.0.1:9", connect_to="127.0.0.1:9"))
    assert told.kind == "configuration"
