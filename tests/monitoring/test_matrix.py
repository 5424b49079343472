"""Each fault of what watches the shop is noticed by its checks and by no unrelated one; the healthy shop is silent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.monitoring.faults import BENIGN, FAULTS, Bench, Fault
from tests.monitoring.judging import colours
from tests.monitoring.shop import SELECT
from tests.project import TOML, Project

SILENT = 50 if os.environ.get("CI") or os.environ.get("PRODCHECK_SOAK") else 3


def test_the_healthy_shop_is_silent(bench: Bench) -> None:
    for _ in range(SILENT):
        assert colours(bench.home, SELECT) == {}


@pytest.mark.parametrize("fault", [*FAULTS, *BENIGN], ids=lambda fault: fault.name)
def test_fault(fault: Fault, bench: Bench) -> None:
    fault.make(bench)
    found = colours(bench.home, SELECT, bench.revision)
    assert {check: each.partition(":")[0] for check, each in found.items()} == fault.outcomes, found


def test_gates_with_different_windows_are_judged_one_by_one(tmp_path: Path) -> None:
    toml = f'{TOML}[gates.a]\nselect = ["t.*"]\nwindow = "5m"\n[gates.b]\nselect = ["t.*"]\nwindow = "10m"\n'
    done = Project.make(tmp_path, toml).prodcheck("run", "a", "b", "--env", "dev")
    assert done.returncode == 2
    assert "gates a and b have different windows: judge them one by one" in done.stdout + done.stderr


@pytest.mark.parametrize(("revision", "code"), [("good", 0), ("failing", 1), ("idle", 3)])
def test_the_gate_says_the_same(revision: str, code: int, bench: Bench) -> None:
    """As its user asks: by the command, over the window of the gate."""
    done = bench.home.prodcheck("run", "monitoring", "--env", "live", "--revision", revision)
    assert done.returncode == code, done.stdout
    if revision == "idle":
        gate = bench.home.prodcheck("gate", "monitoring", "--env", "live", "--revision", revision)
        assert "0 samples of revision idle in the last 60 s are too few" in " ".join(gate.stdout.split())
