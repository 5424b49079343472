"""The demo's Redis: a primary with a replica."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.network.balancer import LoadBalancer, bound
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.runtime.processes import Spawner, end, tail
from pytest_prodcheck.demo.runtime.programs import reachable, redis_program
from pytest_prodcheck.demo.runtime.waiting import until

MAX_MEMORY = 64 * 1024 * 1024  # bytes
SAVE = "3600 1"


class Node:
    """One server with its folder, and the entrance by which the world reaches it."""

    def __init__(
        self, name: str, folder: Path, program: Path, spawner: Spawner, entrance: LoadBalancer, password: str
    ) -> None:
        self.name, self.entrance = name, entrance
        self.folder = folder / name
        self.port = 0
        self._program, self._spawner, self.password = program, spawner, password
        self._log = folder.parent / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, replica_of: Node | None = None, **settings: str) -> None:
        """Starts the server and waits until it answers (also with LOADING)."""
        for _ in range(3):  # between our choice and the server's start another program may take the port
            if not self.port:
                with closing(bound("127.0.0.1")) as sock:
                    self.port = sock.getsockname()[1]
            file = self.folder / "redis.conf"
            file.write_text("".join(f"{name} {value}\n" for name, value in self._settings(replica_of, settings)))
            self._spawner.own(file)
            self._child = self._spawner.spawn([self._program, file], self._log)
            if self._answers(10):
                self.entrance.targets = [("127.0.0.1", self.port)]
                return
            end(self._child, signal.SIGKILL)
            self.port = 0
        raise DemoError(f"Redis {self.name} does not start: {tail(self._log)}")

    def _settings(self, replica_of: Node | None, more: dict[str, str]) -> list[tuple[str, str]]:
        settings = {
            "port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), "daemonize": "no",
            "requirepass": self.password, "masterauth": self.password,
            "appendonly": "yes", "save": SAVE, "maxmemory": str(MAX_MEMORY), "maxmemory-policy": "noeviction",
            "repl-diskless-sync": "no", "repl-diskless-sync-delay": "0", "repl-diskless-load": "swapdb", "hz": "50",
            "stop-writes-on-bgsave-error": "yes", "set-proc-title": "no",
        }  # fmt: skip
        if replica_of:
            settings["replicaof"] = f"127.0.0.1 {replica_of.port}"
        return list((settings | more).items())

    def _answers(self, seconds: float) -> bool:
        import redis

        end_at = time.monotonic() + seconds
        while self._child and self._child.poll() is None and time.monotonic() < end_at:
            try:
                self.do("PING")
            except redis.exceptions.BusyLoadingError:
                return True
            except redis.exceptions.RedisError:
                time.sleep(0.02)
            else:
                return True
        return False

    def client(self) -> Any:
        """A redis-py client with the password that is set in the configuration."""
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        return Redis(
            port=self.port, password=self.password, decode_responses=True, socket_timeout=5, protocol=2,
            retry=Retry(NoBackoff(), 0),
        )  # fmt: skip

    def do(self, *command: object) -> Any:
        """The answer to one command."""
        with closing(self.client()) as client:
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        """One section of INFO."""
        found: dict[str, Any] = self.do("INFO", section)
        return found

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stops the server: SIGTERM saves first."""
        end(self._child, number)
        self._child = None


class Group:
    """Two nodes; the first starts as the primary."""

    def __init__(
        self, place: Path, spawner: Spawner, entrances: tuple[LoadBalancer, LoadBalancer], password: str
    ) -> None:
        self.folder = place / "redis"
        self._spawner, self._place = spawner, place
        program = redis_program()
        if spawner.user and not reachable(program):
            copied = place / program.name
            shutil.copy(program, copied)
            program = copied
        self.nodes = tuple(
            Node(name, self.folder, program, spawner, entrance, password)
            for name, entrance in zip(("cache-1", "cache-2"), entrances, strict=True)
        )
        self.primary, self.replica = self.nodes

    def start(self) -> None:
        """Starts both; returns when the link is up."""
        self._spawner.folder(self.folder)
        for node in self.nodes:
            self._spawner.folder(node.folder)
        self.primary.start()
        self.primary.do("SET", "session:1", "demo")
        self.replica.start(self.primary)
        self.wait_for_link()
        for node in self.nodes:
            node.entrance.set_mode("serve")

    def wait_for_link(self) -> None:
        """Waits until the replica follows the primary."""
        until(lambda: self.replica.info("replication").get("master_link_status") == "up", "the Redis replica's link")

    def switch_over(self) -> None:
        """Swaps the roles."""
        self.replica.do("REPLICAOF", "NO", "ONE")
        self.primary.do("REPLICAOF", "127.0.0.1", self.replica.port)
        self.primary, self.replica = self.replica, self.primary
        self.wait_for_link()
