"""memcached servers by their text protocol: `version` and `stats`, which read and change nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.nodes import MARGIN, ask_nodes, connect, connection_problem
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.memcached import MemcachedEvictions, MemcachedNode, MemcachedPressure, MemcachedServers

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

MOST_BYTES = 256 * 1024  # of all answers of one server; they are about 10 kB
_COUNTED = ("stats", "stats items")


def _host(target: str, environment: Environment) -> str:
    return environment.memcached[target].nodes[0]


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    return tuple(Sending(each, "memcached version") for each in environment.memcached[target].nodes)


def _pressure_requests(target: str, environment: Environment) -> tuple[Sending, ...]:
    return tuple(Sending(each, "memcached stats, stats items", 2) for each in environment.memcached[target].nodes)


def _seconds(target: str, environment: Environment) -> float:
    return environment.memcached[target].timeout + 2 * MARGIN


def _pressure_seconds(target: str, environment: Environment) -> float:
    return environment.memcached[target].window + _seconds(target, environment)


def _ready(record: MemcachedServers) -> bool:
    return all(node.problem is None for node in record.nodes)


@evidence("memcached-servers", axis="memcached", seconds=_seconds, host=_host, sends=_sends, ready=_ready)
def memcached_servers(target: str, context: Context, deadline: Deadline) -> MemcachedServers:
    """The version of each declared server, asked side by side; one that does not answer has a problem of its own."""
    settings = context.environment.memcached[target]

    def ask(declared: str, where: str, address: ResolvedAddress, until: Deadline) -> MemcachedNode:
        began = time.monotonic()
        with _MemcachedConnection(where, address, until.at_most(settings.timeout)) as server:
            version = server.version()
            return MemcachedNode(declared, time.monotonic() - began, version=version)

    def failed(declared: str, problem: Problem, seconds: float) -> MemcachedNode:
        return MemcachedNode(declared, seconds, problem)

    return MemcachedServers(tuple(ask_nodes(settings.nodes, ask, failed, lambda node: False, context, deadline)))


@evidence("memcached-evictions", axis="memcached", seconds=_pressure_seconds, host=_host, sends=_pressure_requests)
def memcached_evictions(target: str, context: Context, deadline: Deadline) -> MemcachedEvictions:
    """What each declared server counts, twice, `window` apart; one that does not answer has a problem of its own."""
    settings = context.environment.memcached[target]

    def ask(declared: str, where: str, address: ResolvedAddress, until: Deadline) -> MemcachedPressure:
        with _MemcachedConnection(where, address, until.at_most(settings.timeout + settings.window)) as server:
            before, began = _counters(server), time.monotonic()
            time.sleep(min(settings.window, until.seconds_left()))
            after, seconds = _counters(server), time.monotonic() - began
        return _pressure(declared, where, before, after, seconds)

    def failed(declared: str, problem: Problem, seconds: float) -> MemcachedPressure:
        return MemcachedPressure(declared, seconds, problem)

    return MemcachedEvictions(tuple(ask_nodes(settings.nodes, ask, failed, _is_short_of_memory, context, deadline)))


def _is_short_of_memory(node: MemcachedPressure) -> bool:
    """Whether one of several addresses behind a name is short of memory: it is the one to tell of."""
    return bool(node.refused or node.evicted)


def _counters(server: _MemcachedConnection) -> dict[str, int]:
    """The counters that are judged; `outofmemory` is that of all slab classes together."""
    stats, items = (server.stats(command) for command in _COUNTED)
    found = {name: server.number(stats, name) for name in ("evictions", "bytes", "limit_maxbytes", "get_hits",
                                                           "get_misses", "uptime")}  # fmt: skip
    refused = [name for name in items if name.endswith(":outofmemory")]
    return found | {"outofmemory": sum(server.number(items, name) for name in refused)}


def _pressure(
    declared: str, where: str, before: dict[str, int], after: dict[str, int], seconds: float
) -> MemcachedPressure:
    evicted, refused = (after[name] - before[name] for name in ("evictions", "outofmemory"))
    if evicted < 0 or refused < 0 or after["uptime"] < before["uptime"]:
        hint = "did it restart, or did somebody send `stats reset`? Run again"
        raise EvidenceProblem(Problem("invalid", f"{where}: its counters were reset during the check", hint))
    return MemcachedPressure(
        declared, seconds, None, evicted, refused, after["bytes"], after["limit_maxbytes"], after["get_hits"],
        after["get_misses"],
    )  # fmt: skip


class _MemcachedConnection:
    """One connection; every answer is bounded in time and size. Raises EvidenceProblem for whatever goes wrong."""

    def __init__(self, where: str, address: ResolvedAddress, deadline: Deadline) -> None:
        self._where, self._deadline = where, deadline
        self._sock = connect(where, address, deadline)
        self._guard = deadline.guard(self._sock)
        self._read, self._left = b"", MOST_BYTES

    def __enter__(self) -> _MemcachedConnection:
        self._guard.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._guard.__exit__(None, None, None)
        self._sock.close()

    def version(self) -> str:
        """The version that it tells."""
        self._send("version")
        word, _, version = self._line().partition(" ")
        if word != "VERSION" or not version:
            raise self._foreign(f"{word} {version}")
        return version[:40]

    def stats(self, command: str) -> dict[str, str]:
        """The values of one `stats` command."""
        self._send(command)
        found = {}
        while (line := self._line()) != "END":
            word, _, rest = line.partition(" ")
            if word != "STAT":
                raise self._foreign(line)
            name, _, found[name] = rest.partition(" ")
        return found

    def number(self, stats: dict[str, str], name: str) -> int:
        """One value that is a whole number."""
        value = stats.get(name, "")
        if not (value.isascii() and value.isdigit() and len(value) <= 20):
            what = f"{self._where}: `stats` has no numeric field {name}"
            raise EvidenceProblem(Problem("protocol", what, "is it memcached?"))
        return int(value)

    def _send(self, command: str) -> None:
        try:
            self._sock.settimeout(self._deadline.seconds_left())
            self._sock.sendall(f"{command}\r\n".encode("ascii"))
        except (OSError, EvidenceProblem) as error:
            raise EvidenceProblem(connection_problem(error, self._where, self._deadline)) from None

    def _line(self) -> str:
        while b"\n" not in self._read:
            self._read += self._receive()
        line, _, self._read = self._read.partition(b"\n")
        return plain(line.decode("utf-8", "replace").rstrip("\r"))

    def _receive(self) -> bytes:
        try:
            self._sock.settimeout(self._deadline.seconds_left())
            data = self._sock.recv(65536)
        except (OSError, EvidenceProblem) as error:
            raise EvidenceProblem(connection_problem(error, self._where, self._deadline)) from None
        self._left -= len(data)
        if self._left < 0:
            what = f"{self._where}: more than {MOST_BYTES // 1024} kB received, about 10 kB were expected"
            raise EvidenceProblem(Problem("too-large", what, "is this memcached's port?"))
        if not data and self._deadline.expired:  # the guard shut it down
            raise EvidenceProblem(connection_problem(TimeoutError(), self._where, self._deadline))
        if not data:
            hint = "does it require TLS or SASL? prodcheck supports neither for memcached"
            raise EvidenceProblem(Problem("reset", f"{self._where}: the connection was closed", hint))
        return data

    def _foreign(self, line: str) -> EvidenceProblem:
        said = plain(line)[:80].strip()
        if "unauthenticated" in said or "authentication" in said:
            hint = "prodcheck has no login for memcached: allow access without a login from this host only"
            return EvidenceProblem(Problem("denied", f"{self._where}: it requires a login ({said})", hint))
        if "too many open connections" in said.lower():
            hint = "look for connections that leak, or raise its limit (-c)"
            return EvidenceProblem(
                Problem("full", f"{self._where}: the limit of connections is reached ({said})", hint)
            )
        what = f"{self._where}: the server does not speak memcached's text protocol ({said})"
        return EvidenceProblem(Problem("protocol", what, "is this the right port?"))
