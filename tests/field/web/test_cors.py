"""Origins as Node's applications judge them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.field.web.support import free_port, judged, program, running

# the first word of a path says how: /NAME/…; `express` as the README of `cors` has it, with an error
SERVER = """\
const known = {
  express: o => { if (o !== "https://app.shop.localhost") throw new Error("Not allowed by CORS"); return o },
  flaky: o => { if (++asked % 2) throw new Error("pool exhausted"); return null },
  site: o => /^https?:\\/\\/([^.]+\\.)*shop\\.localhost(:\\d+)?$/.test(o) ? o : null,
  suffix: o => /shop\\.localhost(:\\d+)?$/.test(o) ? o : null,
};
let asked = 0;
require("http").createServer((request, response) => {
  const name = request.url.split("/")[1], origin = request.headers.origin;
  try {
    const allowed = origin && known[name] ? known[name](origin) : null;
    if (allowed) {
      response.setHeader("Access-Control-Allow-Origin", allowed);
      response.setHeader("Access-Control-Allow-Credentials", "true");
    }
    response.end("ok");
  } catch (error) { response.statusCode = 500; response.end(String(error)); }
}).listen(+process.argv[2], "127.0.0.1");
"""
EXPECTED = {"express": "passed", "flaky": "errored", "site": "warned", "suffix": "failed"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("cors")
    (folder / "server.js").write_text(SERVER)
    port = free_port()
    with running([program("node"), "server.js", str(port)], port, folder):
        yield port


def test_origins(port: int, tmp_path: Path) -> None:
    """Sources: tests/field/README.md, "Web"."""
    services = "".join(
        f'[environments.t.services.{name}]\nurl = "http://www.shop.localhost:{port}/{name}"\n'
        f'connect_to = "127.0.0.1:{port}"\nhealth = "/"\n'
        for name in EXPECTED
    )
    results = judged(tmp_path, services, ["security.cors"])
    assert {name: results["security.cors", name]["outcome"] for name in EXPECTED} == EXPECTED
