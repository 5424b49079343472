"""Redis with TLS of its own, with and without a password, and ports that speak something else."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.runtime import certificate_authority
from pytest_prodcheck.records.encryption import RedisAccess
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.network.speakers import say, speaker

PASSWORD = "canary-password"


@dataclass
class Server:
    plain: int
    tls: int
    folder: Path


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Debian's redis-server with a plain port and one for TLS."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server with TLS. install: apt-get install redis-server")
    folder = tmp_path_factory.mktemp("redis-tls")
    certificate_authority.write(folder, {"redis": ("localhost", "127.0.0.1")})
    found = Server(free_port(), free_port(), folder)
    options = ["--port", str(found.plain), "--tls-port", str(found.tls), "--bind", "127.0.0.1", "--save", "",
               "--tls-cert-file", "redis.pem", "--tls-key-file", "redis.key", "--tls-ca-cert-file", "ca.pem",
               "--tls-auth-clients", "no", "--requirepass", PASSWORD, "--dir", str(folder)]  # fmt: skip
    child = subprocess.Popen([program, *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(100):
            if child.poll() is not None:
                output = child.communicate()[0].decode(errors="replace")
                pytest.skip(f"this redis-server has no TLS. install: apt-get install redis-server ({output[-200:]})")
            with closing(socket.socket()) as sock:
                if sock.connect_ex(("127.0.0.1", found.tls)) == 0:
                    break
            time.sleep(0.05)
        yield found
    finally:
        child.kill()
        child.communicate()


def gathered_access(
    server: Server, port: int, tls: dict[str, Any] | None, password: str | None = PASSWORD
) -> RedisAccess:
    settings: dict[str, Any] = {"nodes": [f"127.0.0.1:{port}"], "tls": tls}
    if password:
        settings["password"] = {"file": password}
    (node,) = gather("redis-encryption", "r", context(server.folder, redis={"r": settings})).nodes
    assert isinstance(node, RedisAccess)
    return node


def test_a_server_with_tls_says_nothing_to_plain_clients(server: Server) -> None:
    node = gathered_access(server, server.tls, {"ca": "ca.pem", "plain_ports": [free_port()]})
    assert node.problem is None
    assert node.anonymous == "NOAUTH"
    assert [each.speaks for each in node.plain] == [False, False]
    assert node.plain[1].said == "refuses connections"


def test_a_plain_port_beside_it_is_found(server: Server) -> None:
    node = gathered_access(server, server.tls, {"ca": "ca.pem", "plain_ports": [server.plain]})
    assert [(each.speaks, each.said) for each in node.plain][1] == (True, "-NOAUTH")


def test_without_declared_tls_no_plain_port_is_looked_for(server: Server) -> None:
    node = gathered_access(server, server.plain, None)
    assert (node.problem, node.anonymous, node.plain) == (None, "NOAUTH", ())


def test_without_a_control_nothing_is_told(server: Server) -> None:
    problem = gathered_access(server, server.plain, None, "wrong-password").problem
    assert problem is not None
    assert problem.kind == "denied"
    problem = gathered_access(server, server.plain, {"ca": "ca.pem"}).problem
    assert problem is not None


def test_a_default_user_without_a_password_is_found() -> None:
    with speaker(say(b"+PONG\r\n+PONG\r\n")) as address:
        settings = {"nodes": [address]}
        (node,) = gather("redis-encryption", "r", context(redis={"r": settings})).nodes
    assert node.anonymous == "PONG"


def test_a_file_that_is_missing_is_a_problem_of_the_whole() -> None:
    given = context(redis={"r": {"nodes": ["127.0.0.1:1"], "tls": {"ca": "nowhere.pem"}}})
    assert problem_of(lambda: gather("redis-encryption", "r", given)).kind == "configuration"
