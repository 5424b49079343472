"""A first configuration from what is there: valid, without secrets, and good for an open gate of a system not ours."""

from __future__ import annotations

import json
import shutil
import ssl
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
import trustme

from pytest_prodcheck.cli.parsing import dispatch
from pytest_prodcheck.environments.loading import load
from pytest_prodcheck.proposals import address
from pytest_prodcheck.proposals.proposal import CannotPropose, name_of, toml
from pytest_prodcheck.proposals.sources import propose
from tests.evidence.network.speakers import drip, speaker
from tests.monitoring.servers import Server
from tests.project import Project

OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Pet Store", "version": "1"},
    "servers": [{"url": "https://user:very-secret@api.shop.example/v1/"}],
    "paths": {
        "/pets": {"get": {"operationId": "listPets", "responses": {"200": {}, "500": {}}}},
        "/pets/{id}": {"get": {"responses": {"200": {}}}},
        "/mine": {"get": {"security": [{"token": []}], "responses": {"200": {}}}},
        "/search": {"get": {"parameters": [{"name": "q", "in": "query", "required": True}], "responses": {"200": {}}}},
        "/none": {"get": {"responses": {"204": {}}}, "post": {"responses": {"201": {}}}},
    },
}
COMPOSE = """\
name: my shop
services:
  web:
    image: registry.example:5000/shop/web:1
    ports: ["8080:80", "9000-9001:9000-9001"]
    environment: {API_TOKEN: very-secret}
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:80/healthz"]}
  db:
    image: postgres:16
    ports: ["127.0.0.1:5433:5432"]
    environment: [POSTGRES_USER=shop, POSTGRES_DB=orders, POSTGRES_PASSWORD=very-secret]
  cache:
    image: valkey/valkey:8
    command: valkey-server --requirepass very-secret
    ports: [{published: "6380", target: 6379}]
  queue:
    image: rabbitmq:3
    ports: ["5672:5672"]
  worker:
    image: shop/worker
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: prod
contexts: [{name: prod, context: {cluster: c, user: u, namespace: shop}}]
clusters: [{name: c, cluster: {server: "https://10.0.0.1:6443"}}]
users: [{name: u, user: {token: very-secret}}]
"""


def proposed(source: Path, text: str, folder: Path) -> dict[str, Any]:
    """What `init --from` writes of a file; it can be loaded, and holds no secret."""
    source.write_text(text, encoding="utf-8")
    assert dispatch(["init", str(folder), "--from", str(source), "--env", "dev"]) == 0
    written = (folder / "prodcheck.toml").read_text(encoding="utf-8")
    assert "very-secret" not in written
    load(folder / "prodcheck.toml")
    environment: dict[str, Any] = tomllib.loads(written)["environments"]["dev"]
    return environment


def test_an_openapi_document(tmp_path: Path) -> None:
    found = proposed(tmp_path / "openapi.json", json.dumps(OPENAPI), tmp_path)
    service = found["services"]["pet-store"]
    assert service["url"] == "https://api.shop.example/v1"
    assert service["endpoints"] == {
        "listpets": {"request": "GET /pets", "status": 200}, "none": {"request": "GET /none", "status": 204},
    }  # fmt: skip
    assert found["absent"] == ["auth", "workflows", "postgres", "redis"]


def test_a_compose_file(tmp_path: Path) -> None:
    found = proposed(tmp_path / "compose.yaml", COMPOSE, tmp_path)
    assert found["services"]["web"] == {"url": "http://127.0.0.1:8080", "health": "/healthz"}
    database = found["postgres"]["db"]
    assert (database["nodes"], database["user"], database["database"]) == (["127.0.0.1:5433"], "shop", "orders")
    assert database["password"] == {"env": "DB_PASSWORD"}
    assert found["redis"]["cache"] == {"nodes": ["127.0.0.1:6380"], "password": {"env": "CACHE_PASSWORD"}}
    assert found["dependencies"] == {"queue": {"tcp": "127.0.0.1:5672"}}
    assert "worker publishes no port" in (tmp_path / "prodcheck.toml").read_text()


