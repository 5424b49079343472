"""Interim answers of a real Node server."""

from __future__ import annotations

from pathlib import Path

from tests.field.web.support import free_port, judged, outcomes, program, running

SERVER = """
require('http').createServer((request, answer) => {
  answer.writeEarlyHints({ link: '</app.css>; rel=preload; as=style' });
  setTimeout(() => {
    const page = request.url === '/';
    answer.setHeader('content-type', page ? 'text/html' : 'application/json');
    answer.end(page ? '<!doctype html><title>Shop</title>' : '{"status":"ok","revision":"abc1234"}');
  }, 5);
}).listen(+process.argv[2], '127.0.0.1');
"""


def test_early_hints_are_no_final_answer(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "server.js").write_text(SERVER, encoding="utf-8")
    with running([program("node"), "server.js", str(port)], port, tmp_path):
        found = judged(
            tmp_path,
            f"""[environments.t.services.shop]
url = "http://127.0.0.1:{port}"
health = "/healthz"
version = {{ path = "/version.json", pointer = "/revision", connections = 4 }}
endpoints.home = {{ request = "GET /", status = 200, content_type = "text/html", contains = "<title>Shop" }}
""",
            ["smoke.service.*", "smoke.api.*"], "--revision", "abc1234",
        )  # fmt: skip
    assert set(outcomes(found).values()) == {"passed"}, found
    assert ("smoke.service.version", "shop") in found
