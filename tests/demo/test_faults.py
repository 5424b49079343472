"""Every fault can be switched on and off, and does what it says."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable

import dns.exception
import psycopg
import pytest
import redis

from pytest_prodcheck.catalogue import entries
from pytest_prodcheck.demo import BENIGN, FAULTS, Demo, DemoError
from pytest_prodcheck.demo.switches.table import SWITCHES
from tests.demo.client import Client
from tests.soak import SOAK

CHECKS = {
    "service": ("health", "latency", "version", "negotiation", "addresses", "redirect"),
    "dns": ("resolves",),
    "tcp": ("open",),
    "api": ("endpoint", "budget", "openapi"),
    "postgres": ("connects", "primary", "standbys", "connections"),
    "redis": ("responds", "roles", "memory", "persistence", "writes", "connections"),
    "auth": ("login", "rejects", "required", "session"),
    "workflow": ("order",),
}
IDS = {f"smoke.{group}.{name}" for group, names in CHECKS.items() for name in names}


def test_every_fault_has_a_switch_and_every_switch_a_fault() -> None:
    assert set(SWITCHES) == set(FAULTS) | set(BENIGN)
    assert not set(FAULTS) & set(BENIGN)


def test_every_check_has_three_faults_and_every_fault_checks() -> None:
    noticed = Counter(check for fault in FAULTS.values() for check in fault.notices)
    assert {check for check in noticed if check.startswith("smoke.")} == IDS
    assert min(noticed[check] for check in IDS) >= 3, noticed
    known = IDS | {entry.id for entry in entries()}
    for fault in FAULTS.values():
        assert fault.notices
        assert {_written(check) for check in (*fault.notices, *fault.also)} <= known
    assert not any(fault.notices or fault.also for fault in BENIGN.values())
    assert len(BENIGN) >= 15


def _written(check: str) -> str:
    """A check's id as the catalogue has it: `….*` for one id a target."""
    stems = [entry.id.removesuffix("*") for entry in entries() if entry.id.endswith(".*")]
    ids = {entry.id for entry in entries()}
    return next((f"{stem}*" for stem in stems if check.startswith(stem) and check not in ids), check)


@pytest.mark.skipif(not SOAK, reason="in the soak: the matrix switches each one too")
@pytest.mark.parametrize("part", ["postgres-", "redis-", ""], ids=["postgres", "redis", "others"])
def test_all_faults_go_on_and_off_quickly(demo: Demo, client: Client, part: str) -> None:
    stores = ("postgres-", "redis-")
    names = [name for name in SWITCHES if (name.startswith(part) if part else not name.startswith(stores))]
    slow = {}
    for name in names:
        began = time.monotonic()
        demo.set_faults([name])
        demo.set_faults([])
        slow[name] = time.monotonic() - began
        if part:
            client.assert_healthy()
    client.assert_healthy()
    assert max(slow.values()) < 8, slow


def _fails(act: Callable[[], object], *errors: type[Exception]) -> bool:
    try:
        act()
    except errors:
        return True
    return False


