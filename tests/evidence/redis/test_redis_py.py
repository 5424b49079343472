"""The private parts of redis-py that we use behave as we rely on; a version that changes them fails here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis.exceptions import InvalidResponse, ResponseError

from pytest_prodcheck.evidence.redis import redis_py

COMMANDS = (("PING",), ("CONFIG", "GET", "save"))


@contextmanager
def server(says: bytes) -> Iterator[tuple[socket.socket, list[bytes]]]:
    """A connected socket, and what came in at its other end."""
    ours, theirs = socket.socketpair()
    seen: list[bytes] = []

    def speak() -> None:
        seen.append(theirs.recv(65536))
        theirs.sendall(says)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield ours, seen
    finally:
        thread.join(5)
        ours.close()
        theirs.close()


def exchange(says: bytes) -> tuple[list[Any], bytes]:
    with server(says) as (sock, seen):
        answers = redis_py.exchange(sock, COMMANDS, 5)
    return answers, seen[0]


def test_all_commands_go_out_at_once_without_a_greeting() -> None:
    answers, sent = exchange(b"+PONG\r\n*2\r\n$4\r\nsave\r\n$0\r\n\r\n")
    assert answers == ["PONG", ["save", ""]]
    assert sent == b"*1\r\n$4\r\nPING\r\n*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nsave\r\n"


def test_an_error_is_the_answer_as_it_was_worded() -> None:
    answers, _ = exchange(b"-LOADING Redis is loading the dataset in memory\r\n-NOPERM no rights\r\n")
    assert [type(each) for each in answers] == [ResponseError, ResponseError]
    assert [str(each) for each in answers] == ["LOADING Redis is loading the dataset in memory", "NOPERM no rights"]


def test_the_last_words_of_a_server_answer_all_commands() -> None:
    answers, _ = exchange(b"-ERR max number of clients reached\r\n")
    assert [str(each) for each in answers] == ["ERR max number of clients reached"] * 2


def test_what_is_no_redis_is_told() -> None:
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (sock, _), pytest.raises(InvalidResponse):
        redis_py.exchange(sock, COMMANDS, 5)
    assert sock.fileno() == -1
