"""A TCP load balancer: passes connections through to the backends in turn; one for each address that the demo shows."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

Address = tuple[str, int]
Mode = Literal["serve", "down", "hang", "cut", "full"]
_LINGER = struct.pack("ii", 1, 0)  # close by RST
_T = TypeVar("_T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Loop:
    """The event loop of all balancers, in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="balancers", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Runs a coroutine in the loop and waits for it (at most 5 s)."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(5)


def bound(host: str, port: int = 0) -> socket.socket:
    """A bound socket that does not listen: it keeps the port and refuses connections."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def bound_alike(hosts: Iterable[str]) -> list[socket.socket]:
    """Sockets with one port on all hosts; a further host that this machine lacks (127.0.0.2 on macOS) is left out."""
    first, *others = hosts
    for _ in range(50):
        sockets = [bound(first)]
        port: int = sockets[0].getsockname()[1]
        try:
            for host in others:
                sockets.append(bound(host, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return sockets
            for sock in sockets:
                sock.close()
            continue
        return sockets
    raise OSError("found no port that is free on all loopback addresses")


class LoadBalancer:
    """One listening address and what it does with connections.

    Modes: serve; down (refuses); hang (accepts and never speaks); cut (accepts and resets); full (the backlog is full,
    connections time out).
    """

    def __init__(self, loop: Loop, sock: socket.socket, targets: list[Address]) -> None:
        self.address: Address = sock.getsockname()[:2]
        self.targets = targets  # tried in turn, the next one where one refuses
        self.retry = True
        self.resets = 0  # so many of the next connections are reset
        self._turn = itertools.count()
        self._loop = loop
        self._sock = sock
        self._used = False
        self._accepting: asyncio.Task[None] | None = None
        self._live: set[asyncio.Task[None]] = set()
        self._plugs: list[socket.socket] = []
        self._tls: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.address[1]

    def set_mode(self, mode: Mode) -> None:
        """Changes what new connections meet; the existing ones end."""
        self._loop.run(self._set_mode(mode))

    @property
    def live(self) -> int:
        """How many connections it passes on."""
        return len(self._live)

    def drop(self) -> None:
        """Ends the existing connections."""
        self._loop.run(self._drop())

    async def _drop(self) -> None:
        for task in self._live:
            task.cancel()
        if self._live:
            await asyncio.wait(self._live, timeout=2)

    async def _set_mode(self, mode: Mode) -> None:
        if self._accepting:
            self._accepting.cancel()
            await asyncio.wait([self._accepting], timeout=1)
            self._accepting = None
        await self._drop()
        for plug in self._plugs:
            plug.close()
        self._plugs.clear()
        if self._used:
            self._sock.close()
            self._sock = bound(*self.address)
        self._used = True
        if mode == "full":
            self._sock.listen(0)
            self._plugs = [_fill_backlog(self.address) for _ in range(3)]
        elif mode != "down":
            self._sock.listen(256)
            self._accepting = asyncio.get_running_loop().create_task(self._accept(mode))

    async def _accept(self, mode: Mode) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._sock)
            except OSError:  # out of descriptors, or the client went away: the next one may do better
                await asyncio.sleep(0.05)
                continue
            task = loop.create_task(self._serve(client, mode))
            self._live.add(task)
            task.add_done_callback(self._live.discard)

    async def _serve(self, client: socket.socket, mode: Mode) -> None:
        try:
            if mode == "hang":
                await asyncio.get_running_loop().create_future()
            if mode == "cut" or self.resets > 0:
                self.resets -= mode != "cut"
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
                return
            await self._pass(client)
        finally:
            client.close()

    def secure(self, certificate: Path, key: Path) -> None:
        """Lets it end TLS, as a tunnel in front of a server does that has none of its own."""
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
        self._tls.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
        self._tls.load_cert_chain(certificate, key)

    async def _pass_secured(self, client: socket.socket, tls: ssl.SSLContext) -> None:
        server = await self._connect()
        if server is None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            return
        loop = asyncio.get_running_loop()
        inner = await asyncio.open_connection(sock=server)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, client, ssl=tls)
            if not transport.is_closing():  # of a client that left amid the handshake nothing would be heard any more
                await _both_ways((reader, asyncio.StreamWriter(transport, protocol, reader, loop)), inner)
        except OSError:  # no handshake, or none that is safe
            pass
        finally:
            inner[1].close()

    async def _pass(self, client: socket.socket) -> None:
        if self._tls is not None:
            return await self._pass_secured(client, self._tls)
        server = await self._connect()
        if server is None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            return None
        with server:
            forth = asyncio.ensure_future(_pump(client, server))
            try:
                await _pump(server, client)
            finally:  # the server's end is the connection's end
                forth.cancel()
                await asyncio.wait([forth])

    async def _connect(self) -> socket.socket | None:
        loop = asyncio.get_running_loop()
        start = next(self._turn)
        for offset in range(len(self.targets) if self.retry else 1):
            server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            server.setblocking(False)
            try:
                await loop.sock_connect(server, self.targets[(start + offset) % len(self.targets)])
            except OSError:
                server.close()
                continue
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return server
        return None


async def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Copies until the source ends; a reset on one side becomes a reset on the other."""
    loop = asyncio.get_running_loop()
    try:
        with contextlib.suppress(OSError):
            sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := await loop.sock_recv(source, 65536):
            await loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        with contextlib.suppress(OSError):
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            sink.shutdown(socket.SHUT_RDWR)


async def _both_ways(outer: Streams, inner: Streams) -> None:
    """Copies until one side ends, which ends the other: a server keeps what nobody asks any more for ever."""
    copies = [asyncio.ensure_future(_copy(outer[0], inner[1])), asyncio.ensure_future(_copy(inner[0], outer[1]))]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        await asyncio.wait(copies)
        outer[1].close()  # says goodbye in TLS
        outer[1].transport.abort()  # and does not wait for the other's


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copies until the source ends."""
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()


def _fill_backlog(address: Address) -> socket.socket:
    """Begins a connection that fills one place of a backlog."""
    plug = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plug.setblocking(False)
    plug.connect_ex(address)
    return plug
