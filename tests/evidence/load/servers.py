"""Servers of known behaviour that keep the truth: when each answer left, and what it was."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
LIMITED = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Truth:
    """What the server knows. left: epoch seconds at which answers were sent, in order; took: their own time."""

    left: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    bad: int = 0
    resets: int = 0
    requests: int = 0
    connections: int = 0


Delay = Callable[[int, float], float]  # number of the request, seconds since the first: seconds until its answer
Say = Callable[[int, float], bytes | None]  # the answer; None resets the connection


def at_once(number: int, at: float) -> float:
    return 0.0


def well(number: int, at: float) -> bytes | None:
    return GOOD


class _Speaker(asyncio.Protocol):
    def __init__(self, truth: Truth, delay: Delay, say: Say, open_ones: set[asyncio.Transport]) -> None:
        self.truth, self.delay, self.say, self.open_ones = truth, delay, say, open_ones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.open_ones.add(transport)
        self.truth.connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        self.open_ones.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        if not data.startswith((b"GET ", b"POST ")):
            return  # a body that came by itself
        truth, now = self.truth, time.time()
        number, truth.requests = truth.requests, truth.requests + 1
        began = _FIRST.setdefault(id(truth), now)
        seconds = self.delay(number, now - began)
        loop = asyncio.get_running_loop()
        if seconds > 0:
            loop.call_later(seconds, self._answer, number, now, now - began)
        else:
            self._answer(number, now, now - began)

    def _answer(self, number: int, came: float, at: float) -> None:
        content = self.say(number, at)
        if content is None:
            self.truth.resets += 1
            self.transport.abort()
            return
        self.transport.write(content)
        now = time.time()
        if content.startswith(b"HTTP/1.1 200"):
            self.truth.left.append(now)
            self.truth.took.append(now - came)
        else:
            self.truth.bad += 1


_FIRST: dict[int, float] = {}


@contextmanager
def server(delay: Delay = at_once, say: Say = well) -> Iterator[tuple[int, Truth]]:
    """A running server; yields its port and the truth. `delay` may block the whole of it, as a stall does."""
    loop, truth = asyncio.new_event_loop(), Truth()
    ports: list[int] = []
    ready = threading.Event()
    servers: list[asyncio.Server] = []
    open_ones: set[asyncio.Transport] = set()

    async def serve() -> None:
        made = await loop.create_server(lambda: _Speaker(truth, delay, say, open_ones), "127.0.0.1", 0, backlog=1024)
        ports.append(made.sockets[0].getsockname()[1])
        servers.append(made)
        ready.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(close())
        loop.close()

    async def close() -> None:
        servers[0].close()
        for transport in list(open_ones):
            transport.abort()
        await asyncio.sleep(0)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield ports[0], truth
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        _FIRST.pop(id(truth), None)


@contextmanager
def server_by_path(answers: Mapping[str, bytes]) -> Iterator[int]:
    """A running server that answers each path as said, 404 elsewhere; yields its port."""
    with serving(lambda head: answers.get(head.split(b" ")[1].decode(), NOT_FOUND)) as port:
        yield port


class Last(bytes):
    """An answer after which the connection ends."""


class Slowly(bytes):
    """An answer that begins at once and of which each further byte comes a while after the one before."""

    def parts(self) -> Iterator[bytes]:
        """What is sent in one go each."""
        head, _, body = self.partition(b"\r\n\r\n")
        yield head + b"\r\n\r\n"
        for each in body:
            time.sleep(0.3)
            yield bytes([each])


@contextmanager
def serving(answer: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """A running server with threads; `answer` makes whole answers of heads, None ends the connection instead."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)

    def talk(client: socket.socket) -> None:
        with client, suppress(OSError):
            while (data := client.recv(65536)) and (made := answer(data)) is not None:
                for part in made.parts() if isinstance(made, Slowly) else (made,):
                    client.sendall(part)
                if isinstance(made, Last):
                    return

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(listening.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)
