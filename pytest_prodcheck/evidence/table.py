"""The table of collectors: a name, the module that holds it. Modules are imported at first use."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from pytest_prodcheck.evidence.collector_modules import MODULES
from pytest_prodcheck.evidence.collectors import OWN, Collector

COLLECTORS = {name: f"pytest_prodcheck.evidence.{module}" for name, module in MODULES.items()}
ALSO_KNOWN_AS = {"endpoint": "http-endpoint"}


def names() -> tuple[str, ...]:
    """The names of the built-in collectors."""
    return tuple(COLLECTORS)


def own_names() -> tuple[str, ...]:
    """The names of the collectors that teams' own modules registered so far."""
    return tuple(OWN)


def find(name: str) -> Collector:
    """The collector of a name ("http-health", "http_health", "endpoint", an own one); raises KeyError."""
    if name in OWN:
        return OWN[name]
    plain = name.replace("_", "-")
    plain = ALSO_KNOWN_AS.get(plain, plain)
    if plain in OWN:
        return OWN[plain]
    return _built_in(plain)


@cache
def _built_in(name: str) -> Collector:
    module = import_module(COLLECTORS[name])
    return next(each for each in vars(module).values() if isinstance(each, Collector) and each.name == name)
