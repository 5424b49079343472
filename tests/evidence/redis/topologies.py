"""Redis Cluster and Sentinel as real processes, for the tests of this folder."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.network.balancer import bound
from pytest_prodcheck.demo.runtime.programs import redis_program


class Server:
    """One redis-server of a test, on a port of its own."""

    def __init__(self, folder: Path, *settings: str, sentinel: bool = False) -> None:
        with closing(bound("127.0.0.1")) as sock:
            self.port = sock.getsockname()[1] % 40000 + 10000  # a cluster's bus listens 10,000 above
        self.at = f"127.0.0.1:{self.port}"
        folder = folder / str(self.port)
        folder.mkdir(parents=True)
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {folder}", "save ''", "repl-diskless-sync-delay 0"]
        lines = lines[:3] if sentinel else lines
        (folder / "conf").write_text("\n".join([*lines, *settings]) + "\n")
        command = [str(redis_program()), str(folder / "conf"), *(["--sentinel"] if sentinel else [])]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        until(lambda: self.do("PING"))

    def do(self, *command: object) -> Any:
        from redis import Redis

        client: Any = Redis(port=self.port, decode_responses=True, socket_timeout=5, protocol=2)
        with closing(client):
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = self.do("INFO", section)
        return found

    def cluster(self) -> dict[str, str]:
        """CLUSTER INFO."""
        return dict(line.split(":", 1) for line in str(self.do("CLUSTER", "INFO")).split())

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)


def until(true: Callable[[], object], seconds: float = 20) -> None:
    """Waits until it is so; errors count as no."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(Exception):
            if true():
                return
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


@contextlib.contextmanager
def servers(folder: Path, *settings: tuple[str, ...]) -> Iterator[list[Server]]:
    """One server for each tuple of settings; all are ended."""
    started: list[Server] = []
    try:
        for each in settings:
            started.append(Server(folder, *each))
        yield started
    finally:
        for server in started:
            server.end()


CLUSTER = ("cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 1500",
           "cluster-allow-replica-migration no")  # fmt: skip


@contextlib.contextmanager
def cluster(folder: Path, replicas: int = 0, *settings: str) -> Iterator[list[Server]]:
    """Three primaries that share the slots, then so many replicas, the first of the first primary, and so on."""
    with servers(folder, *[(*CLUSTER, *settings)] * (3 + replicas)) as nodes:
        for number, (first, last) in enumerate(((0, 5460), (5461, 10922), (10923, 16383))):
            nodes[number].do("CLUSTER", "ADDSLOTS", *range(first, last + 1))
            nodes[number].do("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            nodes[0].do("CLUSTER", "MEET", "127.0.0.1", node.port)
        for node in nodes:
            until(lambda node=node: node.cluster()["cluster_known_nodes"] == str(len(nodes)))  # type: ignore[misc]
        for number, node in enumerate(nodes[3:]):
            primary = nodes[number % 3].do("CLUSTER", "MYID")
            until(lambda node=node, primary=primary: node.do("CLUSTER", "REPLICATE", primary) in (True, "OK"))  # type: ignore[misc]
            until(lambda node=node: node.info("replication")["master_link_status"] == "up")  # type: ignore[misc]
        for node in nodes:
            until(lambda node=node: node.cluster()["cluster_state"] == "ok")  # type: ignore[misc]
        yield nodes
