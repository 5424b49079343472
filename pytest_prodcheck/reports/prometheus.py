"""Prometheus' text format, for node_exporter's textfile collector or a Pushgateway."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pytest_prodcheck.outcomes import RunRecord, counts
from pytest_prodcheck.reports.escaping import safe
from pytest_prodcheck.reports.measurement_text import decisive
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, finite, views

_HELP = {
    "prodcheck_gate_code": "Answer of a gate: 0 open, 1 blocked, 2 usage, 3 cannot tell, 4 refused.",
    "prodcheck_gate_expires_timestamp_seconds": "When the verdict of a gate expires.",
    "prodcheck_results": "Results of the run by outcome.",
    "prodcheck_result": "Each result of the run: 1, with its outcome as a label.",
    "prodcheck_measured": "The main value of a result, in base units (seconds, bytes, percent).",
    "prodcheck_limit": "The limit at which that value fails.",
    "prodcheck_run_end_timestamp_seconds": "When the run ended.",
    "prodcheck_run_duration_seconds": "How long the run took.",
}
Labels = dict[str, str]


def run_prometheus(run: RunRecord, verdicts: Iterable[AnyVerdict], *, unicode: bool = True) -> str:
    """The run as metrics, all of them gauges, with environment, unit and slot as labels."""
    whole = {"environment": run.environment, "unit": run.unit, "slot": run.slot}
    samples: dict[str, list[tuple[Labels, float]]] = {name: [] for name in _HELP}

    def add(name: str, value: float | None, **labels: str) -> None:
        if value is not None and math.isfinite(value):
            samples[name].append(({**whole, **labels}, value))

    for each in views(verdicts):
        add("prodcheck_gate_code", each.number("code"), gate=each.text("gate"))
        add("prodcheck_gate_expires_timestamp_seconds", each.number("expires_at"), gate=each.text("gate"))
    for outcome, number in counts(run.results).items():
        add("prodcheck_results", number, outcome=str(outcome))
    for result in run.results:
        named = {"check": result.check, "target": result.target}
        add("prodcheck_result", 1, **named, outcome=str(result.outcome), severity=str(result.severity))
        judgement = decisive(result)
        if judgement is not None and (value := finite(judgement.value)) is not None:
            add("prodcheck_measured", value, **named, unit=judgement.unit)
            add("prodcheck_limit", finite(judgement.fail), **named, unit=judgement.unit)
    add("prodcheck_run_end_timestamp_seconds", run.ended_at)
    add("prodcheck_run_duration_seconds", max(0.0, run.ended_at - run.started_at))
    lines: list[str] = []
    for name, found in samples.items():
        if found:
            lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge"]
            lines += [f"{name}{{{_labels(labels)}}} {value:.17g}" for labels, value in found]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items() if value)


def _escaped(value: str) -> str:
    return safe(value).replace("\\", "\\\\").replace('"', '\\"')