def test_a_kubeconfig(tmp_path: Path) -> None:
    found = proposed(tmp_path / "config", KUBECONFIG, tmp_path)
    assert found["kubernetes"]["namespace"] == "shop"
    assert found["kubernetes"]["context"] == "prod"
    assert "services" in found["absent"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not contain a mapping"),
        ("[1]", "not contain a mapping"),
        ("{", "neither JSON nor YAML"),
        ("a: [", "neither JSON nor YAML"),
        ("{" + '"a":{' * 5000, "neither JSON|nested"),
        ("a: " + "[" * 2000, "neither JSON|nested"),
        ("a: 1", "is not an OpenAPI document"),
        ('{"openapi": "3.0.0"}', "no server"),
        ('{"openapi": "3.0.0", "servers": [{"url": "/v1"}]}', "no server"),
        ("services: {a: {image: b}}", "no service can be reached"),
        ("services: {a: 1, b: {ports: 1}}", "no service can be reached"),
        ("kind: Config\ncontexts: [{name: a}, 1]", "no current context"),
        ("!!python/object:os.system {}", "neither JSON"),
    ],
)
def test_sources_that_tell_nothing(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "source"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CannotPropose, match=told):
        propose(str(file))


def test_a_file_that_is_there_is_kept_and_nothing_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prodcheck.toml").write_text("mine")
    assert dispatch(["init", str(tmp_path), "--from", "http://127.0.0.1:9/"]) == 2
    assert "already exists" in capsys.readouterr().err
    (tmp_path / "prodcheck.toml").unlink()
    assert dispatch(["init", str(tmp_path), "--from", "http://127.0.0.1:9/"]) == 2
    assert "cannot be reached" in capsys.readouterr().err
    assert dispatch(["init", str(tmp_path), "--from", str(tmp_path / "gone.json")]) == 2
    assert dispatch(["init", str(tmp_path), "--from", "https://x", "--env", "no name"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "prodcheck.toml").exists()


@pytest.mark.parametrize("text", ['x"\n[evil]\n#', "\x00\u202e", "注文", "a" * 5000, "", "%{}"])
def test_names_and_titles_of_others_stay_texts(text: str, tmp_path: Path) -> None:
    document = OPENAPI | {"info": {"title": text}, "paths": {f"/{text}": {"get": {"operationId": text}}}}
    file = tmp_path / "o.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    read = tomllib.loads(toml(propose(str(file)), "dev", text))
    assert set(read) == {"version", "project", "environments"}
    assert name_of(text)


class Everything(BaseHTTPRequestHandler):
    """An application that answers every path with one document, but its version."""

    def do_GET(self) -> None:
        body = b'{"build": {"git_commit": "abc"}}' if self.path == "/version" else b'{"app": "shop"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_what_answers_everything_alike_has_no_health_page() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Everything)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        found = propose(f"http://someone:very-secret@127.0.0.1:{server.server_port}/?token=very-secret")
    finally:
        server.shutdown()
        server.server_close()
    service = found.sections["services"]["service"]
    assert "health" not in service
    assert service["version"] == {"path": "/version", "pointer": "/build/git_commit"}
    assert "very-secret" not in toml(found, "dev", "x")


class Healthy(BaseHTTPRequestHandler):
    """Tells its version on the health page, and has no other page."""

    def do_GET(self) -> None:
        body = b'{"status": "ok", "version": "1.4.0"}' if self.path == "/healthz" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_version_on_the_health_page_is_found() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        found = propose(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    service = found.sections["services"]["service"]
    assert service["health"] == "/healthz"
    assert service["version"] == {"path": "/healthz", "pointer": "/version"}


def test_a_certificate_that_is_not_trusted_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of requests 2.32 and OpenSSL 3 in place of a server with a certificate of its own."""
    said = (
        "HTTPSConnectionPool(host='shop.example', port=443): Max retries exceeded with url: / (Caused by SSLError("
        "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
        "unable to get local issuer certificate (_ssl.c:1000)')))"
    )

    def refuse(*_: object, **__: object) -> None:
        raise requests.exceptions.SSLError(said)

    monkeypatch.setattr(requests, "get", refuse)
    with pytest.raises(CannotPropose) as told:
        propose("https://shop.example")
    assert str(told.value) == (
        "https://shop.example/: its certificate is not trusted: unable to get local issuer certificate; "
        "for a private CA: --ca FILE"
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A service with a certificate of a CA of its own, and that CA's file."""
    folder, authority = tmp_path_factory.mktemp("authority"), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}", folder / "ca.pem"
        server.shutdown()


def test_a_declared_ca_is_trusted_by_init_and_by_the_file_that_it_writes(
    shop: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, ca = shop
    (tmp_path / "trust").mkdir()
    shutil.copy(ca, tmp_path / "trust" / "ca.pem")
    (tmp_path / "checks").mkdir()
    monkeypatch.chdir(tmp_path / "trust")  # the file is named from here, and written as seen from prodcheck.toml
    assert dispatch(["init", "../checks", "--from", url, "--env", "dev", "--ca", "ca.pem"]) == 0
    written = tomllib.loads((tmp_path / "checks" / "prodcheck.toml").read_text())["environments"]["dev"]
    assert written["services"]["service"]["tls"] == {"ca": "../trust/ca.pem"}
    done = Project(tmp_path / "checks").pytest("smoke.service.health[service]", "--no-gate")
    assert "dev: 1 passed" in done.stdout, done.stdout


def test_a_ca_that_does_not_help_is_told(
    shop: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, ca = shop
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    (tmp_path / "empty.pem").touch()
    plain = OPENAPI | {"servers": [{"url": "http://api.shop.example"}]}
    (tmp_path / "openapi.json").write_text(json.dumps(plain), encoding="utf-8")
    here = str(tmp_path)
    for words, told in (
        (["--from", url], "unable to get local issuer certificate; for a private CA: --ca FILE"),
        (["--from", url, "--ca", str(other)], f"{other} does not vouch for it"),
        (["--from", url, "--ca", f"{here}/empty.pem"], "no CA certificates in PEM form"),
        (["--from", url, "--ca", f"{here}/none.pem"], "no CA certificates in PEM form (No such file or directory)"),
        (["--from", f"{here}/openapi.json", "--ca", str(ca)], "no service with an https address"),
        (["--ca", str(ca)], "--ca is for --from"),
    ):
        assert dispatch(["init", here, *words]) == 2
        assert told in capsys.readouterr().err
    assert not (tmp_path / "prodcheck.toml").exists()


def test_a_server_that_drips_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte is in time for the request; all of them are not."""
    monkeypatch.setattr(address, "MOST_SECONDS", 0.5)
    began = time.monotonic()
    with speaker(drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100)) as where, pytest.raises(CannotPropose) as told:
        propose(f"http://{where}")
    assert str(told.value) == f"http://{where}/: too slow: nothing can be proposed within 0.5 s"
    assert time.monotonic() - began < 10


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    if shutil.which("prometheus") is None:
        pytest.skip("no Prometheus, a system that is not ours; install: apt-get install prometheus")
    (tmp_path / "prometheus.yml").write_text("scrape_configs: []\n")
    files = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    server = Server(tmp_path, ["prometheus", *files])
    try:
        server.wait(lambda: server.ask("/-/ready") is None, "Prometheus")
        yield f"http://{server.address}"
    finally:
        server.stop()


def test_from_an_empty_folder_to_an_open_gate_of_a_system_that_is_not_ours(prometheus: str, tmp_path: Path) -> None:
    """A real Prometheus: its health page and its revision are found, and the gate is open for that revision alone."""
    folder = tmp_path / "empty"
    folder.mkdir()
    project = Project(folder)
    began = time.monotonic()
    done = project.prodcheck("init", "--from", prometheus, "--env", "dev")
    assert done.returncode == 0, done.stderr
    service = tomllib.loads((folder / "prodcheck.toml").read_text())["environments"]["dev"]["services"]["service"]
    assert service["health"] == "/-/healthy"
    assert service["version"] == {"path": "/version", "pointer": "/revision"}
    with urllib.request.urlopen(f"{prometheus}/version", timeout=10) as answer:
        revision = json.load(answer)["revision"]
    done = project.pytest("--revision", revision)
    assert done.returncode == 0, done.stdout
    assert project.gate("--revision", revision) == 0
    assert time.monotonic() - began < 300  # five minutes; it takes seconds
    assert project.pytest("--revision", "another").returncode == 1
