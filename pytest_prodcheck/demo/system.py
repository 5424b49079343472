"""The whole demo: its parts, and their start side by side."""

from __future__ import annotations

import json
import logging
import os
import resource
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.demo.files import configuration
from pytest_prodcheck.demo.mail.relay import Relay
from pytest_prodcheck.demo.network.balancer import LoadBalancer, Loop, bound, bound_alike
from pytest_prodcheck.demo.network.dns_server import BRANCH, DnsServer, bound_udp
from pytest_prodcheck.demo.network.payment_provider import PaymentProvider
from pytest_prodcheck.demo.network.plain_tcp import start_queue
from pytest_prodcheck.demo.runtime import folders
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
        self.place, self._lock = folders.create()
        self._keep_log()
        self.foreground = foreground
        self.loop = Loop()
        self.spawner = Spawner(self.place)
        self.failed: list[str] = []
        self.done = threading.Event()  # started, or failed to
        self.ended = threading.Event()  # asked to stop
        self._starting: threading.Thread | None = None

    def _keep_log(self) -> None:
        handler = logging.FileHandler(self.place / folders.LOG)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOGGER.handlers[:] = [handler]
        LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False

    def prepare(self) -> dict[str, object]:
        """Takes the ports, writes configuration, secrets and certificates; returns the card for others."""
        from pytest_prodcheck.demo.runtime import certificate_authority

        programs = postgres_programs()
        redis_program()
        self._tls = has_tls(programs)
        https, http = bound_alike(HOSTS), bound_alike(HOSTS)
        self.https = [LoadBalancer(self.loop, sock, []) for sock in https]
        self.http = [LoadBalancer(self.loop, sock, []) for sock in http]
        self.queue, self.payments_entrance, self.mail_entrance = self._entrance(), self._entrance(), self._entrance()
        self.db_1, self.db_2, self.db_rw = self._entrance(), self._entrance(), self._entrance()
        self.cache_1, self.cache_2, self.cache_plain = self._entrance(), self._entrance(), self._entrance()
        self.spare_1, self.spare_2 = self._entrance(), self._entrance()
        dns = bound_udp()
        self.names = DnsServer(dns, tuple(one.address[0] for one in self.https))
        self.ports = configuration.Ports(
            https=self.https[0].port, http=self.http[0].port, dns=dns.getsockname()[1],
            queue=self.queue.port, payments=self.payments_entrance.port, mail=self.mail_entrance.port,
            db_1=self.db_1.port, db_2=self.db_2.port, db_rw=self.db_rw.port,
            cache_1=self.cache_1.port, cache_2=self.cache_2.port, cache_plain=self.cache_plain.port,
            spare_1=self.spare_1.port, spare_2=self.spare_2.port,
        )  # fmt: skip
        self.known: configuration.Secrets = configuration.new_secrets()
        hosts = {
            "shop": ("shop.demo.test", BRANCH),
            "postgres": ("db-rw.demo.test", "db-1.demo.test", "db-2.demo.test"),
            "redis": ("cache-1.demo.test", "cache-2.demo.test"),
        }
        self.payments = PaymentProvider()
        self.mail = Relay(certificate_authority.write(self.place, hosts))
        self.mail_entrance.targets = [self.mail.address]
        for entrance in (self.cache_1, self.cache_2):
            entrance.secure(self.place / "redis.pem", self.place / "redis.key")
        (self.place / "demo.pid").write_text(f"{os.getpid()}\n")
        path = configuration.write(self.place, self.ports, self.known, self._tls)
        card: dict[str, object] = {
            "pid": os.getpid(),
            "configuration": str(path),
            "control": str(self.place / folders.CONTROL),
            "log": str(self.place / folders.LOG),
            "foreground": self.foreground,
            "url": f"https://shop.demo.test:{self.ports.https}",
        }
        temporary = self.place / f"{folders.CARD}.new"
        temporary.write_text(json.dumps(card))
        temporary.replace(self.place / folders.CARD)
        return card

    def _entrance(self) -> LoadBalancer:
        """One address on loopback that refuses connections until its part is up."""
        return LoadBalancer(self.loop, bound("127.0.0.1"), [])

    def start(self, finish: Callable[[], None] | None = None) -> None:
        """Brings everything up in threads; `done` is set when it is, or when a part failed.

        finish: the last step, called when all parts are up.
        """
        self._starting = threading.Thread(target=self._start, args=(finish,), name="start", daemon=True)
        self._starting.start()

    def _start(self, finish: Callable[[], None] | None) -> None:
        began = time.monotonic()
        parts: dict[str, Callable[[], None]] = {}
        try:
            self._make_stores_and_shop()
            parts = {
                "PostgreSQL": self.postgres.start, "Redis": self.redis.start, "shop": self.web.start,
                "names": self._names, "mail": self._mail,
            }  # fmt: skip
        except Exception as error:
            self._record_failure("start", error)
        threads = [threading.Thread(target=self._start_part, args=part, daemon=True) for part in parts.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not self.failed:
            self._start_part("the shop's database", self.web.connect)
        if not self.failed and finish:
            self._start_part("faults", finish)
        LOGGER.info("%s after %.2f s", f"failed: {self.failed}" if self.failed else "up", time.monotonic() - began)
        self.done.set()

    def _make_stores_and_shop(self) -> None:
        from pytest_prodcheck.demo.postgres.cluster import Cluster
        from pytest_prodcheck.demo.redis.group import Group
        from pytest_prodcheck.demo.shop.servers import Web

        nodes, caches = (self.db_1, self.db_2), (self.cache_1, self.cache_2)
        self.postgres = Cluster(self.place, self.spawner, nodes, self.db_rw, self.known, self._tls)
        self.redis = Group(self.place, self.spawner, caches, self.known.redis)
        self.web = Web(self.place, self.https, self.http, self.ports, self.known, self._tls)

    def _start_part(self, name: str, start: Callable[[], None]) -> None:
        try:
            start()
        except Exception as error:
            self._record_failure(name, error)

    def _record_failure(self, name: str, error: Exception) -> None:
        LOGGER.error("%s: %s", name, error, exc_info=None if isinstance(error, DemoError) else error)
        self.failed.append(f"{name}: {error}")

    def _names(self) -> None:
        self.names.start()
        self.queue.targets = [start_queue(self.loop)]
        self.queue.set_mode("serve")
        self.payments_entrance.targets = [self.payments.start(self.loop)]
        self.payments_entrance.set_mode("serve")

    def _mail(self) -> None:
        from pytest_prodcheck.demo.mail.tls import healthy

        self.mail.serve = healthy(self.place, self.mail.certificate)
        self.mail.start()
        self.mail_entrance.set_mode("serve")

    def stop(self) -> None:
        """Ends all processes and removes the folder."""
        self.spawner.end_all()
        if self._starting is not None:
            self._starting.join(1)  # it would write into the folder while that is removed
        for handler in LOGGER.handlers:
            handler.close()
        LOGGER.handlers.clear()
        folders.remove(self.place)
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
    log = os.open(place / folders.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
