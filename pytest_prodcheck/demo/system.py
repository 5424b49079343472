"""The whole demo: its parts, their start side by side, and the faults that are on."""

from __future__ import annotations

import json
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.demo.faults import checked
from pytest_prodcheck.demo.files import configuration
from pytest_prodcheck.demo.mail.relay import Relay
from pytest_prodcheck.demo.network.balancer import Entrance, Loop, bound, bound_alike
from pytest_prodcheck.demo.network.dns_server import Names, bound_udp
from pytest_prodcheck.demo.network.payment_provider import Payments
from pytest_prodcheck.demo.network.plain_tcp import start_queue
from pytest_prodcheck.demo.runtime import folders as places
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.runtime.processes import Spawner
from pytest_prodcheck.demo.runtime.programs import has_tls, postgres_programs, redis_program

if TYPE_CHECKING:
    from pytest_prodcheck.demo.postgres.cluster import Cluster
    from pytest_prodcheck.demo.redis.group import Group
    from pytest_prodcheck.demo.shop.servers import Web

LOGGER = logging.getLogger("pytest_prodcheck.demo")
HOSTS = ("127.0.0.1", "127.0.0.2")


class System:
    """One demo. `prepare` takes ports and writes files; `start` brings everything up in threads."""

    postgres: Cluster
    redis: Group
    web: Web

    def __init__(self, foreground: bool) -> None:
        _take_descriptors()
        self.place, self._lock = places.create()
        self._keep_log()
        self.foreground = foreground
        self.loop = Loop()
        self.spawner = Spawner(self.place)
        self.faults: tuple[str, ...] = ()
        self.failed: list[str] = []
        self.done = threading.Event()  # started, or failed to
        self.ended = threading.Event()  # asked to stop
        self._changing = threading.Lock()
        self._starting: threading.Thread | None = None

    def _keep_log(self) -> None:
        handler = logging.FileHandler(self.place / places.LOG)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOGGER.handlers[:] = [handler]
        LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False

    def prepare(self) -> dict[str, object]:
        """Takes the ports, writes configuration, secrets and certificates; returns the card for others."""
        from pytest_prodcheck.demo.runtime import certificate_authority as certificates

        programs = postgres_programs()
        redis_program()
        self._tls = has_tls(programs)
        https, http = bound_alike(HOSTS), bound_alike(HOSTS)
        self.https = [Entrance(self.loop, sock, []) for sock in https]
        self.http = [Entrance(self.loop, sock, []) for sock in http]
        single = [Entrance(self.loop, bound("127.0.0.1"), []) for _ in range(11)]
        self.queue, self.db_1, self.db_2, self.db_rw, self.cache_1, self.cache_2, *rest = single
        self.spare, (mail, self.cache_plain, self.payments_entrance) = rest[:2], rest[2:]
        dns = bound_udp()
        self.names = Names(dns, tuple(one.address[0] for one in self.https))
        others = (one.address[1] for one in single)
        ports = configuration.Ports(self.https[0].address[1], self.http[0].address[1], dns.getsockname()[1], *others)
        self.known: configuration.Secrets = configuration.new_secrets()
        hosts = {
            "shop": ("shop.demo.test",),
            "postgres": ("db-rw.demo.test", "db-1.demo.test", "db-2.demo.test"),
            "redis": ("cache-1.demo.test", "cache-2.demo.test"),
        }
        self.payments = Payments()
        self.mail = Relay(certificates.write(self.place, hosts))
        self.mail_entrance: Entrance = mail
        self.mail_entrance.targets = [self.mail.address]
        for entrance in (self.cache_1, self.cache_2):
            entrance.secure(self.place / "redis.pem", self.place / "redis.key")
        (self.place / "demo.pid").write_text(f"{os.getpid()}\n")
        path = configuration.write(self.place, ports, self.known, self._tls)
        card: dict[str, object] = {
            "pid": os.getpid(),
            "configuration": str(path),
            "control": str(self.place / places.CONTROL),
            "log": str(self.place / places.LOG),
            "foreground": self.foreground,
            "url": f"https://shop.demo.test:{ports.https}",
        }
        self.ports = ports
        temporary = self.place / f"{places.CARD}.new"
        temporary.write_text(json.dumps(card))
        temporary.replace(self.place / places.CARD)
        return card

    def start(self, faults: Iterable[str] = ()) -> None:
        """Brings everything up in threads; `done` is set when it is, or when a part failed."""
        self._starting = threading.Thread(target=self._start, args=(tuple(faults),), name="start", daemon=True)
        self._starting.start()

    def _start(self, faults: tuple[str, ...]) -> None:
        from pytest_prodcheck.demo.postgres import cluster as postgres
        from pytest_prodcheck.demo.redis import group as redis
        from pytest_prodcheck.demo.shop import servers as web

        began = time.monotonic()
        parts: dict[str, Callable[[], None]] = {}
        try:
            cluster = postgres.Cluster(
                self.place, self.spawner, (self.db_1, self.db_2), self.db_rw, self.known, self._tls
            )
            group = redis.Group(self.place, self.spawner, (self.cache_1, self.cache_2), self.known.redis)
            self.postgres, self.redis, self.web = cluster, group, web.Web(self)
            parts = {"PostgreSQL": cluster.start, "Redis": group.start, "shop": self.web.start, "names": self._names}
            parts["mail"] = self._mail
        except Exception as error:
            self._note("start", error)
        threads = [threading.Thread(target=self._part, args=part, daemon=True) for part in parts.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not self.failed:
            self._part("the shop's database", self.web.connect)
        if not self.failed and faults:
            self._part("faults", lambda: self.set_faults(faults))
        LOGGER.info("%s after %.2f s", f"failed: {self.failed}" if self.failed else "up", time.monotonic() - began)
        self.done.set()

    def _part(self, name: str, start: Callable[[], None]) -> None:
        try:
            start()
        except Exception as error:
            self._note(name, error)

    def _note(self, name: str, error: Exception) -> None:
        LOGGER.error("%s: %s", name, error, exc_info=None if isinstance(error, DemoError) else error)
        self.failed.append(f"{name}: {error}")

    def _names(self) -> None:
        self.names.start()
        self.queue.targets = [start_queue(self.loop)]
        self.queue.set_mode("serve")
        self.payments_entrance.targets = [self.payments.start(self.loop)]
        self.payments_entrance.set_mode("serve")

    def _mail(self) -> None:
        from pytest_prodcheck.demo.switches.mail import healthy

        self.mail.serve = healthy(self)
        self.mail.start()
        self.mail_entrance.set_mode("serve")

    def set_faults(self, names: Iterable[str]) -> None:
        """Makes exactly these faults be on; DemoError where one cannot be switched (those before it are)."""
        from pytest_prodcheck.demo.switches.table import SWITCHES

        wanted = checked(names)
        with self._changing:
            self.web.shop.throttle.reset()  # it counts what is tried from here on
            for name in [name for name in reversed(self.faults) if name not in wanted]:
                SWITCHES[name].off(self)
                self.faults = tuple(one for one in self.faults if one != name)
            for name in wanted:
                if name not in self.faults:
                    self.faults = (*self.faults, name)
                    SWITCHES[name].on(self)

    def stop(self) -> None:
        """Ends all processes and removes the folder."""
        self.spawner.end_all()
        if self._starting is not None:
            self._starting.join(1)  # it would write into the folder while that is removed
        for handler in LOGGER.handlers:
            handler.close()
        LOGGER.handlers.clear()
        places.remove(self.place)
        with suppress(OSError):
            os.close(self._lock)


def _take_descriptors() -> None:
    """Lets this process open files enough for a fault that leaves more than a thousand connections behind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


def redirect_output(place: Path) -> None:
    """Sends what is printed from now on, also by libraries, to the demo's log."""
    log = os.open(place / places.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
