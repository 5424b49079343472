"""A wrong answer is told with all that a person needs to look at it: request, status, id, excerpt, `curl` line."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.field.web.support import free_port, running
from tests.hostile.support import bare

WRONG = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"detail": "relation  does not exist"}' if self.path != "/c" else b"<p>fine</p>"
        self.send_response(200 if self.path == "/c" else 500)
        self.send_header("Content-Type", "text/html" if self.path == "/c" else "application/json")
        self.send_header("X-Request-Id", "01HF-77")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ORDERS = """[environments.t]
protected = {protected}
[environments.t.services.shop]
url = "http://shop.test:{port}"
connect_to = "127.0.0.1:{port}"
headers = {{ X-Tenant = "acme's", X-Gate = {{ env = "GATE" }} }}
authentication.bearer = {{ env = "TOKEN" }}
[environments.t.services.shop.endpoints.order]
request = "POST /orders?access_token=s3cr3t-in-query"
json = {{ sku = "it's 1" }}
safe = true
status = [201]
[environments.t.services.shop.endpoints.login]
request = "POST /login"
json = {{ user = "ann", password = "hunter2hunter2" }}
safe = true
status = [204]
[environments.t.services.shop.endpoints.text]
request = "GET /c"
contains = "welcome"
"""


def sent(line: str, folder: Path) -> bytes:
    """What a `curl` line puts on the wire."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = re.sub(r"--connect-to \S+", f"--connect-to ::127.0.0.1:{listener.getsockname()[1]}", line)
        environ = {"PATH": "/usr/bin:/bin", "AUTHORIZATION_HEADER": "Authorization: Bearer mine",
                   "X_GATE_HEADER": "X-Gate: open"}  # fmt: skip
        nowhere = subprocess.DEVNULL
        shell = subprocess.Popen(["sh", "-c", line], cwd=folder, stdout=nowhere, stderr=nowhere, env=environ)
        listener.settimeout(20)
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(20)
            data = b""
            while b"\r\n\r\n" not in data or (b"sku" not in data and b"POST" in data):
                data += peer.recv(65536)
            peer.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        shell.wait(20)
    return data


@pytest.mark.parametrize("protected", [False, True])
def test_a_wrong_answer_is_told_so_that_it_can_be_looked_at(protected: bool, tmp_path: Path) -> None:
    """Method, URL, status, request id, excerpt and a `curl` line; no body of a protected environment, no secret."""
    if shutil.which("curl") is None:
        pytest.skip("no curl, whose line is tried; install: apt-get install curl")
    port = free_port()
    script = tmp_path / "server.py"
    script.write_text(WRONG, encoding="utf-8")
    secrets = {"TOKEN": "tok-12345678", "GATE": "gate-12345678"}
    with running([sys.executable, str(script), str(port)], port, tmp_path):
        toml = ORDERS.format(port=port, protected=str(protected).lower())
        head = 'version = 1\nproject = "t"\n[gates.g]\nselect = ["smoke.api.endpoint"]\n'
        project = bare(tmp_path / "judged", head + toml)
        project.environ = secrets
        words = ["--gate", "g", "--prodcheck-select", "--revision", "r", "--prodcheck-json", "run.json"]
        done = project.pytest(*words, env="t")
        terminal = done.stdout
        assert (project.folder / "run.json").exists(), terminal + done.stderr
        report = (project.folder / "run.json").read_text(encoding="utf-8")
    reasons = {each["target"]: each["reason"] for each in json.loads(report)["run"]["results"]}
    order = reasons["shop.order"]
    assert f"POST http://shop.test:{port}/orders?access_token=[redacted]: 500, X-Request-Id: 01HF-77" in order
    assert ('body: {"detail": "relation does not exist"}' in order) is not protected
    assert "200" in reasons["shop.text"]
    assert ("fine" in reasons["shop.text"]) is not protected
    assert not re.search("tok-1234|gate-1234|s3cr3t|hunter2", terminal + report)
    line = next(each for each in order.splitlines() if "curl " in each).strip(" |")
    wire = sent(line, tmp_path)
    assert wire.startswith(b"POST /orders?access_token=")
    for each in (b"X-Tenant: acme's", b"X-Gate: open", b"Authorization: Bearer mine", b'{"sku": "it\'s 1"}'):
        assert each in wire, wire
    assert "--data-binary @body" in reasons["shop.login"]
