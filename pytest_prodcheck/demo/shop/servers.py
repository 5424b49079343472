"""The shop's servers: two backends behind the balancer, and the plain one that redirects."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_prodcheck.demo.files import configuration
from pytest_prodcheck.demo.network.balancer import Address
from pytest_prodcheck.demo.postgres.cluster import PRICES
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.shop import access_faults, exposure_faults, header_faults, pages, performance_faults, tokens
from pytest_prodcheck.demo.shop import answer_faults as shop_faults
from pytest_prodcheck.demo.shop import checkout as buying
from pytest_prodcheck.demo.shop.application import HEADERS, Shop, User, error
from pytest_prodcheck.demo.shop.http_server import HttpServer, Request, Response, tls_context
from pytest_prodcheck.demo.shop.orders import Orders, OrdersUnavailable

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

# importing them fills the tables of routes and wrappers
_ = access_faults, buying, pages, performance_faults, shop_faults, header_faults, exposure_faults
BACKENDS = 2


class Web:
    """The shop and the servers that answer for it."""

    def __init__(self, system: System) -> None:
        import threading

        self._threading = threading
        known = system.known
        users = [
            User("customer", "customer", known.customer),
            User("other-customer", "customer", known.other_customer),
            User("admin", "admin", known.admin),
            User("lockme", "customer", known.lockme),
            User("throttled", "customer", known.lockme),
        ]
        mode = "verify-full" if system._tls else "disable"
        conninfo = (
            f"host=db-rw.demo.test hostaddr=127.0.0.1 port={system.ports.db_rw} dbname=shop user=shop "
            f"password={known.shop} sslmode={mode} sslrootcert={system.place / 'ca.pem'}"
        )
        self._system = system
        self.shop = Shop(users, tuple(Orders(conninfo) for _ in range(BACKENDS)), PRICES, configuration.REVISION)
        self._tls = tls_context(system.place)
        self.backends: list[HttpServer | None] = [None] * BACKENDS
        self._last: list[Address] = [("127.0.0.1", 0)] * BACKENDS

    def start(self) -> None:
        """Starts all servers and lets connections in."""
        self.shop.issuer.prepare()
        session = self.shop.new_session("customer", 30 * 86400)
        for name, token in tokens.samples(self.shop.issuer, "customer", "customer", session).items():
            (self._system.place / "secrets" / f"token-{name}").write_text(token + "\n")
        for number in range(BACKENDS):
            self.open_backend(number)
        plain = self._serve(HttpServer(self.redirect))
        for entrance in self._system.https:
            entrance.set_mode("serve")
        for entrance in self._system.http:
            entrance.targets = [plain]
            entrance.set_mode("serve")

    def _serve(self, server: HttpServer) -> Address:
        server.error = error
        self._threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return "127.0.0.1", server.server_address[1]

    def open_backend(self, number: int) -> None:
        """Starts a backend on a new port and tells the balancer."""
        server = HttpServer(self.shop.answer, self._tls, number)
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
        for entrance in self._system.https:
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
            if fault in shop_faults.PLAIN:
                response = shop_faults.PLAIN[fault](self._system.ports, request.path)
                return Response(response.status, response.body, {**HEADERS, **response.headers})
        location = f"https://shop.demo.test:{self._system.ports.https}{request.path}"
        headers = {name: value for name, value in HEADERS.items() if name != "Strict-Transport-Security"}
        return Response(308, b"", {**headers, "Location": location})
