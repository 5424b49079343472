"""Relabelling by its documentation: https://prometheus.io/docs/prometheus/latest/configuration/configuration/ ."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_prodcheck.evidence.monitoring.relabelling import relabelled

GIVEN = {"alertname": "Watchdog", "cluster": "east", "replica": "a-0"}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ({"regex": "repl.*", "action": "labeldrop"}, {"replica": None}),
        ({"regex": "repl", "action": "labeldrop"}, {}),  # anchored
        ({"regex": "alertname|cluster", "action": "labelkeep"}, {"replica": None}),
        ({"source_labels": ["replica"], "regex": "a-(.)", "target_label": "n"}, {"n": "0"}),
        ({"source_labels": ["cluster", "replica"], "target_label": "both"}, {"both": "east;a-0"}),
        (
            {"source_labels": ["cluster"], "regex": "(?P<x>.)(.*)", "target_label": "n", "replacement": "${x}$2$3."},
            {"n": "east."},
        ),
        ({"source_labels": ["cluster"], "regex": "west", "target_label": "cluster", "replacement": "x"}, {}),
        ({"target_label": "cluster", "replacement": ""}, {"cluster": None}),
        ({"regex": "clus(.*)", "action": "labelmap", "replacement": "x_$1"}, {"x_ter": "east"}),
        ({"source_labels": ["cluster"], "target_label": "cluster", "action": "uppercase"}, {"cluster": "EAST"}),
        ({"source_labels": ["cluster"], "target_label": "n", "modulus": 8, "action": "hashmod"}, {"n": "2"}),
        ({"source_labels": ["cluster"], "regex": "east", "action": "keep"}, {}),
        ({"source_labels": ["cluster"], "regex": "east", "action": "drop"}, None),
        ({"source_labels": ["cluster"], "target_label": "replica", "action": "keepequal"}, None),
        ({"source_labels": ["cluster"], "target_label": "replica", "action": "dropequal"}, {}),
    ],
)
def test_one_rule(rule: dict[str, Any], change: dict[str, str | None] | None) -> None:
    found = relabelled(GIVEN, [rule])
    if change is None:
        assert found is None
    else:
        assert found == {name: value for name, value in {**GIVEN, **change}.items() if value}


@pytest.mark.parametrize("rule", [{"action": "guess"}, {"regex": "("}, {"action": "hashmod", "modulus": 0}])
def test_an_odd_rule(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="relabelling"):
        relabelled(GIVEN, [rule])
