"""How each fault is switched on and off: one table."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pytest_prodcheck.demo.network.balancer import LoadBalancer, Mode
from pytest_prodcheck.demo.network.dns_server import BRANCH, Trouble
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.shop.access_faults import ELSEWHERE
from pytest_prodcheck.demo.shop.answer_faults import PLAIN
from pytest_prodcheck.demo.shop.edge_cache import KEPT_BY
from pytest_prodcheck.demo.shop.http_server import tls_context
from pytest_prodcheck.demo.shop.performance_faults import BURNER, HOG, KEPT_OPEN, LEAK
from pytest_prodcheck.demo.shop.table import CHANGES
from pytest_prodcheck.demo.shop.tokens import WEAKNESSES
from pytest_prodcheck.demo.switches import access, backups, data, mail, postgres, redis, release, replication, scans
from pytest_prodcheck.demo.switches.background_activity import Background

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

QUEUE, SHOP = "queue.demo.test", "shop.demo.test"
Act = Callable[["System"], None]


class Undoable(Protocol):
    """What a fault leaves behind."""

    def off(self) -> None:
        """Gives it back."""


class Load(Undoable, Protocol):
    """What a fault does to the process that the shop runs in."""

    def on(self) -> None:
        """Begins."""


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


def _mode(entrance: Callable[[System], LoadBalancer], mode: Mode, back: Mode = "serve") -> Switch:
    return Switch(lambda system: entrance(system).set_mode(mode), lambda system: entrance(system).set_mode(back))


def _queue(system: System) -> LoadBalancer:
    return system.queue


def _open_port(system: System) -> LoadBalancer:
    return system.spare_1


def _silent_port(system: System) -> LoadBalancer:
    return system.spare_2


def _dns_trouble(trouble: Trouble, name: str = QUEUE) -> Switch:
    def on(system: System) -> None:
        system.names.trouble[name] = trouble

    def off(system: System) -> None:
        system.names.trouble.pop(name, None)

    return Switch(on, off)


def _branch_shows(server: str) -> Act:
    """Whose certificate is shown to those who ask for the branch."""

    def act(system: System) -> None:
        context = tls_context(system.place, server)

        def choose(connection: ssl.SSLObject, name: str, _: ssl.SSLContext) -> None:
            if name == BRANCH:
                connection.context = context

        system.web.tls.sni_callback = choose if server != "shop" else None

    return act


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


def _restart_backend(system: System) -> None:
    system.web.restart_backend(0)


# TCP to a group: the system says ENETUNREACH at once and sends nothing, whatever routes this machine has.
NO_ROUTE = "ff0e::db8:1"


def _ipv6(*addresses: str) -> Act:
    def act(system: System) -> None:
        system.names.aaaa[SHOP] = addresses

    return act


def _answers_and_keeps(name: str, kept: Undoable) -> Switch:
    """A fault in the shop's answers that leaves something behind."""
    answers = _answers(name)

    def off(system: System) -> None:
        answers.off(system)
        kept.off()

    return Switch(answers.on, off)


def _load(load: Load) -> Switch:
    return Switch(lambda system: load.on(), lambda system: load.off())


def _restart_in_turn(system: System, end: threading.Event) -> None:
    number = 0
    while not end.is_set():
        system.web.restart_backend(number, away=0.3)
        number = 1 - number
        end.wait(0.3)


_ROLLING = Background(_restart_in_turn)

SWITCHES: dict[str, Switch] = {
    **{name: _answers(name) for name in (*CHANGES.names, *PLAIN, *WEAKNESSES, *ELSEWHERE, *KEPT_BY.values())},
    "perf-leak": _answers_and_keeps("perf-leak", LEAK),
    "perf-kept-open": _answers_and_keeps("perf-kept-open", KEPT_OPEN),
    "perf-hog": _load(HOG),
    "perf-burn": _load(BURNER),
    "backend-dead": Switch(_kill_backend, _revive_backend),
    "address-down": _second_address("down"),
    "address-refuses-tls": _second_address("cut"),
    "address-hangs": _second_address("hang"),
    "dns-gone": _dns_trouble("nxdomain"),
    "dns-servfail": _dns_trouble("servfail"),
    "dns-silent": _dns_trouble("silent"),
    "branch-gone": _dns_trouble("nxdomain", BRANCH),
    "branch-other-name": Switch(_branch_shows("redis"), _branch_shows("shop")),
    "tcp-closed": _mode(_queue, "down"),
    "tcp-backlog-full": _mode(_queue, "full"),
    "port-open": _mode(_open_port, "serve", "down"),
    "port-open-silent": _mode(_silent_port, "hang", "down"),
    "port-resets": _mode(_silent_port, "cut", "down"),
    "tcp-elsewhere": Switch(_queue_leads_to("127.0.0.9"), _queue_leads_to("127.0.0.1")),
    "connection-reset-once": Switch(_reset_next(1), _reset_next(0)),
    "backend-moved": Switch(_restart_backend, _restart_backend),
    "rolling-restart": Switch(_ROLLING.on, _ROLLING.off),
    "ipv6-without-route": Switch(_ipv6(NO_ROUTE), _ipv6()),
    "http-closed": Switch(_http("down"), _http("serve")),
    **{name: Switch(on, off) for name, (on, off) in postgres.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in redis.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in scans.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in mail.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in data.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in access.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in backups.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in replication.ACTS.items()},
    **{name: Switch(on, off) for name, (on, off) in release.ACTS.items()},
}
