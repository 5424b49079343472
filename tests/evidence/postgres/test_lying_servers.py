"""Servers that lie, flood, hang or speak something else, and what is read from the words of servers and poolers."""

from __future__ import annotations

import json
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.collectors import Sending
from pytest_prodcheck.evidence.postgres.problems import ServerError, classify
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records.stores import PostgresNode
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.network.dns_servers import dns_server
from tests.evidence.network.speakers import drip, flood, hang, say, speaker
from tests.evidence.network.test_resolving import reply
from tests.evidence.postgres.node_problems import problem


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


ROW = message(b"T", struct.pack("!H", 1) + b"facts\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0))


READY = message(b"Z", b"I")


WELCOME = message(b"R", struct.pack("!I", 0)) + message(b"S", b"client_encoding\0UTF8\0") + READY


def value(data: bytes) -> bytes:
    return message(b"D", struct.pack("!HI", 1, len(data)) + data)


def impostor(answer: bytes, forever: bytes = b"") -> Callable[[socket.socket], None]:
    """Speaks the protocol, lets everybody in, and answers the question with `answer`, then `forever`."""

    def talk(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(WELCOME)
        client.recv(65536)
        client.sendall(answer)
        if forever:
            flood(forever)(client)
        hang(client)

    return talk


def single_node(address: str, seconds: float = 1.0, **changes: Any) -> tuple[PostgresNode, float]:
    settings = {"nodes": [address], "tls": {"mode": "disable"}, "password": {"file": "canary-secret-93"}, **changes}
    settings.setdefault("timeouts", {"connect": seconds / 2, "statement": seconds / 2})
    began = time.monotonic()
    found = gather("postgres-cluster", "x", context(postgres={"x": settings}))
    return found.nodes[0], time.monotonic() - began


FACTS = {
    "version": 150000, "recovering": False, "default_read_only": False, "hidden": False, "system_identifier": "7",
    "max_connections": 100, "reserved": 3, "used": 1, "receiver": "", "paused": False, "standbys": 0, "synchronous": 0,
    "synchronous_names": "", "commits_wait": True, "confirming": 0, "waiting": [], "limited": [], "locked_out": [],
}  # fmt: skip


def row_answer(facts: object) -> bytes:
    return ROW + value(json.dumps(facts).encode()) + message(b"C", b"SELECT 1\0") + READY


def test_impostor_with_plausible_facts_is_believed() -> None:
    """The control of the tests below."""
    with speaker(impostor(row_answer(FACTS))) as address:
        node, _ = single_node(address)
    assert (node.problem, node.max_connections) == (None, 100)


@pytest.mark.parametrize(
    "facts",
    [
        {**FACTS, "used": "1"}, {**FACTS, "used": float("nan")}, {**FACTS, "used": None}, {**FACTS, "used": True},
        {**FACTS, "used": -1}, {**FACTS, "recovering": None}, {**FACTS, "paused": 0}, {}, [], "", None,
    ],
)  # fmt: skip
def test_facts_that_are_none(facts: object) -> None:
    with speaker(impostor(row_answer(facts))) as address:
        node, _ = single_node(address)
    assert problem(node).kind == "protocol"


@pytest.mark.parametrize("answer", [ROW + value(b"not json") + READY, READY, message(b"I", b"") + READY])
def test_answers_without_facts(answer: bytes) -> None:
    with speaker(impostor(answer)) as address:
        node, _ = single_node(address)
    assert problem(node).kind in ("protocol", "reset")


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(flood(b"\xff\0garbage"), id="garbage"),
        pytest.param(flood(WELCOME), id="welcome"),
        pytest.param(flood(message(b"N", b"SNOTICE\0Mhello\0\0")), id="notices"),
        pytest.param(impostor(ROW, value(b"x" * 1000)), id="rows"),
        pytest.param(impostor(ROW + b"D" + struct.pack("!IHI", 1 << 30, 1, 1 << 29), b"x"), id="one-huge-row"),
        pytest.param(impostor(b"", message(b"S", b"a\0b\0")), id="parameters"),
        pytest.param(impostor(b"", message(b"A", b"\0\0\0\1a\0b\0")), id="notifications"),
        pytest.param(impostor(b"", message(b"C", b"SELECT 1\0")), id="results"),
    ],
)
def test_floods_end_in_time_and_memory(talk: Callable[[socket.socket], None]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with speaker(talk) as address:
        node, took = single_node(address)
    assert problem(node).kind in ("protocol", "too-large", "reset", "timeout")
    assert took < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize(
    ("talk", "kinds"),
    [
        pytest.param(hang, ("timeout",), id="hang"),
        pytest.param(impostor(b""), ("timeout",), id="hang-after-login"),
        pytest.param(drip(WELCOME[:20]), ("timeout",), id="drip"),
        pytest.param(impostor(ROW[:-3]), ("timeout",), id="half-an-answer"),
        pytest.param(say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ("protocol",), id="http"),
        pytest.param(say(b"-ERR unknown command\r\n"), ("protocol",), id="redis"),
        pytest.param(say(b""), ("reset",), id="closed"),
    ],
)
@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
def test_wrong_speakers_are_told_in_time(
    talk: Callable[[socket.socket], None], kinds: tuple[str, ...], mode: str
) -> None:
    with speaker(talk) as address:
        node, took = single_node(address, tls={"mode": mode})
    if mode == "disable":
        assert problem(node).kind in kinds
    assert problem(node).kind in (*kinds, "protocol", "tls", "reset")
    assert address in problem(node).message
    assert took < 3


def test_server_without_tls() -> None:
    with speaker(say(b"N")) as address:
        node, _ = single_node(address, tls={"mode": "require"})
    assert problem(node).kind == "tls"
    assert "disable" in problem(node).hint


def test_tls_handshake_that_never_ends() -> None:
    def talk(client: socket.socket) -> None:
        client.recv(8)
        client.sendall(b"S")
        hang(client)

    with speaker(talk) as address:
        node, took = single_node(address, tls={"mode": "require"})
    assert problem(node).kind == "timeout"
    assert took < 3


def test_name_with_a_dead_family(tmp_path: Path) -> None:
    with (
        speaker(impostor(row_answer(FACTS))) as address,
        dns_server(lambda query, _: reply(query, ("db.test", "A", "127.0.0.1"), ("db.test", "AAAA", "::1"))) as server,
    ):
        settings = {"nodes": [f"db.test:{address.rpartition(':')[2]}"], "tls": {"mode": "disable"}}
        found = gather("postgres-cluster", "x", context(nameserver=server, postgres={"x": settings}))
    assert found.nodes[0].problem is None


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("FATAL:  sorry, too many clients already", "full"),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "full"),
        ('FATAL:  too many connections for database "shop"', "full"),
        ("FATAL:  no more connections allowed (max_client_conn)", "full"),
        ('FATAL:  too many connections for role "prodcheck"', "denied"),
        ("FATAL:  the database system is starting up", "refused"),
        ("FATAL:  the database system is not accepting connections", "refused"),
        ("server closed the connection unexpectedly", "reset"),
        ("SSL SYSCALL error: EOF detected", "reset"),
        ("FATAL:  Desol\u00e9, trop de clients", "protocol"),
    ],
)
def test_words_of_servers_and_poolers(said: str, kind: str) -> None:
    found = classify(ServerError(f'connection to server at "10.0.0.1", port 5432 failed: {said}\n'), "db:5432")
    assert found.kind == kind
    assert found.message.startswith("db:5432: ")
    assert "10.0.0.1" not in found.message
    assert kind != "full" or "too many" in found.message


def test_password_is_blanked_should_the_server_echo_it() -> None:
    found = classify(ServerError("FATAL:  your password canary\x1b[2J is weak", "28P01"), "db:5432", "canary")
    assert found.kind == "denied"
    assert "canary" not in found.message
    assert "\x1b" not in found.message


def test_without_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    found = problem_of(lambda: single_node("127.0.0.1:1"))
    assert (found.kind, found.hint) == ("missing-extra", "pip install 'pytest-prodcheck[postgres]'")


def test_what_is_sent() -> None:
    settings = {"nodes": ["a:1", "b:2"], "writer": "w:3", "user": "me", "timeouts": {"connect": "7s"}}
    environment = context(postgres={"x": settings}).environment
    collector = find("postgres-cluster")
    what = "PostgreSQL login as me, one read-only transaction"
    assert collector.sends("x", environment) == tuple(Sending(to, what) for to in ("a:1", "b:2", "w:3"))
    assert collector.host("x", environment) == "a:1"
    assert collector.seconds_for("x", environment) > 12
