"""`prodcheck demo --deploy`: one canary that goes through and one that is rolled back, under traffic."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pytest_prodcheck.demo.runtime.errors import DemoError

HERE = Path(__file__).resolve().parent
HAPROXY = """\
global
  stats socket {folder}/admin.sock level admin
defaults
  mode http
  timeout connect 2s
  timeout client 20s
  timeout server 20s
frontend shop
  bind 127.0.0.1:{port}
  http-request set-var(txn.share) str(green),map_str_int({folder}/share.map,0)
  use_backend green if {{ rand(100),sub(txn.share) lt 0 }}
  default_backend blue
backend blue
  server s 127.0.0.1:{blue}
backend green
  server s 127.0.0.1:{green}
"""
TOML = """\
version = 1
project = "shop"
[gates.before]
select = ["smoke.service.health"]
[gates.here]
select = ["smoke.service.health", "smoke.service.version"]
[environments.production.services.shop]
url     = "http://127.0.0.1:{port}"
health  = "/healthz"
version = {{ path = "/version", pointer = "/revision" }}
[environments.production.services.shop.endpoints]
product = {{ request = "GET /product", status = 200, contains = "revision" }}
[environments.production.slots]
blue  = {{ connect_to = "127.0.0.1:{blue}" }}
green = {{ connect_to = "127.0.0.1:{green}" }}
[environments.production.deploy]
strategy = "canary"
driver   = "haproxy"
slots    = ["blue", "green"]
before   = "before"
slot     = "here"
after    = "here"
monitor  = "5s"
every    = "2s"
analysis = {{ least = 300, rate = 50 }}
[environments.production.deploy.commands.copy]
start   = ["{python}", "-S", "copies.py", "start", "{{slot}}", "{{revision}}"]
stop    = ["{python}", "-S", "copies.py", "stop", "{{slot}}"]
observe = ["{python}", "-S", "copies.py", "observe"]
[environments.production.deploy.haproxy]
socket = "admin.sock"
map    = "share.map"
"""


class Visitors:
    """Requests without a pause; counts who answered, and what was lost."""

    def __init__(self, port: int) -> None:
        self._port, self._over, self._lock = port, threading.Event(), threading.Lock()
        self.answered: Counter[str] = Counter()
        self.lost = 0
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Ends them."""
        self._over.set()
        for thread in self._threads:
            thread.join(25)

    def told(self) -> str:
        """What they met since the last time, in one line."""
        with self._lock:
            answered, lost = self.answered, self.lost
            self.answered, self.lost = Counter(), 0
        by = ", ".join(f"{revision} {number}" for revision, number in sorted(answered.items()))
        return f"visitors meanwhile: {answered.total() + lost} requests, answered by {by}; {lost} not answered well"

    def _visit(self) -> None:
        while not self._over.wait(0.01):
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            try:
                connection.request("GET", "/product")
                answer = connection.getresponse()
                told = str(json.loads(answer.read())["revision"])
                good = answer.status == 200
            except (OSError, ValueError, http.client.HTTPException):
                told, good = "", False
            finally:
                connection.close()
            with self._lock:
                self.answered[told] += good
                self.lost += not good


def by_command(folder: Path, revision: str) -> int:
    """Deploys as a person would; the exit code."""
    words = [sys.executable, "-m", "pytest_prodcheck", "deploy", "--env", "production", "--auto-approve"]
    return subprocess.run([*words, "--revision", revision], cwd=folder, check=False).returncode


def run(deploy: Callable[[Path, str], int] = by_command) -> int:
    """Shows both deployments; 0 where they end as they should, 1 otherwise."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/sbin")
    if program is None:
        raise DemoError("there is no HAProxy: apt-get install haproxy")
    with tempfile.TemporaryDirectory(prefix="prodcheck-deploy-") as name:
        folder = Path(name)
        port, blue, green = _ports(3)
        _write(folder, port, blue, green)
        balancer = None
        try:
            _copies(folder, "start", "blue", "r1")
            with (folder / "haproxy.log").open("wb") as log:
                balancer = subprocess.Popen([program, "-f", str(folder / "haproxy.cfg"), "-db"], stdout=log, stderr=log)
            _wait(port)
            visitors = Visitors(port)
            try:
                return _deploy_both(folder, visitors, deploy)
            finally:
                visitors.leave()
        finally:
            for slot in ("blue", "green"):
                _copies(folder, "stop", slot)
            if balancer is not None:
                balancer.terminate()
                balancer.wait(10)


def _deploy_both(folder: Path, visitors: Visitors, deploy: Callable[[Path, str], int]) -> int:
    codes = []
    for revision, what in (("r2", "a good revision"), ("r3-errors", "a revision that fails four requests in ten")):
        print(f"\n$ prodcheck deploy --env production --revision {revision} --auto-approve    # {what}", flush=True)
        codes.append(deploy(folder, revision))
        print(f"exit code {codes[-1]}; {visitors.told()}", flush=True)
    return 0 if codes == [0, 20] else 1


def _write(folder: Path, port: int, blue: int, green: int) -> None:
    names = {"folder": folder, "port": port, "blue": blue, "green": green, "python": sys.executable}
    (folder / "haproxy.cfg").write_text(HAPROXY.format(**names))
    (folder / "prodcheck.toml").write_text(TOML.format(**names))
    (folder / "share.map").write_text("green 0\n")
    (folder / "site.json").write_text(json.dumps({"ports": {"blue": blue, "green": green}}))
    for script in ("copies.py", "server.py"):
        shutil.copy(HERE / script, folder)


def _copies(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-S", "copies.py", *words], cwd=folder, timeout=60, check=False)


def _ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    found = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return found


def _wait(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise DemoError("HAProxy does not listen")
