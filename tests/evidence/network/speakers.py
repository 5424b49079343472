"""TCP servers that say what a test wants, or misbehave."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def speaker(talk: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[str]:
    """A TCP server that does `talk` with each connection; yields its HOST:PORT. Ends what it started."""
    listening = socket.create_server((host, 0))
    live: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def one(client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            talk(client)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                live.append(client)
                threads.append(threading.Thread(target=one, args=(client,), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=serve, daemon=True)
    accepting.start()
    try:
        yield f"{host}:{listening.getsockname()[1]}"
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for client in live:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in (accepting, *threads):
            thread.join(2)


def hang(client: socket.socket) -> None:
    while client.recv(4096):
        pass


def flood(data: bytes) -> Callable[[socket.socket], None]:
    def talk(client: socket.socket) -> None:
        block = data * (65536 // len(data) + 1)
        while True:
            client.sendall(block)

    return talk


def drip(data: bytes) -> Callable[[socket.socket], None]:
    """One byte every 50 ms: each read of a client is in time."""

    def talk(client: socket.socket) -> None:
        for byte in data * 1000:
            client.sendall(bytes([byte]))
            time.sleep(0.05)

    return talk


def say(data: bytes) -> Callable[[socket.socket], None]:
    """Answers whatever comes first with `data`, and hangs up."""

    def talk(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        hang(client)

    return talk


@contextlib.contextmanager
def raw_server(speak: Callable[[socket.socket], None], host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A server whose every connection is handed to `speak` in a thread of its own; yields its port."""
    listener = socket.create_server((host, port), backlog=128)
    open_ones: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_ones.append(connection)
            threading.Thread(target=run, args=(connection,), daemon=True).start()

    def run(connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            speak(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_ones:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
