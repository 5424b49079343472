"""What the tests ask a demo, with plain clients and by its own configuration."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import tomllib
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import dns.message
import dns.query
import dns.rcode
import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pytest_prodcheck.demo import Demo


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    def __init__(self, demo: Demo) -> None:
        self.root = demo.configuration.parent
        self.settings: dict[str, Any] = tomllib.loads(demo.configuration.read_text())["environments"]["demo"]
        service = self.settings["services"]["shop"]
        self.https = int(service["url"].rpartition(":")[2])
        self.http = int(service["redirect"].rstrip("/").rpartition(":")[2])
        self._tls = ssl.create_default_context(cafile=str(self.root / "ca.pem"))

    def secret(self, name: str) -> str:
        return (self.root / "secrets" / name).read_text().strip()

    def ask(
        self, request: str, body: object = None, token: str = "", host: str = "127.0.0.1", timeout: float = 5,
        **headers: str,
    ) -> Answer:  # fmt: skip
        method, path = request.split(" ")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        raw = socket.create_connection((host, self.https), timeout)
        with closing(http.client.HTTPConnection("shop.demo.test", self.https)) as connection:
            with raw:
                connection.sock = self._tls.wrap_socket(raw, server_hostname="shop.demo.test")
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def plain(self) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.http, timeout=5)) as connection:
            connection.request("GET", "/")
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def log_in(self, role: str) -> str:
        answer = self.ask("POST /login", {"username": role, "password": self.secret(role)})
        assert answer.status == 200, answer
        token = answer.json["token"]
        assert isinstance(token, str)
        return token

    def names(self, name: str, kind: str = "A", timeout: float = 2) -> tuple[str, list[str]]:
        host, _, port = self.settings["nameserver"].rpartition(":")
        answer = dns.query.udp(dns.message.make_query(name, kind), host, timeout, int(port))
        found = [item.to_text() for record in answer.answer for item in record]
        return dns.rcode.to_text(answer.rcode()), found

    def queue(self, timeout: float = 1) -> bytes:
        port = int(self.settings["dependencies"]["queue"]["tcp"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout) as sock:
            return sock.recv(100)

    def postgres(self, node: int | str, sql: str, timeout: int = 3) -> Any:
        settings = self.settings["postgres"]["shop"]
        address = settings["writer"] if node == "writer" else settings["nodes"][node]
        host, _, port = address.rpartition(":")
        options: dict[str, Any] = {"sslmode": settings["tls"]["mode"]}
        if "ca" in settings["tls"]:
            options["sslrootcert"] = str(self.root / settings["tls"]["ca"])
        with psycopg.connect(
            host=host, hostaddr="127.0.0.1", port=port, user=settings["user"], dbname=settings["database"],
            password=self.secret("postgres"), connect_timeout=timeout, **options,
        ) as connection:  # fmt: skip
            row = connection.execute(sql.encode()).fetchone()
            return row[0] if row else None

    def redis(self, node: int, *command: str) -> Any:
        port = int(self.settings["redis"]["sessions"]["nodes"][node].rpartition(":")[2])
        with closing(
            redis.Redis(
                port=port, password=self.secret("redis"), socket_timeout=3, decode_responses=True,
                retry=Retry(NoBackoff(), 0), ssl=True, ssl_ca_certs=str(self.root / "ca.pem"), ssl_check_hostname=False,
            )
        ) as one:  # fmt: skip
            return one.execute_command(*command)  # type: ignore[no-untyped-call]

    def assert_healthy(self) -> None:
        """Everything that the configuration promises holds."""
        for host in ("127.0.0.1", "127.0.0.2"):
            assert self.ask("GET /healthz", host=host).json["status"] == "pass"
        assert {self.ask("GET /version").json["revision"] for _ in range(4)} == {self.settings["revision"]}
        assert self.plain().status == 308
        assert self.names("queue.demo.test") == ("NOERROR", ["127.0.0.1"])
        assert self.queue().startswith(b"220 ")
        assert [self.postgres(node, "show transaction_read_only") for node in (0, 1, "writer")] == ["off", "on", "off"]
        assert self.postgres(0, "select count(*) from pg_stat_replication where state = 'streaming'") == 1
        used = self.postgres(0, "select count(*) from pg_stat_activity where backend_type = 'client backend'")
        assert used < 20
        assert self.redis(0, "INFO")["role"] == "master"
        replica = self.redis(1, "INFO")
        assert (replica["role"], replica["master_link_status"]) == ("slave", "up")
        saved = self.redis(0, "INFO", "persistence")
        assert saved["rdb_last_bgsave_status"] == saved["aof_last_bgrewrite_status"] == "ok"
        assert saved["aof_enabled"] == 1
        memory = self.redis(0, "INFO", "memory")
        assert memory["used_memory"] < 0.5 * memory["maxmemory"]
        self.order()

    def order(self) -> str:
        """The workflow of the configuration; returns the cancelled order's number."""
        customer, admin = self.log_in("customer"), self.log_in("admin")
        cart = self.ask("POST /carts", token=customer).json["id"]
        line = {"sku": self.settings["vars"]["sku"], "count": 1}
        assert self.ask(f"POST /carts/{cart}/lines", line, customer).status == 201
        placed = self.ask("POST /checkouts", {"cart": cart, "payment": "test-visa"}, customer)
        assert placed.status == 201, placed
        order = placed.json["order"]
        assert self.ask(f"GET /orders/{order}", token=customer).json["state"] == "placed"
        assert self.ask(f"POST /orders/{order}/cancel", token=admin).status == 200
        assert self.ask(f"DELETE /carts/{cart}", token=customer).status == 204
        assert self.ask(f"GET /orders/{order}", token=admin).json["state"] == "cancelled"
        assert self.ask(f"GET /carts/{cart}", token=customer).status == 404
        return str(order)
