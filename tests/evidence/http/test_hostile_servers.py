"""Hostile and broken servers: one clean problem, in time; a request is tried once more at most, and that is told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.client_calls import GET, answers_with, ask_shop, plain, problem
from tests.evidence.http.servers import read_request
from tests.evidence.network.speakers import raw_server


def drip_headers(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n"[:1])
        time.sleep(0.05)


def drip_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def drip_until_closed(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def endless_chunk_line(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;")
    while True:
        connection.sendall(b"x" * 65_536)


def endless_continue(connection: socket.socket) -> None:
    read_request(connection)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def silent(connection: socket.socket) -> None:
    time.sleep(10)


def reset(connection: socket.socket) -> None:
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("speak", "kinds"),
    [
        (drip_headers, ("timeout",)),
        (drip_body, ("timeout",)),
        (drip_until_closed, ("timeout",)),
        (endless_continue, ("timeout",)),
        (silent, ("timeout",)),
        (endless_chunk_line, ("protocol", "reset", "timeout")),
        (reset, ("reset",)),
        (answers_with(b""), ("reset",)),
        (answers_with(HEAD + b"Content-Length: 100\r\n\r\nshort"), ("reset",)),
        (answers_with(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"), ("reset",)),
        (answers_with(b"SSH-2.0-OpenSSH_9\r\n\x1b[31mred"), ("protocol",)),
        (answers_with(b"\x15\x03\x01\x00\x02\x02"), ("protocol", "reset")),
        (answers_with(HEAD + b"X: y\r\n" * 100_000 + b"\r\n"), ("protocol", "too-large", "reset")),
        (answers_with(HEAD + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n"), ("protocol", "too-large", "reset")),
        (
            answers_with(HEAD + b"".join(b"%c: %s\r\n" % (name, b"y" * 60_000) for name in b"XYZ") + b"\r\n"),
            ("too-large",),
        ),
    ],
)  # fmt: skip
def test_hostile_servers_end_in_time_with_one_clean_problem(
    tmp_path: Path, speak: Callable[[socket.socket], None], kinds: tuple[str, ...]
) -> None:
    with raw_server(speak) as port:
        started = time.monotonic()
        told = problem(plain(tmp_path, port), seconds=0.8, retry=False)
        assert time.monotonic() - started < 2
    assert told.kind in kinds, told
    assert told.message.startswith(f"GET http://127.0.0.1:{port}/base/x")
    assert told.message.isprintable()
    assert len(told.message) < 700


def test_a_connection_that_is_used_again_is_held_to_the_next_deadline(tmp_path: Path) -> None:
    """And it really ends when it is closed: nothing of ours keeps it open."""
    ended = threading.Event()

    def speak(connection: socket.socket) -> None:
        for _ in range(3):
            read_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        with contextlib.suppress(OSError):
            drip_headers(connection)
        ended.set()

    with raw_server(speak) as port:
        context = plain(tmp_path, port)
        for _ in range(3):
            assert ask_shop(context, seconds=0.5).exchange.text == "ok"
            time.sleep(0.3)
        started = time.monotonic()
        found = problem(context, seconds=0.5)
        assert 0.3 < time.monotonic() - started < 2
        assert found.kind == "timeout"
        assert ended.wait(2)


def test_a_connection_that_is_closed_is_closed_for_the_peer(tmp_path: Path) -> None:
    seen: list[bytes] = []
    ended = threading.Event()

    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.settimeout(5)
        seen.append(connection.recv(1))
        ended.set()

    with raw_server(speak) as port:
        context = plain(tmp_path, port)
        ask_shop(context)
        assert not ended.wait(0.2)
        context.close()
        assert ended.wait(2)
    assert seen == [b""]


def test_tls_handshakes_that_never_end_are_ended(tmp_path: Path) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")
        while True:
            connection.sendall(b"\x02")
            time.sleep(0.05)

    with raw_server(drip) as port:
        context = context_for(tmp_path, services={"shop": {"url": f"https://localhost:{port}"}})
        assert problem(context, seconds=0.6, retry=False).kind == "timeout"


def test_a_reset_connection_is_tried_once_more_and_noted(tmp_path: Path) -> None:
    turns = iter([reset])

    def speak(connection: socket.socket) -> None:
        next(turns, answers_with(HEAD + b"Content-Length: 2\r\n\r\nok"))(connection)

    with raw_server(speak) as port:
        deadline = Deadline(5)
        assert client_of(plain(tmp_path, port), "shop").ask(GET, deadline).text == "ok"
    assert len(deadline.notes) == 1
    assert "tried again once" in deadline.notes[0]


def test_a_write_that_may_have_arrived_is_never_sent_twice(tmp_path: Path) -> None:
    connections = []

    def speak(connection: socket.socket) -> None:
        connections.append(1)
        reset(connection)

    with raw_server(speak) as port:
        assert problem(plain(tmp_path, port), Request("POST", "/x", json={})).kind == "reset"
    assert len(connections) == 1


def test_a_write_that_could_not_be_sent_is_tried_again(tmp_path: Path) -> None:
    with raw_server(silent) as port:
        pass
    deadline = Deadline(5)
    with pytest.raises(EvidenceProblem) as caught:
        client_of(plain(tmp_path, port), "shop").ask(Request("POST", "/x", json={}), deadline)
    assert caught.value.problem.kind == "refused"
    assert len(deadline.notes) == 1
