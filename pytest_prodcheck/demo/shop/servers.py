"""The shop's servers: two backends behind the balancer, and the plain one that redirects."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from pytest_prodcheck.demo.files.configuration import REVISION, Ports, Secrets
from pytest_prodcheck.demo.files.database_content import PRICES
from pytest_prodcheck.demo.network.balancer import Address, LoadBalancer
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.shop import tokens
from pytest_prodcheck.demo.shop.answer_faults import PLAIN
from pytest_prodcheck.demo.shop.application import HEADERS, Shop, User, error
from pytest_prodcheck.demo.shop.dispatcher import Dispatcher
from pytest_prodcheck.demo.shop.edge_cache import EdgeCache
from pytest_prodcheck.demo.shop.http_server import HttpServer, Request, Response, tls_context
from pytest_prodcheck.demo.shop.orders import Orders, OrdersUnavailable
from pytest_prodcheck.demo.shop.table import CHANGES, ROUTES

BACKENDS = 2


class Web:
    """The shop and the servers that answer for it.

    place: the demo's folder. https, http: the addresses that lead to it. postgres_tls: whether its database speaks TLS.
    """

    def __init__(
        self, place: Path, https: list[LoadBalancer], http: list[LoadBalancer], ports: Ports, known: Secrets,
        postgres_tls: bool,
    ) -> None:  # fmt: skip
        users = [
            User("customer", "customer", known.customer),
            User("other-customer", "customer", known.other_customer),
            User("admin", "admin", known.admin),
            User("lockme", "customer", known.lockme),
            User("throttled", "customer", known.lockme),
        ]
        mode = "verify-full" if postgres_tls else "disable"
        conninfo = (
            f"host=db-rw.demo.test hostaddr=127.0.0.1 port={ports.db_rw} dbname=shop user=shop "
            f"password={known.shop} sslmode={mode} sslrootcert={place / 'ca.pem'}"
        )
        self._place, self._https, self._http, self._ports = place, https, http, ports
        self.shop = Shop(users, tuple(Orders(conninfo) for _ in range(BACKENDS)), PRICES, REVISION, ROUTES)
        self._cache = EdgeCache(self.shop, Dispatcher(self.shop, CHANGES).answer)
        self.tls = tls_context(place)
        self.backends: list[HttpServer | None] = [None] * BACKENDS
        self._last: list[Address] = [("127.0.0.1", 0)] * BACKENDS

    def start(self) -> None:
        """Starts all servers and lets connections in."""
        self.shop.issuer.prepare()
        session = self.shop.new_session("customer", 30 * 86400)
        for name, token in tokens.samples(self.shop.issuer, "customer", "customer", session).items():
            (self._place / "secrets" / f"token-{name}").write_text(token + "\n")
        for number in range(BACKENDS):
            self.open_backend(number)
        plain = self._serve(HttpServer(self.redirect))
        for entrance in self._https:
            entrance.set_mode("serve")
        for entrance in self._http:
            entrance.targets = [plain]
            entrance.set_mode("serve")

    def _serve(self, server: HttpServer) -> Address:
        server.error = error
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return "127.0.0.1", server.server_address[1]

    def open_backend(self, number: int) -> None:
        """Starts a backend on a new port and tells the balancer."""
        server = HttpServer(self._cache.answer, self.tls, number)
        self.backends[number] = server
        self._last[number] = self._serve(server)
        self.tell_balancer(self._last)

    def close_backend(self, number: int) -> None:
        """Ends a backend; the balancer still knows its address."""
        server = self.backends[number]
        if server:
            server.close_now()
        self.backends[number] = None

    def restart_backend(self, number: int, away: float = 0.0) -> None:
        """Replaces a backend as a careful deployment does: out of the balancer, drained, back on another port."""
        old = self.backends[number]
        others = [target for one, target in enumerate(self._last) if one != number]
        self.tell_balancer(others)
        if old:
            old.drain()
        time.sleep(away)
        self.open_backend(number)

    def tell_balancer(self, targets: list[Address]) -> None:
        """Sets where the balancer sends connections."""
        for entrance in self._https:
            entrance.targets = [target for target in targets if target[1]]

    def connect(self) -> None:
        """Waits until both backends have their database."""
        for orders in self.shop.orders:
            for attempt in range(20):
                try:
                    orders.find(1)
                    break
                except OrdersUnavailable as trouble:
                    if attempt == 19:
                        raise DemoError(f"the shop does not reach its database: {trouble}") from None
                    time.sleep(0.1)

    def redirect(self, request: Request) -> Response:
        """What plain HTTP answers: a permanent redirect to HTTPS."""
        for fault in sorted(self.shop.faults):
            if fault in PLAIN:
                response = PLAIN[fault](self._ports, request.path)
                return Response(response.status, response.body, {**HEADERS, **response.headers})
        location = f"https://shop.demo.test:{self._ports.https}{request.path}"
        headers = {name: value for name, value in HEADERS.items() if name != "Strict-Transport-Security"}
        return Response(308, b"", {**headers, "Location": location})
