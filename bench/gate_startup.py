"""A whole `prodcheck gate` that answers "open" against a bare interpreter.

Byte code is cached, as it is wherever the package is installed (PYTHONDONTWRITEBYTECODE would add 0.9).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from bench.measure import row, side_by_side
from pytest_prodcheck.gates import bound_files
from pytest_prodcheck.gates.policy import suite_policy
from pytest_prodcheck.gates.run_gates import RunGates, run_key
from pytest_prodcheck.gates.store import Key
from pytest_prodcheck.outcomes import Judgement, Outcome, PlannedCheck, Result, RunRecord

LIMIT = 2.5
CHECKS = 50
BOUND = ("prodcheck.toml", "pytest:.", "conftest.py")


def open_verdict(root: Path) -> None:
    """Leaves an open verdict of a run of 50 checks in `root`."""
    file = root / "prodcheck.toml"
    file.write_text('version = 1\n[environments.staging.services.shop]\nurl = "https://shop.example"\n')
    state = root / ".prodcheck"
    now = time.time()
    judgement = Judgement("answered in", 0.2, Outcome.PASSED, "s", "at_most", 0.5, 1.0, 0.8)
    ids = [f"smoke.bench.c{number}" for number in range(CHECKS)]
    run = RunRecord(
        "bench",
        "staging",
        results=tuple(
            Result(each, "shop", Outcome.PASSED, suite="smoke", judgements=(judgement,), gathered_at=now)
            for each in ids
        ),
        planned=tuple(PlannedCheck(each, "shop") for each in ids),
        known=tuple(ids),
        configuration={each: bound_files.digest(str(root), each) for each in BOUND},
    )
    run_gates = RunGates(state, run_key(state, root))
    run_gates.open_run(run.id, [Key("staging", "", "", "smoke")])
    problems = run_gates.publish(run_gates.settle(run, [suite_policy("smoke", {})], now))
    if problems:
        raise SystemExit("; ".join(problems))


def main(runs: int = 40) -> bool:
    """The whole command at most 2.5 x a bare interpreter."""
    program = str(Path(sys.executable).with_name("prodcheck"))
    with tempfile.TemporaryDirectory() as folder:
        open_verdict(Path(folder))
        taken = side_by_side(
            Path(folder),
            runs,
            bare=[sys.executable, "-c", "pass"],
            gate=[program, "gate", "smoke", "--env", "staging", "--max-age", "15m"],
        )
    bare, gate = taken["bare"], taken["gate"]
    aside = f"; by the clock {gate.wall / bare.wall:.2f}, {gate.wall * 1000:.0f} ms against {bare.wall * 1000:.0f} ms"
    return row("prodcheck gate / a bare interpreter", gate.cpu / bare.cpu, LIMIT, aside)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