def _seconds(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _refused(client: Client, **more: str) -> bool:
    return _fails(lambda: client.ask("GET /version", timeout=1, **more), OSError)


def _checkout(client: Client) -> int:
    customer = client.log_in("customer")
    cart = client.ask("POST /carts", token=customer).json["id"]
    client.ask(f"POST /carts/{cart}/lines", {"sku": "sku-2", "count": 1}, customer)
    return client.ask("POST /checkouts", {"cart": cart, "payment": "test-visa"}, customer).status


def _postgres_fails(client: Client, node: int | str, text: str) -> bool:
    try:
        client.postgres(node, "select 1", timeout=2)
    except psycopg.OperationalError as error:
        return text in str(error)
    return False


def _redis_fails(client: Client, node: int, error: type[Exception]) -> bool:
    return _fails(lambda: client.redis(node, "PING"), error)


def _memory(client: Client) -> float:
    memory = client.redis(0, "INFO", "memory")
    return float(memory["used_memory"] / memory["maxmemory"])


def _taken(client: Client) -> int:
    return int(client.postgres(0, "select count(*) from pg_stat_activity where backend_type = 'client backend'"))


def _revisions(client: Client) -> list[str]:
    return sorted(client.ask("GET /version").json["revision"] for _ in range(4))


def _logged_out_opens(client: Client) -> bool:
    token = client.log_in("customer")
    client.ask("POST /logout", token=token)
    return client.ask("GET /account", token=token).status == 200


def _wrong_login(client: Client, user: str, word: str) -> int:
    return client.ask("POST /login", {"username": user, "password": word}).status


def _lockme(client: Client) -> list[int]:
    return [_wrong_login(client, "lockme", word) for word in ("x", "")]


def _recovering(client: Client, node: int | str) -> bool:
    return bool(client.postgres(node, "select pg_is_in_recovery()"))


EFFECTS: dict[str, Callable[[Client], bool]] = {
    "health-says-fail": lambda one: one.ask("GET /healthz").json == {"status": "fail"},
    "health-login-page": lambda one: b"password" in one.ask("GET /healthz").body,
    "health-slow": lambda one: _seconds(lambda: one.ask("GET /healthz")) > 2.9,
    "version-old-on-one": lambda one: _revisions(one) == ["demo-0", "demo-0", "demo-1", "demo-1"],
    "backend-dead": lambda one: sorted(_refused(one) for _ in range(4)) == [False, False, True, True],
    "address-down": lambda one: _refused(one, host="127.0.0.2") and not _refused(one),
    "address-refuses-tls": lambda one: _refused(one, host="127.0.0.2") and not _refused(one),
    "address-hangs": lambda one: _refused(one, host="127.0.0.2") and not _refused(one),
    "redirect-missing": lambda one: one.plain().status == 200,
    "redirect-loop": lambda one: one.plain().headers["Location"].startswith(f"http://shop.demo.test:{one.http}"),
    "dns-gone": lambda one: one.names("queue.demo.test")[0] == "NXDOMAIN",
    "dns-servfail": lambda one: one.names("queue.demo.test")[0] == "SERVFAIL",
    "dns-silent": lambda one: _fails(lambda: one.names("queue.demo.test", timeout=0.3), dns.exception.Timeout),
    "tcp-closed": lambda one: _fails(one.queue, ConnectionRefusedError),
    "tcp-backlog-full": lambda one: _fails(lambda: one.queue(0.5), TimeoutError),
    "tcp-elsewhere": lambda one: one.names("queue.demo.test")[1] == ["127.0.0.9"],
    "product-truncated": lambda one: _fails(lambda: one.ask("GET /products/sku-2"), Exception),
    "product-empty": lambda one: one.ask("GET /products/sku-2").body == b"",
    "product-slow": lambda one: 0.7 < _seconds(lambda: one.ask("GET /products/sku-2")) < 1,
    "openapi-lacks-endpoint": lambda one: "/products/{sku}" not in one.ask("GET /openapi.json").json["paths"],
    "login-refuses": lambda one: _wrong_login(one, "admin", one.secret("admin")) == 401,
    "login-accepts-any-password": lambda one: _lockme(one) == [200, 401],
    "login-accepts-empty-password": lambda one: _lockme(one) == [401, 200],
    "login-404-for-unknown-user": lambda one: _wrong_login(one, "nobody", "x") == 404,
    "account-open": lambda one: one.ask("GET /account").status == 200,
    "account-accepts-garbage": lambda one: one.ask("GET /account", token="garbage").status == 200,
    "report-open": lambda one: one.ask("GET /admin/report").status == 200,
    "logout-keeps-token": _logged_out_opens,
    "checkout-500": lambda one: _checkout(one) == 500,
    "cart-stays": lambda one: _fails(one.order, AssertionError),
    "cancel-refused": lambda one: _fails(one.order, AssertionError),
    "postgres-primary-down": lambda one: _postgres_fails(one, 0, "refused") and _checkout(one) == 503,
    "postgres-read-only": lambda one: one.postgres("writer", "show transaction_read_only") == "on",
    "postgres-two-primaries": lambda one: not _recovering(one, 1),
    "postgres-writer-astray": lambda one: _recovering(one, "writer") and _checkout(one) == 503,
    "postgres-standby-down": lambda one: _postgres_fails(one, 1, "refused"),
    "postgres-standby-hangs": lambda one: _postgres_fails(one, 1, "timeout"),
    "postgres-connections-80": lambda one: 78 <= _taken(one) <= 84,
    "postgres-connections-95": lambda one: 94 <= _taken(one) <= 98,
    "postgres-connections-exhausted": lambda one: _postgres_fails(one, 0, "connection slots"),
    "postgres-password-changed": lambda one: all(_postgres_fails(one, node, "password") for node in (0, 1)),
    "redis-down": lambda one: _redis_fails(one, 0, redis.exceptions.ConnectionError),
    "redis-loading": lambda one: _redis_fails(one, 0, redis.exceptions.BusyLoadingError),
    "redis-password-changed": lambda one: _redis_fails(one, 0, redis.exceptions.AuthenticationError),
    "redis-hangs": lambda one: _redis_fails(one, 0, redis.exceptions.TimeoutError),
    "redis-link-down": lambda one: one.redis(1, "INFO", "replication")["master_link_status"] == "down",
    "redis-two-primaries": lambda one: one.redis(1, "INFO", "replication")["role"] == "master",
    "redis-memory-85": lambda one: 0.82 < _memory(one) < 0.88,
    "redis-memory-97": lambda one: 0.955 < _memory(one) < 0.985,
    "redis-memory-full": lambda one: _memory(one) > 1,
    "redis-save-fails": lambda one: one.redis(0, "INFO", "persistence")["rdb_last_bgsave_status"] == "err",
    "redis-aof-fails": lambda one: one.redis(0, "INFO", "persistence")["aof_last_bgrewrite_status"] == "err",
    "redis-not-persistent": lambda one: one.redis(0, "INFO", "persistence")["aof_enabled"] == 0,
    "connection-reset-once": lambda one: [_refused(one) for _ in range(3)] == [True, False, False],
    "ipv6-without-route": lambda one: one.names("shop.demo.test", "AAAA")[1] == ["ff0e::db8:1"],
    "http-closed": lambda one: _fails(one.plain, ConnectionRefusedError),
    "chunked": lambda one: one.ask("GET /healthz").headers["Transfer-Encoding"] == "chunked",
    "uncompressed": lambda one: one.ask("GET /", Accept_Encoding="gzip").body[:2] != b"\x1f\x8b",
    "plain-stale": lambda one: b"former" in one.ask("GET /").body,
    "postgres-failed-over": lambda one: not _recovering(one, 1) and bool(one.order()),
    "postgres-backup-running": lambda one: one.postgres(0, "select count(*) from pg_stat_progress_basebackup") == 1,
    "postgres-index-building": lambda one: one.postgres(0, "select count(*) from pg_index where not indisvalid") == 1,
    "redis-saving": lambda one: one.redis(0, "INFO", "persistence")["rdb_bgsave_in_progress"] == 1,
    "redis-failed-over": lambda one: one.redis(0, "INFO", "replication")["role"] == "slave",
    "redis-full-lru": lambda one: one.redis(0, "INFO", "memory")["maxmemory_policy"] == "allkeys-lru",
}


@pytest.mark.parametrize("name", EFFECTS)
def test_a_fault_does_what_it_says_until_it_is_off(demo: Demo, client: Client, name: str) -> None:
    demo.set_faults([name])
    assert EFFECTS[name](client)
    demo.set_faults([])
    assert not EFFECTS[name](client)


@pytest.mark.parametrize("name", ["rolling-restart", "backend-moved", "big-headers", "chunked", "health-extra-fields"])
def test_benign_events_break_no_request(demo: Demo, client: Client, name: str) -> None:
    demo.set_faults([name])
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert client.ask("GET /healthz").status == 200
        client.order()


def test_faults_replace_each_other(demo: Demo, client: Client) -> None:
    demo.set_faults(["health-503", "redirect-missing"])
    assert (client.ask("GET /healthz").status, client.plain().status) == (503, 200)
    demo.set_faults(["redirect-missing"])
    assert (client.ask("GET /healthz").status, client.plain().status) == (200, 200)
    with pytest.raises(DemoError, match="unknown fault 'health-504'"):
        demo.set_faults(["health-504"])


def test_keep_alive_and_half_a_request(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.https), 2) as sock:
        sock.sendall(b"this is not TLS\r\n\r\n")
        assert b"HTTP" not in sock.recv(100)
    client.assert_healthy()
