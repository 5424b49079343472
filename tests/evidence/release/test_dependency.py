"""What an environment cannot do without: proven silent, or not to be told."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.release.dependency import _postgres, _redis
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.release import DependencyAnswer
from pytest_prodcheck.records.stores import PostgresCluster, PostgresNode, RedisGroup, RedisNode
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import web
from tests.evidence.network.speakers import raw_server


def ask(root: Path, **declared: Any) -> DependencyAnswer:
    context = context_for(root, dependencies={"it": declared})
    found: DependencyAnswer = find("dependency").gather("it", context, Deadline(5))
    return found


@pytest.mark.parametrize(
    ("status", "declared", "answered"),
    [(200, {}, True), (302, {}, True), (404, {}, False), (503, {}, False), (401, {"status": 401}, True)],
)
def test_http(status: int, declared: dict[str, Any], answered: bool, tmp_path: Path) -> None:
    with web(lambda seen: (status, {}, b"")) as server:
        found = ask(tmp_path, http=f"http://127.0.0.1:{server.port}/status?token=hush", **declared)
        assert [seen.path for seen in server.requests] == ["/status?token=hush"]
    assert (found.kind, found.answered) == ("http", answered)
    assert answered or found.reason == f"it answers {status}"
    assert "hush" not in found.where


def test_http_that_is_refused_or_silent_or_garbage_is_an_answer(tmp_path: Path) -> None:
    with raw_server(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")) as port:
        assert not ask(tmp_path, http=f"http://127.0.0.1:{port}/").answered
    assert "refuses" in ask(tmp_path, http=f"http://127.0.0.1:{port}/").reason

    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with raw_server(silent) as port:
        found = ask(tmp_path, http=f"http://127.0.0.1:{port}/", timeout=0.3)
    assert (found.answered, found.seconds < 3) == (False, True)


def test_what_may_be_our_own_doing_is_a_problem(tmp_path: Path) -> None:
    with web(lambda seen: (200, {}, b"")) as server, pytest.raises(EvidenceProblem) as caught:
        ask(tmp_path, http=f"https://127.0.0.1:{server.port}/")
    assert caught.value.problem.kind == "tls"


def test_ports_and_names(tmp_path: Path) -> None:
    with raw_server(lambda connection: None) as port:
        assert ask(tmp_path, tcp=f"127.0.0.1:{port}").answered
    assert not ask(tmp_path, tcp=f"127.0.0.1:{port}").answered
    assert ask(tmp_path, dns="localhost").answered
    assert ask(tmp_path, dns="localhost", expect=["10.9.8.7"]).reason == "10.9.8.7 is not among its addresses"


UP = PostgresNode("a:1", 0.1)
READ_ONLY = PostgresNode("b:1", 0.1, read_only=True)
GONE = PostgresNode("c:1", 1.0, Problem("refused", "c:1 refused the connection"))
DENIED = PostgresNode("d:1", 0.1, Problem("denied", "the password is wrong"))


def test_postgres_answers_where_somebody_can_write() -> None:
    def found(nodes: list[PostgresNode], writer: PostgresNode | None = None) -> DependencyAnswer:
        return _postgres(PostgresCluster(tuple(nodes), writer, 1, 1, None))

    assert found([GONE, UP]).where == "a:1"
    assert not found([UP], READ_ONLY).answered
    assert found([GONE, READ_ONLY]).reason == "c:1 refused the connection; it takes no writes"
    with pytest.raises(EvidenceProblem, match="the password is wrong"):
        found([GONE, DENIED])


def test_redis_answers_where_there_is_a_primary() -> None:
    def found(*nodes: RedisNode) -> DependencyAnswer:
        return _redis(RedisGroup(nodes, 1, 1, None))

    assert found(RedisNode("a:1", 0.1, role="slave"), RedisNode("b:1", 0.1, role="master")).where == "b:1"
    assert not found(RedisNode("a:1", 0.1, role="master", loading=True)).answered
    assert not found(RedisNode("a:1", 0.1, Problem("timeout", "no answer"))).answered
