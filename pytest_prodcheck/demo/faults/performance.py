"""What the performance suite must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults.fault import Fault

_VALID, _THROUGHPUT, _ERRORS = ("performance.validity",), ("performance.throughput",), ("performance.errors",)
_P50, _P95, _P99 = ("performance.latency.p50",), ("performance.latency.p95",), ("performance.latency.p99",)
_SLOWER_95, _SLOWER_99 = ("performance.regression.p95",), ("performance.regression.p99",)
_SHIFTED = ("performance.regression.distribution",)
_MORE_ERRORS, _STRESS = ("performance.regression.errors",), ("performance.stress",)
_CPU, _MEMORY = ("performance.resources.cpu",), ("performance.resources.memory",)
_PROCESS, _CONNECTIONS = ("performance.resources.process",), ("performance.resources.connections",)
_LATENCY, _SLOWER = (*_P50, *_P95, *_P99), (*_SLOWER_95, *_SLOWER_99, *_SHIFTED)
_SPEED = (*_LATENCY, *_SLOWER, *_THROUGHPUT, *_STRESS)  # what slow answers turn red
_ALL = (*_SPEED, *_VALID, *_ERRORS, *_MORE_ERRORS, "performance.retries")
_SHOP = "the shop's speed"

FAULTS = (
    Fault("perf-slow", "products take 1.3 s", (*_P50, *_P95), _SPEED, part=_SHOP),
    Fault(
        "perf-slower", "products take 0.3 s longer than in the baseline",
        (*_SLOWER_95, *_SHIFTED), _SPEED, part=_SHOP,
    ),
    Fault("perf-tail", "one of 8 answers takes 1.4 s", (*_P95, *_SLOWER_95), _SPEED, part=_SHOP),
    Fault("perf-rare-tail", "one of 30 answers takes 2.8 s", (*_P99, *_SLOWER_99), _SPEED, part=_SHOP),
    Fault("perf-stall", "the shop answers nothing for 2.2 s, once",
          (*_P95, *_SLOWER_95), (*_SPEED, *_PROCESS), part=_SHOP),  # the requests that wait use memory
    Fault("perf-errors", "one of 25 answers is a 503", (*_ERRORS, *_MORE_ERRORS), _SPEED, part=_SHOP),
    Fault("perf-resets", "one of 20 requests is reset", ("performance.retries",), _ALL, part=_SHOP),
    Fault("perf-limited", "requests above 60 a second are refused with 429", (*_ERRORS, *_THROUGHPUT), _ALL,
          part=_SHOP),
    Fault("perf-saturated", "at most forty answers a second", (*_THROUGHPUT, *_P95), _ALL, part=_SHOP),
    Fault("perf-down", "soon after the load begins, all answers are 500, and the load stops itself",
          (*_ERRORS, *_VALID), (*_ALL, *_CPU, *_MEMORY, *_PROCESS, *_CONNECTIONS),
          part=_SHOP),
    Fault("perf-knee", "above 150 requests a second, answers are slow", _STRESS, _SPEED, part=_SHOP),
    Fault("perf-leak", "after each request, 300 KB of memory stay in use", _PROCESS, _MEMORY, part="the shop's memory"),
    Fault(
        "perf-kept-open", "after each request, four connections stay open",
        _CONNECTIONS, part="the shop's connections",
    ),
    Fault("perf-hog", "330 MB of memory are used at once", _MEMORY, part="the shop's memory"),
    Fault("perf-burn", "eight threads of the shop use the CPU all the time", _CPU,
          (*_ALL, *_MEMORY, *_PROCESS, *_CONNECTIONS)),
)  # fmt: skip

_ONLY = ("performance",)
BENIGN = (
    Fault("perf-jitter", "some answers take up to 12 ms longer", suites=_ONLY),
    Fault("perf-slow-once", "one answer takes a second", suites=_ONLY),
    Fault("perf-error-once", "one answer is a 503", suites=_ONLY),
    Fault("perf-no-keep-alive", "every tenth answer closes its connection", suites=_ONLY),
)
