"""A verdict that is published, and the answer of its gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_prodcheck.gates.decision import Decision, decide
from pytest_prodcheck.gates.run_gates import RunGates
from pytest_prodcheck.gates.store import Key
from pytest_prodcheck.gates.verdict_files import VerdictQuery
from pytest_prodcheck.outcomes import Result
from tests.gates.samples import NOW, configuration, gate, result, run

SECRET = "k" * 32


def publish(root: Path, *results: Result, **changes: Any) -> Path:
    """Publishes a verdict made from prodcheck.toml in `root`; returns its file."""
    files = changes.pop("configuration", None)
    files = configuration(root) if files is None else files
    record = replace(run(*(results or (result(),)), configuration=files), **changes)
    key = Key(record.environment, record.unit, record.slot, "smoke")
    run_gates = RunGates(root / ".prodcheck", SECRET.encode())
    run_gates.open_run(record.id, [key])
    assert run_gates.publish(run_gates.settle(record, [gate()], NOW)) == []
    return key.file(root / ".prodcheck")


def ask(root: Path, *, now: float = NOW + 1, environment: str = "staging", **changes: Any) -> Decision:
    return decide(VerdictQuery("smoke", environment, **{"revision": "r1", **changes}), now, str(root))


def reasons_text(decision: Decision) -> str:
    return "\n".join(text for _, text in decision.reasons)
