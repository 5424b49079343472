"""How each fault is switched on and off: one table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pytest_prodcheck.demo.network.balancer import Mode
from pytest_prodcheck.demo.network.dns_server import Trouble
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.shop import (
    access_faults,
    exposure_faults,
    header_faults,
    performance_faults,
    routing,
    tokens,
)
from pytest_prodcheck.demo.shop import answer_faults as shop_faults
from pytest_prodcheck.demo.switches import access as access_switches
from pytest_prodcheck.demo.switches import backups as backup_switches
from pytest_prodcheck.demo.switches import data as data_switches
from pytest_prodcheck.demo.switches import mail as mail_switches
from pytest_prodcheck.demo.switches import postgres as postgres_switches
from pytest_prodcheck.demo.switches import redis as redis_switches
from pytest_prodcheck.demo.switches import release as release_switches
from pytest_prodcheck.demo.switches import replication as replication_switches
from pytest_prodcheck.demo.switches import scans as scan_switches
from pytest_prodcheck.demo.switches.background_activity import Background

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

_ = header_faults, exposure_faults  # importing them fills the tables of routing
QUEUE, SHOP = "queue.demo.test", "shop.demo.test"
Act = Callable[["System"], None]


class Kept(Protocol):
    """What a fault leaves behind."""

    def off(self, system: System) -> None:
        """Gives it back."""


@dataclass(frozen=True)
class Switch:
    """Both directions; each returns when it is in effect."""

    on: Act
    off: Act


def _answers(name: str) -> Switch:
    """A fault in the shop's answers."""

    def on(system: System) -> None:
        system.web.shop.counts.pop(name, None)
        system.web.shop.faults |= {name}

    def off(system: System) -> None:
        system.web.shop.faults -= {name}

    return Switch(on, off)


def _second_address(mode: Mode) -> Switch:
    def switch(system: System, wanted: Mode) -> None:
        if len(system.https) < 2:
            raise DemoError("this machine has no 127.0.0.2: the demo has only one address")
        system.https[1].set_mode(wanted)

    return Switch(lambda system: switch(system, mode), lambda system: switch(system, "serve"))


def _queue(mode: Mode) -> Switch:
    return Switch(lambda system: system.queue.set_mode(mode), lambda system: system.queue.set_mode("serve"))


def _trouble(trouble: Trouble) -> Switch:
    def on(system: System) -> None:
        system.names.trouble[QUEUE] = trouble

    def off(system: System) -> None:
        system.names.trouble.pop(QUEUE, None)

    return Switch(on, off)


def _spare(number: int, mode: Mode) -> Act:
    return lambda system: system.spare[number].set_mode(mode)


def _queue_leads_to(host: str) -> Act:
    def act(system: System) -> None:
        system.names.a[QUEUE] = (host,)

    return act


def _http(mode: Mode) -> Act:
    def act(system: System) -> None:
        for entrance in system.http:
            entrance.set_mode(mode)

    return act


def _kill_backend(system: System) -> None:
    for entrance in system.https:
        entrance.retry = False
    system.web.close_backend(1)


def _revive_backend(system: System) -> None:
    for entrance in system.https:
        entrance.retry = True
    system.web.open_backend(1)


def _reset_next(number: int) -> Act:
    def act(system: System) -> None:
        system.https[0].resets = number

    return act


def _move(system: System) -> None:
    system.web.restart_backend(0)


# TCP to a group: the system says ENETUNREACH at once and sends nothing, whatever routes this machine has.
NO_ROUTE = "ff0e::db8:1"


def _ipv6(*addresses: str) -> Act:
    def act(system: System) -> None:
        system.names.aaaa[SHOP] = addresses

    return act


def _answers_and_keeps(name: str, kept: Kept) -> Switch:
    """A fault in the shop's answers that leaves something behind."""
    answers = _answers(name)

    def off(system: System) -> None:
        answers.off(system)
        kept.off(system)

    return Switch(answers.on, off)


def _restart_in_turn(system: System, end: threading.Event) -> None:
    number = 0
    while not end.is_set():
        system.web.restart_backend(number, away=0.3)
        number = 1 - number
        end.wait(0.3)


_ROLLING = Background(_restart_in_turn)

SWITCHES: dict[str, Switch] = {
    **{name: _answers(name) for name in (*routing.WRAPPERS, *routing.FINISHERS, *shop_faults.PLAIN)},
    **{name: _answers(name) for name in (*tokens.WEAKNESSES, *access_faults.ELSEWHERE)},
    "perf-leak": _answers_and_keeps("perf-leak", performance_faults.LEAK),
    "perf-kept-open": _answers_and_keeps("perf-kept-open", performance_faults.KEPT_OPEN),
    "perf-hog": Switch(performance_faults.HOG.on, performance_faults.HOG.off),
    "perf-burn": Switch(performance_faults.BURNER.on, performance_faults.BURNER.off),
    "backend-dead": Switch(_kill_backend, _revive_backend),
    "address-down": _second_address("down"),
    "address-refuses-tls": _second_address("cut"),
    "address-hangs": _second_address("hang"),
    "dns-gone": _trouble("nxdomain"),
    "dns-servfail": _trouble("servfail"),
    "dns-silent": _trouble("silent"),
    "tcp-closed": _queue("down"),
    "tcp-backlog-full": _queue("full"),
    "port-open": Switch(_spare(0, "serve"), _spare(0, "down")),
    "port-open-silent": Switch(_spare(1, "hang"), _spare(1, "down")),
    "port-resets": Switch(_spare(1, "cut"), _spare(1, "down")),
    "tcp-elsewhere": Switch(_queue_leads_to("127.0.0.9"), _queue_leads_to("127.0.0.1")),
    "connection-reset-once": Switch(_reset_next(1), _reset_next(0)),
    "backend-moved": Switch(_move, _move),
    "rolling-restart": Switch(_ROLLING.on, _ROLLING.off),
    "ipv6-without-route": Switch(_ipv6(NO_ROUTE), _ipv6()),
    "http-closed": Switch(_http("down"), _http("serve")),
    **{name: Switch(on, off) for name, (on, off) in postgres_switches.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in redis_switches.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in scan_switches.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in mail_switches.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in data_switches.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in access_switches.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in backup_switches.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in replication_switches.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in release_switches.ACTS.items()},
}
