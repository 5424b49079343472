"""A real server, and a gate that a user would ask about it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.hostile.support import bare

Results = dict[tuple[str, str], dict[str, Any]]
_INSTALL = {"node": "nodejs", "nginx": "nginx", "haproxy": "haproxy", "openssl": "openssl", "chromium": "chromium",
            "php": "php-cli"}  # fmt: skip

# the end of a program with Django: its application, over TLS. arguments: port, file of certificate and key
DJANGO_OVER_TLS = """\
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
class Quiet(WSGIRequestHandler):
    def log_message(self, *words): pass
    def get_environ(self): return {**super().get_environ(), "wsgi.url_scheme": "https", "HTTPS": "on"}
class Server(ThreadingMixIn, WSGIServer): daemon_threads = True
server = make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application(), Server, Quiet)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); tls.load_cert_chain(sys.argv[2])
server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def program(name: str) -> str:
    """Where a program is; skips without it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"no {name}; install: apt-get install {_INSTALL[name]}")
    return found


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    words: list[str], port: int, folder: Path, environ: Mapping[str, str] | None = None, seconds: float = 60
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process of its own, once it listens; ended afterwards."""
    with (folder / f"server-{port}.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            until = time.monotonic() + seconds
            while not _listens(port):
                said = (folder / f"server-{port}.log").read_text(encoding="utf-8", errors="replace")[-2000:]
                assert process.poll() is None, said
                assert time.monotonic() < until, said
                time.sleep(0.03)
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait(5)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def python(script: str, folder: Path, *arguments: str) -> list[str]:
    """The command line of a server written in Python."""
    file = folder / "server.py"
    file.write_text(script, encoding="utf-8")
    return [sys.executable, str(file), *arguments]


def judged(
    folder: Path, toml: str, select: list[str], *arguments: str, env: Mapping[str, str] | None = None
) -> Results:
    """The results by check and target of a gate that asks for these checks, skipped ones left out.

    toml: what stands below `[environments.t]`.
    """
    head = f'version = 1\nproject = "t"\n[gates.g]\nselect = {json.dumps(select)}\n[environments.t]\n'
    project = bare(folder / "judged", head + toml)
    project.environ = dict(env or {})
    revision = [] if "--revision" in arguments else ["--revision", "r"]
    words = ["--gate", "g", "--prodcheck-select", *revision, "--prodcheck-json", "run.json", *arguments]
    done = project.pytest(*words, env="t")
    file = project.folder / "run.json"
    assert file.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(file.read_text(encoding="utf-8"))["run"]["results"]
    shutil.rmtree(project.folder)
    return {(each["check"], each["target"]): each for each in found if each["outcome"] != "skipped"}


def outcomes(results: Results) -> dict[str, str]:
    """Check and target in one, and the outcome."""
    return {f"{check} {target}": each["outcome"] for (check, target), each in results.items()}


def folder_for_nginx(folder: Path) -> Path:
    """A folder that the user nginx changes over to may read."""
    folder.chmod(0o755)
    for each in folder.parents:
        if str(each).startswith("/tmp/"):
            each.chmod(0o755)
    return folder


def certify(folder: Path, *names: str) -> tuple[str, str]:
    """`ca.pem` and `leaf.pem` (with its key) of a certificate for these names, in the folder; their paths."""
    ca = trustme.CA()
    leaf = ca.issue_cert(*names)
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "leaf.pem"))
    return str(folder / "ca.pem"), str(folder / "leaf.pem")
