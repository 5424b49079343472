"""The one place that uses private parts of redis-py; `tests/evidence/redis/test_redis_py.py` fails when they change."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from pytest_prodcheck.records import EvidenceProblem, Problem

_LOADING = threading.Lock()
# said to a new connection that is closed at once
_LAST_WORDS = ("ERR MAX NUMBER OF CLIENTS", "DENIED")


def load() -> None:
    """Imports redis-py, one thread at a time: its modules import each other, and two threads would block each other.

    Raises EvidenceProblem where it is not installed.
    """
    with _LOADING:
        try:
            from redis.exceptions import RedisError  # noqa: F401
        except ImportError:
            what, hint = "asking Redis needs redis-py", "pip install 'pytest-prodcheck[redis]'"
            raise EvidenceProblem(Problem("missing-extra", what, hint)) from None


def exchange(sock: Any, commands: Sequence[Sequence[str]], seconds: float) -> list[Any]:
    """The answers to the commands over a connected socket, which is closed; an error is an answer, too, not raised.

    Raises redis-py's errors for what is not RESP2, OSError for a broken connection.
    """
    import redis
    from redis._parsers import _RESP2Parser
    from redis.exceptions import ResponseError

    class Parser(_RESP2Parser):
        """Every error as the server worded it, and none that ends the exchange."""

        EXCEPTION_CLASSES = {}  # noqa: RUF012 - the parser's own

    connected: Any = redis.Connection

    class Connection(connected):  # type: ignore[misc]
        """One that is connected already: time, size and trust are bounded by us."""

        def _connect(self) -> Any:
            return sock

    def begin(connection: Any) -> None:  # instead of redis-py's greeting, which tells its name and version
        connection._parser.on_connect(connection)

    # RESP2 is spoken by every server; hiredis, where installed, would believe any length that it is told
    connection = Connection(
        protocol=2, parser_class=Parser, redis_connect_func=begin, socket_timeout=seconds,
        encoding_errors="replace", decode_responses=True,
    )  # fmt: skip
    try:
        connection.connect()
        connection.send_packed_command(connection.pack_commands(commands))
        answers: list[Any] = []
        for _ in commands:
            try:
                answers.append(connection.read_response(disconnect_on_error=False))
            except ResponseError as error:
                answers.append(error)
                if str(error).upper().startswith(_LAST_WORDS):
                    break
        return answers + [answers[-1]] * (len(commands) - len(answers))
    finally:
        connection.disconnect()
        sock.close()
