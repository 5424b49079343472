"""`examples/shop/` as its user would run it: two environments, two own checks, one own collector."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.project import Project

ROOT = Path(__file__).resolve().parent.parent


class Shop(BaseHTTPRequestHandler):
    """Two services behind one address: /catalog and /cart."""

    protocol_version = "HTTP/1.1"
    charged = 1999

    def do_GET(self) -> None:
        answers: dict[str, object] = {
            "/catalog/healthz": {"status": "pass"},
            "/cart/healthz": {"status": "pass"},
            "/catalog/version": {"revision": "v7"},
            "/cart/version": {"revision": "v7"},
            "/catalog/products/smoke-sku-1": {"sku": "smoke-sku-1", "cents": 1999, "currency": "EUR"},
        }
        self._answer(answers.get(self.path))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        line = {"sku": "smoke-sku-1", "cents": self.charged, "currency": "EUR", "count": 1}
        self._answer({"lines": [line]} if self.path == "/cart/quotes" else None)

    def _answer(self, document: object) -> None:
        body = json.dumps(document or {"error": "not found"}).encode()
        self.send_response(200 if document else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def shop(charged: int = 1999) -> Iterator[int]:
    handler = type("Priced", (Shop,), {"charged": charged})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def relay(folder: Path) -> Iterator[int]:
    """An SMTP server that knows EHLO, STARTTLS and QUIT, for 127.0.0.1 by a CA of its own."""
    trustme = pytest.importorskip("trustme", reason="pip install 'pytest-prodcheck[demo]'")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(connection: socket.socket) -> None:
        stream = connection.makefile("rwb", buffering=0)
        stream.write(b"220 relay ESMTP\r\n")
        while line := stream.readline().strip().upper():
            if line.startswith(b"EHLO"):
                stream.write(b"250-relay\r\n250 STARTTLS\r\n")
            elif line == b"STARTTLS":
                stream.write(b"220 go\r\n")
                connection = context.wrap_socket(connection, server_side=True)
                stream = connection.makefile("rwb", buffering=0)
            elif line == b"QUIT":
                stream.write(b"221 bye\r\n")
                break
        connection.close()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def example(tmp_path: Path) -> Project:
    folder = tmp_path / "shop repository"
    shutil.copytree(ROOT / "examples" / "shop", folder, ignore=shutil.ignore_patterns("__pycache__", ".prodcheck"))
    return Project(folder)


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_both_own_checks_are_planned_judged_and_counted(example: Project, workers: tuple[str, ...]) -> None:
    with shop() as port, relay(example.folder) as smtp:
        example.edit("127.0.0.1:18081", f"127.0.0.1:{port}")
        example.edit("port = 2525", f"port = {smtp}")
        done = example.pytest("--revision", "v7", "--prodcheck-json", "report.json", *workers, env="production")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((example.folder / "report.json").read_text(encoding="utf-8"))
    found = {result["check"]: result for result in report["run"]["results"]}
    assert found["shop.smoke.price-agreement"]["outcome"] == "passed"
    assert found["shop.smoke.price-agreement"]["target"] == "buying"
    assert found["shop.smoke.price-agreement"]["runbook"] == "https://runbooks.shop.example/price-agreement"
    assert found["shop.smoke.mail-relay"]["outcome"] == "passed"
    assert found["smoke.service.version"]["outcome"] == "passed"
    assert example.gate("--revision", "v7", env="production") == 0


def test_the_own_gate_of_the_example(example: Project) -> None:
    with shop() as port, relay(example.folder) as smtp:
        example.edit("127.0.0.1:18081", f"127.0.0.1:{port}")
        example.edit("port = 2525", f"port = {smtp}")
        done = example.prodcheck("run", "after", "--env", "production", "--revision", "v7")
        assert done.returncode == 0, done.stdout + done.stderr
    assert example.gate("--revision", "v7", env="production", name="after") == 0


def test_a_difference_of_prices_blocks(example: Project) -> None:
    with shop(charged=1899) as port, relay(example.folder) as smtp:
        example.edit("127.0.0.1:18081", f"127.0.0.1:{port}")
        example.edit("port = 2525", f"port = {smtp}")
        done = example.prodcheck(
            "run", "--suite", "smoke", "--env", "production", "--revision", "v7", "--report", "r.txt"
        )
    assert done.returncode == 1, done.stdout + done.stderr
    text = (example.folder / "r.txt").read_text(encoding="utf-8")
    assert "shop.smoke.price-agreement" in text
    assert "100 ct" in text


def test_a_relay_that_is_down_is_errored_unless_waived(example: Project) -> None:
    with socket.socket() as free, shop() as port:
        free.bind(("127.0.0.1", 0))
        (example.folder / "ca.pem").write_text("", encoding="utf-8")
        example.edit("port = 2525", f"port = {free.getsockname()[1]}")
        example.edit("127.0.0.1:18081", f"127.0.0.1:{port}")
        done = example.pytest("--revision", "v7", env="production")
    assert done.returncode == 13, done.stdout
    assert "shop.smoke.mail-relay" in done.stdout
