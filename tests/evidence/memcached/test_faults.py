"""memcached, a real one: what it tells, what goes wrong with it, what is no fault, and peers that misbehave.

The demo has none: no wheel brings the program, and a demo should judge the same on every machine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from pytest_prodcheck.environments.loading import ConfigurationError, load
from pytest_prodcheck.records import MemcachedEvictions, MemcachedServers
from tests.evidence.contexts import context_for, gather
from tests.evidence.network.dns_servers import dns_server
from tests.evidence.network.speakers import drip, flood, hang, say, speaker
from tests.faults.elsewhere import Fault
from tests.monitoring.judging import colours
from tests.project import Project

RESPONDS, WRITES, EVICTIONS = (f"smoke.memcached.{each}" for each in ("responds", "writes", "evictions"))
ITEM = b"x" * 100_000
TOML = """\
version = 1
[environments.live.memcached.cache]
nodes  = ["{}", "{}"]
window = "500ms"
"""


class Server:
    """One memcached with 8 MB."""

    def __init__(self, *options: str, host: str = "127.0.0.1", port: int = 0) -> None:
        program = shutil.which("memcached")
        if program is None:
            pytest.skip("no memcached: apt-get install memcached")
        with socket.create_server((host, port)) as free:
            self.host, self.port = free.getsockname()
        words = [program, "-l", host, "-p", str(self.port), "-U", "0", "-m", "8", "-t", "2", *options]
        words += ["-u", "nobody"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        self.address = f"{host}:{self.port}"
        end = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < end
            assert self.process.poll() is None
            time.sleep(0.02)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask(b"version\r\n").startswith(b"VERSION")
        return False

    def ask(self, words: bytes) -> bytes:
        with socket.create_connection((self.host, self.port), 2) as client:
            client.sendall(words)
            return client.recv(4096)

    def store(self, name: int, item: bytes = ITEM) -> bytes:
        return self.ask(b"set key%d 0 0 %d\r\n%s\r\n" % (name, len(item), item))

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)


class Bench:
    """Two servers, the file that declares them, and whoever writes into the first."""

    def __init__(self, folder: Path) -> None:
        self.servers = [Server(), Server()]
        self.home = Project.make(folder, TOML.format(*(each.address for each in self.servers)))
        self._over = threading.Event()
        self._writers: list[threading.Thread] = []

    def replace(self, *options: str) -> None:
        """Another server instead of the first, with these options."""
        self.servers[0].end()
        before, self.servers[0] = self.servers[0], Server(*options)
        self.home.edit(before.address, self.servers[0].address)

    def write(self, keys: int) -> None:
        """Goes on writing so many keys of 100 kB in turn, until the end."""

        def go_on() -> None:
            while not self._over.is_set():
                for key in range(keys):
                    self.servers[0].store(key)

        self._writers.append(threading.Thread(target=go_on, daemon=True))
        self._writers[-1].start()

    def end(self) -> None:
        self._over.set()
        for each in self._writers:
            each.join(10)
        for server in self.servers:
            server.end()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "home")
    yield made
    made.end()


def _full(bench: Bench) -> None:
    for key in range(200):
        bench.servers[0].store(key)


def _full_and_busy(bench: Bench) -> None:
    _full(bench)
    bench.write(200)


def _without_evictions(bench: Bench) -> None:
    bench.replace("-M")
    _full(bench)
    assert b"out of memory" in bench.servers[0].store(500)
    bench.write(200)


FAULTS = (
    Fault("memcached-gone", lambda bench: bench.servers[0].end(),
          {RESPONDS: "failed", WRITES: "errored", EVICTIONS: "errored"}),
    Fault("memcached-hangs", lambda bench: bench.servers[1].process.send_signal(signal.SIGSTOP),
          {RESPONDS: "failed", WRITES: "errored", EVICTIONS: "errored"}),
    Fault("memcached-too-small", _full_and_busy, {EVICTIONS: "warned"}),
    Fault("memcached-full-without-evictions", _without_evictions, {WRITES: "failed"}),
)  # fmt: skip
BENIGN = (
    Fault("memcached-idle", lambda bench: None, {}),
    Fault("memcached-full-and-quiet", _full, {}),
    Fault("memcached-busy-with-room", lambda bench: bench.write(5), {}),
    Fault("memcached-emptied", lambda bench: bench.servers[0].ask(b"flush_all\r\n"), {}),
)


@pytest.mark.parametrize("fault", [*FAULTS, *BENIGN], ids=lambda fault: fault.name)
def test_what_is_noticed(fault: Fault, bench: Bench) -> None:
    fault.make(bench)
    bench.home.edit('window = "500ms"', 'window = "500ms"\ntimeout = "1s"')
    found = colours(bench.home, ("smoke.memcached.*",))
    assert {check: told.partition(":")[0] for check, told in found.items()} == fault.outcomes, found


def test_a_run_by_the_command(bench: Bench) -> None:
    bench.home.edit("version = 1", 'version = 1\n[gates.cache]\nselect = ["smoke.memcached.*"]')
    done = bench.home.prodcheck("run", "cache", "--env", "live")
    assert done.returncode == 0, done.stdout + done.stderr
    bench.servers[0].end()
    done = bench.home.prodcheck("run", "cache", "--env", "live")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{bench.servers[0].address}: connection refused" in done.stdout


def test_what_a_server_tells(bench: Bench, tmp_path: Path) -> None:
    for key in range(3):
        bench.servers[0].store(key)
    bench.servers[0].ask(b"get key1\r\n")
    bench.servers[0].ask(b"get nothing\r\n")
    told = gathered_servers(tmp_path, *(each.address for each in bench.servers))
    assert [node.problem for node in told.nodes] == [None, None]
    assert {node.version.count(".") for node in told.nodes} == {2}
    counted = watched(tmp_path, bench.servers[0].address).nodes[0]
    assert (counted.evicted, counted.refused, counted.hits, counted.misses) == (0, 0, 1, 1)
    assert counted.limit == 8 * 1024 * 1024
    assert 300_000 < counted.used < 310_000
    assert 0.2 <= counted.seconds < 5


def test_a_server_without_a_connection_left_says_so(tmp_path: Path) -> None:
    server = Server("-c", "64")
    held = []
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:  # of many at once it turns some away although there is room, and is silent first
            held += [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(35)]
            problem = gathered_servers(tmp_path, server.address).nodes[0].problem
            if problem is not None and problem.kind == "full":
                break
            time.sleep(0.2)
    finally:
        for each in held:
            each.close()
        server.end()
    assert problem is not None
    assert (problem.kind, problem.hint) == ("full", "look for connections that leak, or raise its limit (-c)")


def test_the_worst_address_behind_a_name_is_told_of(bench: Bench, tmp_path: Path) -> None:
    """Clients reach any of them."""

    def both(query: dns.message.Message, by_tcp: bool) -> bytes:
        reply, asked_for = dns.message.make_response(query), query.question[0]
        if asked_for.rdtype == dns.rdatatype.A:
            reply.answer.append(dns.rrset.from_text(asked_for.name, 60, "IN", "A", "127.0.0.2", "127.0.0.1"))
        return bytes(reply.to_wire())

    busy = bench.servers[0]
    other = Server(host="127.0.0.2", port=busy.port)
    try:
        _full_and_busy(bench)
        with dns_server(both) as nameserver:
            settings = {"nodes": [f"cache.test:{busy.port}"], "window": "300ms"}
            given = context_for(tmp_path, nameserver=nameserver, memcached={"cache": settings})
            (node,) = gather("memcached-evictions", "cache", given).nodes
    finally:
        other.end()
    assert node.problem is None
    assert node.evicted > 0


def test_a_restart_while_it_is_watched_proves_nothing(tmp_path: Path) -> None:
    def restarted(client: socket.socket) -> None:
        counts = (b"STAT %s %d\r\n" % (name, 9) for name in (b"bytes", b"limit_maxbytes", b"get_hits", b"get_misses"))
        fixed = b"".join(counts)
        for evictions in (7, 0):
            client.recv(4096)
            client.sendall(fixed + b"STAT uptime 50\r\nSTAT evictions %d\r\nEND\r\n" % evictions)
            client.recv(4096)
            client.sendall(b"END\r\n")

    with speaker(restarted) as address:
        problem = watched(tmp_path, address).nodes[0].problem
    assert problem is not None
    assert (problem.kind, problem.message) == ("invalid", f"{address}: its counters were reset during the check")


@pytest.mark.parametrize(
    ("talk", "kind"),
    [
        (hang, "timeout"),
        (drip(b"S"), "timeout"),
        (flood(b"STAT a 1\r\n"), "protocol"),
        (flood(b"x"), "too-large"),
        (lambda client: client.close(), "reset"),
        (say(b"-ERR unknown command\r\n"), "protocol"),
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "protocol"),
        (say(b"VERSION \r\n"), "protocol"),
        (say(b"\x00\xff\x1b[31m\r\n"), "protocol"),
        (say(b"CLIENT_ERROR unauthenticated\r\n"), "denied"),
    ],
)
def test_peers_that_misbehave(talk: Callable[[socket.socket], None], kind: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with speaker(talk) as address:
        problem = gathered_servers(tmp_path, address).nodes[0].problem
    assert problem is not None
    assert problem.kind == kind
    assert address in problem.message
    assert problem.message.isprintable()
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "answer", [b"END\r\n", b"STAT evictions -1\r\nEND\r\n", b"STAT evictions nan\r\nEND\r\n", b"ERROR\r\n"]
)
def test_counts_that_are_none_are_no_evidence(answer: bytes, tmp_path: Path) -> None:
    def talk(client: socket.socket) -> None:
        while client.recv(4096):
            client.sendall(answer)

    with speaker(talk) as address:
        problem = watched(tmp_path, address).nodes[0].problem
    assert problem is not None
    assert problem.kind == "protocol"


def test_a_server_that_is_listed_twice_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "prodcheck.toml"
    file.write_text(TOML.format("cache-1:11211", "cache-1:11211"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cache-1:11211 is listed twice"):
        load(file)


def gathered_servers(folder: Path, *nodes: str) -> MemcachedServers:
    found: MemcachedServers = _gathered("memcached-servers", folder, nodes)
    return found


def watched(folder: Path, *nodes: str) -> MemcachedEvictions:
    found: MemcachedEvictions = _gathered("memcached-evictions", folder, nodes)
    return found


def _gathered(collector: str, folder: Path, nodes: tuple[str, ...]) -> Any:
    settings = {"nodes": nodes, "timeout": "1s", "window": "200ms"}
    return gather(collector, "cache", context_for(folder, memcached={"cache": settings}))
