"""Faults and benign events of logins, of PostgreSQL's access rules and columns, and of Redis' doors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_prodcheck.demo.postgres.node import Node

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

Act = Callable[["System"], None]
CIPHERTEXT = "'v1:' || encode(sha256(convert_to(random()::text, 'UTF8')), 'base64')"
EVERYBODY = "127.0.0.1/32"


def _throttle(**switches: bool) -> Act:
    def act(system: System) -> None:
        throttle = system.web.shop.throttle
        for name, value in switches.items():
            setattr(throttle, name, value)
        throttle.reset()

    return act


def _lock_everybody(on: bool) -> Act:
    def act(system: System) -> None:
        shop, name = system.web.shop, "throttling-locks-everybody"
        shop.faults = shop.faults | {name} if on else shop.faults - {name}
        _throttle(everybody=on)(system)

    return act


def _rules(*first: str, instead: str = "") -> Act:
    """Puts lines before those of pg_hba.conf on the primary, or a method into all of its lines for TLS."""

    def act(system: System) -> None:
        node = system.postgres.primary
        text = system.postgres._access()
        if instead:
            text = "".join(
                line.replace("scram-sha-256", instead) if " all   " in line else line
                for line in text.splitlines(keepends=True)
            )
        _write_rules(node, "".join(f"{line}\n" for line in first) + text)

    return act


def _write_rules(node: Node, text: str) -> None:
    node.write("pg_hba.conf", text)
    node.configure()


def _rules_back(system: System) -> None:
    for node in system.postgres.nodes:
        if node.running:
            _write_rules(node, system.postgres._access())


def _password(encryption: str) -> Act:
    """Stores our password anew, in this form; the rules take either."""

    def act(system: System) -> None:
        from psycopg import sql

        cluster = system.postgres
        for node in cluster.nodes:
            _write_rules(node, cluster._access().replace("scram-sha-256", "md5"))
        with cluster.primary.connect() as connection:
            connection.execute(sql.SQL("set password_encryption = {}").format(sql.Literal(encryption)))
            new = sql.SQL("alter role prodcheck password {}").format(sql.Literal(system.known.postgres))
            connection.execute(new)
        cluster.wait_for_replay()

    return act


def _password_back(system: System) -> None:
    _password("scram-sha-256")(system)
    _rules_back(system)


def _encryption(value: str) -> Act:
    return lambda system: system.postgres.primary.configure(password_encryption=value)


def _payment_methods(change: str) -> Act:
    """Gives payment methods other values; change: what stands behind SET."""

    def act(system: System) -> None:
        cluster = system.postgres
        cluster.primary.ask(f"update payment_methods set {change}")
        cluster.wait_for_replay()

    return act


def _cards(value: str) -> Act:
    return _payment_methods(f"card = {value} where id % 4 = 0")


def _holders(value: str) -> Act:
    return _payment_methods(f"holder = {value}")


_CARDS_BACK, _HOLDERS_BACK = _cards(CIPHERTEXT), _holders("sha256(convert_to(random()::text, 'UTF8'))")
_NAMES = "convert_to('Ada Lovelace, 12 St James''s Square ' || id, 'UTF8')"


def _nobody_needs_a_password(system: System) -> None:
    system.redis.primary.do("ACL", "SETUSER", "default", "nopass")


def _everybody_needs_one(system: System) -> None:
    from redis import Redis

    node = system.redis.primary
    with Redis(port=node.port, socket_timeout=5) as client:  # a password is refused where none is needed
        client.execute_command("ACL", "SETUSER", "default", "resetpass", f">{node.password}")


def _plain_door(mode: str) -> Act:
    def act(system: System) -> None:
        door = system.cache_plain
        door.targets = [("127.0.0.1", system.redis.primary.port)]
        door.set_mode("serve" if mode == "serve" else "down")

    return act


ACTS: dict[str, tuple[Act, Act]] = {
    "throttling-gone": (_throttle(off=True), _throttle(off=False)),
    "throttling-by-address": (_throttle(everybody=True), _throttle(everybody=False)),
    "throttling-locks-everybody": (_lock_everybody(True), _lock_everybody(False)),
    "postgres-takes-plain": (_rules(f"host all all {EVERYBODY} scram-sha-256"), _rules_back),
    "postgres-takes-plain-elsewhere": (_rules("host all batch 10.0.0.0/8 scram-sha-256"), _rules_back),
    "postgres-trusts-elsewhere": (_rules("hostssl all batch 10.0.0.0/8 trust"), _rules_back),
    "postgres-asks-in-plain-text": (_rules(instead="password"), _rules_back),
    "postgres-asks-nobody": (_rules(instead="trust"), _rules_back),
    "postgres-password-md5": (_password("md5"), _password_back),
    "postgres-stores-md5": (_encryption("md5"), _encryption("scram-sha-256")),
    "postgres-rejects-plain": (_rules(f"hostnossl all all {EVERYBODY} reject"), _rules_back),
    "postgres-plain-on-loopback": (_rules("host all all ::1/128 scram-sha-256"), _rules_back),
    "column-card-numbers": (_cards("'4111 1111 1111 1111'"), _CARDS_BACK),
    "column-emails-in-base64": (
        _cards("'v1:' || encode(convert_to('ada' || id || '@shop.example', 'UTF8'), 'base64')"), _CARDS_BACK,
    ),
    "column-other-form": (_cards("'TODO encrypt'"), _CARDS_BACK),
    "column-plain-names": (_holders(_NAMES), _HOLDERS_BACK),
    "column-empty": (_holders("null"), _HOLDERS_BACK),
    "redis-needs-no-password": (_nobody_needs_a_password, _everybody_needs_one),
    "redis-takes-plain": (_plain_door("serve"), _plain_door("down")),
}  # fmt: skip
