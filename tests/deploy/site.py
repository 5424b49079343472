"""A real HAProxy before real copies, a project that deploys to them, and traffic that counts what is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pytest_prodcheck.demo import deploying
from tests.field.web.support import free_port, program, running
from tests.project import Project

COPIES = Path(deploying.__file__).resolve().parent
OLD, NEW = "r1", "r2"
_HAPROXY = """\
global
  stats socket {folder}/admin.sock level admin
  server-state-file {folder}/server.state
defaults
  mode http
  load-server-state-from-file global
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  timeout queue 5s
  retries 3
  option redispatch
  retry-on conn-failure empty-response
frontend shop
  bind 127.0.0.1:{port}
"""
_TOML = """\
version = 1
project = "shop"
[gates.before]
select = ["smoke.service.health"]
[gates.here]
select = ["smoke.service.health", "smoke.service.version"]
[environments.production]
[environments.production.services.shop]
url     = "http://127.0.0.1:{port}"
health  = "/healthz"
version = {{ path = "/version", pointer = "/revision" }}
[environments.production.services.shop.endpoints]
product = {{ request = "GET /product", status = 200, contains = "revision" }}
[environments.production.slots]
{slots}
[environments.production.deploy]
strategy = "{strategy}"
driver   = "{driver}"
slots    = {names}
before   = "before"
slot     = "here"
after    = "here"
monitor  = "{monitor}"
every    = "1s"
analysis = {{ least = {least}, rate = 100 }}
{more}
[environments.production.deploy.commands.copy]
start   = ["{python}", "-S", "copies.py", "start", "{{slot}}", "{{revision}}"]
stop    = ["{python}", "-S", "copies.py", "stop", "{{slot}}"]
observe = ["{python}", "-S", "copies.py", "observe"]
timeout = "30s"
{balancer}
"""


@dataclass
class Site:
    """A running site. Its processes are ended by `sites`."""

    folder: Path
    port: int
    ports: dict[str, int]
    project: Project
    balancer: subprocess.Popen[bytes] | None = None

    def script(self, *words: str) -> str:
        command = [sys.executable, "-S", "copies.py", *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=True).stdout

    def observe(self) -> dict[str, str]:
        return dict(line.split() for line in self.script("observe").splitlines())

    def reload(self) -> None:
        """Ends HAProxy and starts it again from its files, as a reload reads them."""
        assert self.balancer is not None
        self.balancer.terminate()
        self.balancer.wait(10)
        words = [program("haproxy"), "-f", str(self.folder / "haproxy.cfg"), "-db"]
        with (self.folder / "haproxy.log").open("ab") as log:
            self.balancer = subprocess.Popen(words, stdout=log, stderr=log)
        wait_for(self.port)


def wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/version")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.02)
    raise AssertionError(f"nobody answers on {port}")


@contextlib.contextmanager
def site(
    folder: Path, strategy: str, *, driver: str = "haproxy", monitor: str = "1s", least: int = 300, more: str = ""
) -> Iterator[Site]:
    """The old revision has all traffic; whatever was started is ended."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["a", "b", "c"] if strategy == "rolling" else ["blue", "green"]
    ports = {name: free_port() for name in names}
    port = free_port()
    (folder / "site.json").write_text(json.dumps({"ports": ports}))
    for name in ("copies.py", "server.py"):
        shutil.copy(COPIES / name, folder)
    (folder / "share.map").write_text(f"{names[1]} 0\n")
    (folder / "server.state").touch()
    (folder / "haproxy.cfg").write_text(_haproxy(folder, port, ports, strategy))
    (folder / "prodcheck.toml").write_text(_toml(port, ports, strategy, driver, monitor, least, more))
    made = Site(folder, port, ports, Project(folder))
    try:
        for name in names if strategy == "rolling" else names[:1]:
            made.script("start", name, OLD)
        with running([program("haproxy"), "-f", "haproxy.cfg", "-db"], port, folder) as balancer:
            made.balancer = balancer
            wait_for(port)
            try:
                yield made
            finally:
                if made.balancer is not balancer:
                    made.balancer.terminate()
                    made.balancer.wait(10)
    finally:
        for name in names:
            made.script("stop", name)


def _haproxy(folder: Path, port: int, ports: dict[str, int], strategy: str) -> str:
    if strategy == "rolling":
        servers = "\n".join(f"  server {name} 127.0.0.1:{each} cookie {name}" for name, each in ports.items())
        sticky = "  cookie copy insert indirect nocache"
        backends, routing = f"backend shop\n  balance roundrobin\n{sticky}\n{servers}", "  default_backend shop"
    else:
        backends = "\n".join(f"backend {name}\n  server s 127.0.0.1:{each}" for name, each in ports.items())
        first, second = ports
        routing = (
            f"  http-request set-var(txn.share) str({second}),map_str_int({folder}/share.map,0)\n"
            f"  use_backend {second} if {{ rand(100),sub(txn.share) lt 0 }}\n  default_backend {first}"
        )
    return f"{_HAPROXY.format(folder=folder, port=port)}{routing}\n{backends}\n"


def _toml(port: int, ports: dict[str, int], strategy: str, driver: str, monitor: str, least: int, more: str) -> str:
    section = "[environments.production.deploy."
    python = sys.executable
    if driver == "haproxy":
        inner = 'backend = "shop"\nstate = "server.state"' if strategy == "rolling" else 'map = "share.map"'
        balancer = f'{section}haproxy]\nsocket = "admin.sock"\n{inner}\ndrain = "10s"'
    else:
        balancer = (
            f'{section}commands.share]\ndo = ["{python}", "-S", "copies.py", "share", "{{shares}}"]\n'
            f'observe = ["{python}", "-S", "copies.py", "shared"]\ntimeout = "20s"'
        )
    slots = "\n".join(f'{name} = {{ connect_to = "127.0.0.1:{each}" }}' for name, each in ports.items())
    return _TOML.format(
        port=port, slots=slots, strategy=strategy, driver=driver, names=json.dumps(list(ports)), monitor=monitor,
        least=least, more=more, python=python, balancer=balancer,
    )  # fmt: skip


@dataclass
class Traffic:
    """Requests from several clients, for as long as the block lasts. lost: those that were not answered well."""

    port: int
    clients: int = 4
    answers: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        self._over, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20)

    @property
    def sent(self) -> int:
        return sum(self.answers.values()) + len(self.lost)

    def _work(self, number: int) -> None:
        """Half of the clients keep their connection, the others open one for each request."""
        connection: http.client.HTTPConnection | None = None
        while not self._over.is_set():
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                connection.request("GET", "/product")
                answer = connection.getresponse()
                body = answer.read()
                told = json.loads(body)["revision"] if answer.status == 200 else ""
                with self._lock:
                    if told:
                        self.answers[told] += 1
                    else:
                        self.lost.append(f"status {answer.status}")
                if number % 2:
                    connection.close()
                    connection = None
            except (OSError, ValueError, http.client.HTTPException) as error:
                if connection is not None:
                    connection.close()
                connection = None
                with self._lock:
                    self.lost.append(repr(error))
        if connection is not None:
            connection.close()


def end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
