"""What Prometheus and Alertmanager say."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_prodcheck.evidence.records import Problem


@dataclass(frozen=True)
class MetricReading:
    """A metric of one service, or of the environment: a finite number, or what came instead of one."""

    of: str  # the service, "" for what is asked once
    value: float | None  # in base units: seconds, bytes, a ratio of 1
    said: str  # what was answered where `value` is None: "nothing", "NaN", "+Inf"
    samples: float | None  # how many the number is made of; None where nothing is counted
    recent: float | None  # how many of them are of the newest part of the window; None: nothing, or not asked
    problem: Problem | None = None  # why Prometheus gave no answer


@dataclass(frozen=True)
class MetricValues:
    """`metric` (metric): one declared metric, asked of each service in scope, or once."""

    revision: str  # that `{revision}` stood for, "" where it is about whatever runs
    window: float  # seconds
    recent: float | None  # seconds of the newest part that was asked about, None for none
    readings: tuple[MetricReading, ...]
