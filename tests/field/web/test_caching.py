"""Lists of cache directives that are none: what a real nginx gives to the next user."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from pytest_prodcheck.judging.headers import caching
from tests.field.web.support import free_port, program, running

CASES = (
    "public; max-age=600", "public max-age=600", "max-age=600; public", "max-age=600; private", "no-store; max-age=600",
    "no-cache; private; no-store", "no-cache; max-age=0", "max-age=600, public", "private, max-age=600",
)  # fmt: skip


class Counted(http.server.BaseHTTPRequestHandler):
    """Each answer is another one."""

    number: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        self.number.append(1)
        body = str(len(self.number)).encode()
        self.send_response(200)
        self.send_header("Cache-Control", CASES[int(self.path[1:])])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counted) as behind:
        threading.Thread(target=behind.serve_forever, daemon=True).start()
        paths = "".join(f"{name}_temp_path {folder}/{name};" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
        file = folder / "nginx.conf"
        file.write_text(f"""daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}
            http {{ access_log off; client_body_temp_path {folder}/body; {paths}
            proxy_cache_path {folder}/cache keys_zone=z:1m; server {{ listen 127.0.0.1:{port};
                location / {{ proxy_pass http://127.0.0.1:{behind.server_port}; proxy_cache z; }} }} }}""")
        with running([program("nginx"), "-c", str(file)], port, Path(folder)):
            yield f"http://127.0.0.1:{port}"
        behind.shutdown()


@pytest.mark.parametrize("place", range(len(CASES)), ids=CASES)
def test_what_nginx_gives_to_others_fails(place: int, nginx: str) -> None:
    """cachecontrol#98, s3_website#208, lift#924, connect#228: semicolons and blanks; the request had a cookie."""
    answers = {urllib.request.urlopen(f"{nginx}/{place}", timeout=20).read() for _ in range(2)}
    found = caching.judged((("Cache-Control", CASES[place]),), by_header=False)
    assert bool(found.failed) == (len(answers) == 1)
