"""What has to fit together within one environment: every kind's rules, and those about no kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_prodcheck.environments import plain_http
from pytest_prodcheck.environments.project import FUTURE_KINDS, Environment, kinds
from pytest_prodcheck.environments.queries import declared
from pytest_prodcheck.environments.rules.common import headers, unknown_name
from pytest_prodcheck.environments.targets import is_built_in, kinds_in
from pytest_prodcheck.environments.toml.error_collector import Complaint


def complaints(environment: Environment, root: Path) -> Iterator[Complaint]:
    """Everything that does not fit together; key paths are below the environment."""
    yield from headers(("headers",), environment.headers)
    yield from plain_http.complaints(environment)
    yield from _check_absent(environment)
    for name, unit in environment.units.items():
        for position, service in enumerate(unit.services):
            yield from unknown_name(
                ("units", name, "services", f"[{position}]"), service, environment.services, "service"
            )
    yield from _slots(environment)
    for kind in kinds_in(environment):
        yield from kind.rules(environment, root)
    for name in environment.own:
        if is_built_in(name):
            yield ("own", name), "is the name of a built-in kind of target", "choose another name for the collector"


def _check_absent(environment: Environment) -> Iterator[Complaint]:
    for position, kind in enumerate(environment.absent):
        path = ("absent", f"[{position}]")
        yield from unknown_name(path, kind, (*kinds(), *FUTURE_KINDS), "kind")
        if declared(environment, kind):
            yield path, f"`{kind}` is listed as absent, but declared", ""


def _slots(environment: Environment) -> Iterator[Complaint]:
    for name, slot in environment.slots.items():
        if slot.connect_to is None and not slot.services and slot.workload is None:
            yield ("slots", name), "does not say where the slot is", "give `connect_to` or `services`"
        for service in slot.services:
            yield from unknown_name(("slots", name, "services", service), service, environment.services, "service")
        for service, declared_ in environment.services.items():
            rewritten = service in slot.services or (slot.connect_to and declared_.vantage == "outside")
            if declared_.proxy and rewritten:
                yield ("slots", name), f"service {service} has a `proxy`, so a slot cannot set `connect_to` for it", ""
