"""The demo's PostgreSQL and Redis in this process, for the rooms that ask them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pytest_prodcheck.demo.files.configuration import Secrets, new_secrets
from pytest_prodcheck.demo.network.balancer import LoadBalancer, Loop, bound
from pytest_prodcheck.demo.network.dns_server import DnsServer, bound_udp
from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.redis.group import Group
from pytest_prodcheck.demo.runtime import certificate_authority
from pytest_prodcheck.demo.runtime.folders import create, remove
from pytest_prodcheck.demo.runtime.programs import has_tls
from tests.evidence.postgres.template import Spawner


class Stores:
    """The demo's servers in this process, by name through its name server."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.loop = Loop()
        self.spawner = Spawner(place)
        self.known: Secrets = new_secrets()
        self.entrances: list[LoadBalancer] = []
        udp = bound_udp()
        self.names = DnsServer(udp, ("127.0.0.1",))
        self.names.start()
        self.nameserver = f"127.0.0.1:{udp.getsockname()[1]}"

    def entrance(self, host: str = "127.0.0.1", port: int = 0) -> LoadBalancer:
        """Closed with the rest."""
        self.entrances.append(LoadBalancer(self.loop, bound(host, port), []))
        return self.entrances[-1]

    def start_postgres(self, programs: Path | None = None) -> Cluster:
        """programs: those of another version than the demo takes; without TLS where they have none."""
        hosts: dict[str, tuple[str, ...]] = {"postgres": ("db-rw.demo.test", "db-1.demo.test", "db-2.demo.test")}
        certificate_authority.write(self.place, hosts)
        pair = self.entrance(), self.entrance()
        tls = programs is None or has_tls(programs)
        cluster = Cluster(self.place, self.spawner, pair, self.entrance(), self.known, tls, programs)
        cluster.start()
        return cluster

    def start_redis(self) -> Group:
        pair = self.entrance(), self.entrance()
        group = Group(self.place, self.spawner, pair, self.known.redis)
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


def address_of(name: str, entrance: LoadBalancer) -> str:
    return f"{name}.demo.test:{entrance.address[1]}"
