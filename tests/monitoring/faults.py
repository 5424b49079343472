"""What goes wrong with what watches the shop, made in the numbers that a real Prometheus scrapes, or in the file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.monitoring.exporter import Numbers
from tests.project import Project

ERRORS, P95 = "smoke.metrics.error-ratio", "smoke.metrics.p95"
METRICS = (ERRORS, P95)
PERCENTILE = "histogram_quantile(0.95, sum by (le) (rate("
URL = '[environments.live.prometheus]\nurl = "http://'


@dataclass
class Bench:
    """What a fault can change: the numbers, the file, and what the run is about."""

    numbers: Numbers
    home: Project
    revision: str = "good"


@dataclass(frozen=True)
class Fault:
    """A fault: how it is made, which checks must notice it and with which outcome."""

    name: str
    make: Callable[[Bench], None]
    notices: tuple[str, ...]
    outcome: str = "failed"


def _revision(name: str) -> Callable[[Bench], None]:
    def make(bench: Bench) -> None:
        bench.revision = name

    return make


def _edited(old: str, new: str) -> Callable[[Bench], None]:
    return lambda bench: bench.home.edit(old, new)


def _died(bench: Bench) -> None:
    """Its numbers stand still; what was before is within the window yet."""
    bench.revision = "mortal"
    bench.numbers.dead["mortal"] = time.monotonic()
    time.sleep(2)


FAULTS = (
    Fault("errors", _revision("failing"), (ERRORS,)),
    Fault("some-errors", _revision("failing-somewhat"), (ERRORS,), "warned"),
    Fault("slow", _revision("slow"), (P95,)),
    Fault("slowish", _revision("slowish"), (P95,), "warned"),
    Fault("no-traffic", _revision("idle"), METRICS, "errored"),
    Fault("hardly-any-traffic", _revision("hardly-used"), METRICS, "errored"),
    Fault("revision-not-labelled", _revision("unheard-of"), METRICS, "errored"),
    Fault("percentile-of-nothing", _revision("stuck"), (P95,), "errored"),
    Fault("died", _died, METRICS, "errored"),
    Fault("prometheus-down", _edited(URL, f"{URL}127.0.0.1:9/"), METRICS, "errored"),
    Fault("query-broken", _edited("/ sum(rate(", "/ sum(rate(("), (ERRORS,), "errored"),
    Fault("query-not-aggregated", _edited(PERCENTILE, "topk(3, abs (rate("), (P95,), "errored"),
)  # fmt: skip
