"""What the tests of names, ports and stores talk to: real servers, and raw sockets that misbehave."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.message
import pytest

from pytest_prodcheck.demo.files.configuration import Secrets, new_secrets
from pytest_prodcheck.demo.network.balancer import Entrance, Loop, bound
from pytest_prodcheck.demo.network.dns_server import Names, bound_udp
from pytest_prodcheck.demo.postgres import cluster as postgres
from pytest_prodcheck.demo.redis import group as redis
from pytest_prodcheck.demo.runtime import certificate_authority
from pytest_prodcheck.demo.runtime.folders import create, remove
from pytest_prodcheck.demo.runtime.processes import Spawner
from pytest_prodcheck.demo.runtime.programs import has_tls
from pytest_prodcheck.environments.project import Environment
from pytest_prodcheck.environments.sections.base import SecretRef
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem, Problem


class FileSecrets:
    """Secrets are the text of `{ file = … }` itself."""

    def resolve(self, ref: SecretRef, timeout: float) -> str:
        return str(ref.file)


class NoRedactor:
    def add(self, value: str) -> None: ...

    def redact(self, text: str) -> str:
        return text

    def redact_data(self, obj: Any) -> Any:
        return obj


def context(root: Path = Path("/"), **tables: Any) -> Context:
    return Context(Environment(**tables), root, secrets=FileSecrets(), redactor=NoRedactor())


def gather(name: str, target: str, given: Context, seconds: float | None = None) -> Any:
    collector = find(name)
    allowed = seconds or collector.seconds_for(target, given.environment)
    return collector.gather(target, given, Deadline(allowed))


def problem_of(call: Callable[[], Any]) -> Problem:
    with pytest.raises(EvidenceProblem) as caught:
        call()
    return caught.value.problem


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
def dns_server(answer: Callable[[dns.message.Message, bool], bytes | None]) -> Iterator[str]:
    """A DNS server by UDP and TCP; `answer(query, by_tcp)` gives the datagram, None for silence. Yields IP:PORT."""
    import struct

    def by_tcp(client: socket.socket) -> None:
        (size,) = struct.unpack("!H", client.recv(2))
        if reply := answer(dns.message.from_wire(client.recv(size)), True):
            client.sendall(struct.pack("!H", len(reply)) + reply)

    with speaker(by_tcp) as address, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", int(address.rpartition(":")[2])))
        ended = threading.Event()
        udp.settimeout(0.05)

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    wire, client = udp.recvfrom(4096)
                    if reply := answer(dns.message.from_wire(wire), False):
                        udp.sendto(reply, client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            ended.set()
            thread.join(2)


class Stores:
    """The demo's servers in this process, by name through its name server."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.loop = Loop()
        self.spawner = Spawner(place)
        self.known: Secrets = new_secrets()
        self.entrances: list[Entrance] = []
        udp = bound_udp()
        self.names = Names(udp, ("127.0.0.1",))
        self.names.start()
        self.nameserver = f"127.0.0.1:{udp.getsockname()[1]}"

    def entrance(self, host: str = "127.0.0.1", port: int = 0) -> Entrance:
        """Closed with the rest."""
        self.entrances.append(Entrance(self.loop, bound(host, port), []))
        return self.entrances[-1]

    def start_postgres(self, programs: Path | None = None) -> postgres.Cluster:
        """programs: those of another version than the demo takes; without TLS where they have none."""
        hosts: dict[str, tuple[str, ...]] = {"postgres": ("db-rw.demo.test", "db-1.demo.test", "db-2.demo.test")}
        certificate_authority.write(self.place, hosts)
        pair = self.entrance(), self.entrance()
        tls = programs is None or has_tls(programs)
        cluster = postgres.Cluster(self.place, self.spawner, pair, self.entrance(), self.known, tls, programs)
        cluster.start()
        return cluster

    def start_redis(self) -> redis.Group:
        pair = self.entrance(), self.entrance()
        group = redis.Group(self.place, self.spawner, pair, self.known.redis)
        group.start()
        return group


@contextlib.contextmanager
def stores() -> Iterator[Stores]:
    import os

    place, lock = create()
    running = Stores(place)
    try:
        yield running
    finally:
        for entrance in running.entrances:
            entrance.set_mode("down")
            entrance._sock.close()
        running.spawner.end_all()
        remove(place)
        os.close(lock)


def at(name: str, entrance: Entrance) -> str:
    return f"{name}.demo.test:{entrance.address[1]}"
