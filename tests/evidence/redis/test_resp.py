"""Our reader of RESP2 beside redis-py's public client: on drawn answers, on damaged ones, and on a real server."""

from __future__ import annotations

import random
import socket
import threading
from binascii import crc_hqx
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Connection, ResponseError
from redis.crc import key_slot

from pytest_prodcheck.evidence.redis.resp import Answer, NotRedis, RedisError, exchange
from pytest_prodcheck.evidence.redis.writes import SLOTS
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.redis.topologies import servers

COMMANDS = (("PING",), ("CONFIG", "GET", "save"))


@contextmanager
def server(*says: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port that says one text to each connection, in order, then hangs up; and what came in."""
    seen: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def speak() -> None:
            for each in says:
                with closing(listening.accept()[0]) as sock:
                    sock.sendall(each)
                    sock.shutdown(socket.SHUT_WR)
                    while data := sock.recv(65536):
                        seen.append(data)

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        yield listening.getsockname()[1], seen
        thread.join(5)


def ours(port: int, commands: Sequence[Sequence[str]] = (("PING",),)) -> list[Answer]:
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as sock:
        return exchange(sock, "there", commands)


def theirs(port: int, commands: Sequence[Sequence[str]] = (("PING",),)) -> list[Any]:
    public: Any = Connection
    connection = public(
        "127.0.0.1", port, socket_timeout=5, protocol=2, decode_responses=True, encoding_errors="replace",
        driver_info=None,
    )  # fmt: skip
    answers: list[Any] = []
    try:
        connection.connect()
        connection.send_packed_command(connection.pack_commands(commands))
        for _ in commands:
            try:
                answers.append(connection.read_response(disconnect_on_error=False))
            except ResponseError as error:
                answers.append(error)
    finally:
        connection.disconnect()
    return answers


def same(our: Any, their: Any) -> bool:
    """Errors are compared by their words; redis-py drops the code of some."""
    if isinstance(our, list) and isinstance(their, list):
        return len(our) == len(their) and all(map(same, our, their))
    if isinstance(our, RedisError):
        return isinstance(their, ResponseError) and str(our).endswith(str(their))
    return type(our) is type(their) and our == their


def drawn(draw: random.Random, depth: int = 0) -> bytes:
    word = "".join(draw.choice("aZ09 :$*-+é€\x00") for _ in range(draw.randrange(12)))
    kind = draw.choice("+-:$*" if depth < 4 else "+-:$")
    if kind == ":":
        return b":%d\r\n" % draw.choice([0, -1, 7, 2**63 - 1, -(2**63), draw.randrange(10**6)])
    if kind in "$*" and draw.random() < 0.1:
        return kind.encode() + b"-1\r\n"
    if kind == "$":
        text = word.encode() + draw.choice([b"", b"\r\n", b"\xff", b"+OK\r\n"])
        return b"$%d\r\n%s\r\n" % (len(text), text)
    if kind == "*":
        inner = [drawn(draw, depth + 1) for _ in range(draw.randrange(4))]
        return b"*%d\r\n" % len(inner) + b"".join(inner)
    return kind.encode() + word.encode() + b"\r\n"


def damaged(draw: random.Random, text: bytes) -> bytes:
    at = draw.randrange(len(text) + 1)
    change = draw.choice([b"", b"\r\n", b"$", b"*", b"1", b"-", b"_", b" ", b"\n", b"+"])
    return text[:at] + change + text[at + draw.randrange(3) :]


def test_drawn_answers_are_read_as_redis_py_reads_them(pytestconfig: pytest.Config) -> None:
    draw = random.Random(21)
    texts = [drawn(draw) for _ in range(20_000 if pytestconfig.getoption("--soak") else 500)]
    together = b"".join(texts)
    commands = [("PING",)] * len(texts)
    with server(together, together) as (port, _):
        our, their = ours(port, commands), theirs(port, commands)
    wrong = [pair for pair in zip(texts, our, their, strict=True) if not same(*pair[1:])]
    assert not wrong


def test_of_a_damaged_answer_nothing_is_read_that_redis_py_does_not_read(pytestconfig: pytest.Config) -> None:
    draw = random.Random(22)
    texts = [damaged(draw, drawn(draw)) for _ in range(5_000 if pytestconfig.getoption("--soak") else 200)]
    refused = 0
    with server(*(each for text in texts for each in (text, text))) as (port, _):
        for text in texts:
            their: Any = None
            try:
                our: Any = ours(port)
            except (NotRedis, OSError, EvidenceProblem):
                our, refused = None, refused + 1
            try:
                their = theirs(port)
            except Exception as error:  # what redis-py raises for nonsense is its own affair
                their = error
            assert our is None or same(our, their), (text, our, their)
    assert 0 < refused < len(texts)


def test_a_real_server_is_read_as_redis_py_reads_it(tmp_path: Path) -> None:
    nested = "return {1, {'two', {3, false, 'é'}}, redis.error_reply('BAD words'), redis.status_reply('FINE'), {}}"
    commands = (
        ("PING",), ("CONFIG", "GET", "*"), ("COMMAND", "INFO", "GET", "XADD"), ("GET", "nothing"), ("NO", "SUCH"),
        ("EVAL", nested, "0"), ("SET", "a", "é\r\n"), ("GET", "a"), ("CLUSTER", "INFO"), ("INCR", "n"), ("TIME", "x"),
        ("ACL", "GETUSER", "default"), ("BLPOP", "nothing", "0.01"), ("LATENCY", "DOCTOR"),
    )  # fmt: skip
    with servers(tmp_path, ()) as (one,):
        our = ours(one.port, commands)
        one.do("FLUSHALL")
        their = theirs(one.port, commands)
    assert not [pair for pair in zip(our, their, strict=True) if not same(*pair)]
    assert isinstance(our[5], list)
    assert str(our[4]).startswith("ERR unknown command")


def test_all_commands_go_out_at_once_without_a_greeting() -> None:
    with server(b"+PONG\r\n*2\r\n$4\r\nsave\r\n$0\r\n\r\n") as (port, seen):
        assert ours(port, COMMANDS) == ["PONG", ["save", ""]]
    assert b"".join(seen) == b"*1\r\n$4\r\nPING\r\n*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nsave\r\n"


def test_the_last_words_of_a_server_answer_all_commands() -> None:
    with server(b"-ERR max number of clients reached\r\n") as (port, _):
        assert [str(each) for each in ours(port, COMMANDS)] == ["ERR max number of clients reached"] * 2


@pytest.mark.parametrize(
    ("says", "raised"),
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", NotRedis, id="http"),
        pytest.param(b"_\r\n", NotRedis, id="resp3"),
        pytest.param(b"+half\n", NotRedis, id="no-carriage-return"),
        pytest.param(b":1_000\r\n", NotRedis, id="python-number"),
        pytest.param(b":" + b"9" * 5000 + b"\r\n", NotRedis, id="long-number"),
        pytest.param(b"$-2\r\n", NotRedis, id="negative-length"),
        pytest.param(b"$2\r\nabc\r\n", NotRedis, id="longer-text"),
        pytest.param(b"*1\r\n" * 17 + b":1\r\n", NotRedis, id="deep"),
        pytest.param(b"$9\r\nhalf", ConnectionError, id="half-text"),
        pytest.param(b"+half", ConnectionError, id="half-line"),
        pytest.param(b"*999999999999\r\n:1\r\n", ConnectionError, id="missing-elements"),
        pytest.param(b"$1048576\r\n", EvidenceProblem, id="length-beyond-the-limit"),
        pytest.param(b"+" + b"x" * 1048577, EvidenceProblem, id="line-beyond-the-limit"),
        pytest.param(b"*262145\r\n" + b":1\r\n" * 262145, EvidenceProblem, id="elements-beyond-the-limit"),
    ],
)
def test_what_is_no_answer_of_redis(says: bytes, raised: type[Exception]) -> None:
    with server(says) as (port, _), pytest.raises(raised):
        ours(port)


def test_the_slot_of_a_key_is_the_one_of_redis_py() -> None:
    assert all(crc_hqx(key, 0) % SLOTS == key_slot(key) for key in (b"", b"1", b"199999", b"prodcheck"))
