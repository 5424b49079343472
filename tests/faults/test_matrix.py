"""The fault matrix: each fault is noticed by the checks it is meant for, and by no unrelated one.

And the benign matrix: what a healthy production does all day stays green.
"""

from __future__ import annotations

import os

import pytest

from pytest_prodcheck.catalogue import entries, suites_with_checks
from pytest_prodcheck.demo import BENIGN, FAULTS, Demo
from tests.cluster.faults import FAULTS as CLUSTER
from tests.faults.conftest import Run, red

SILENT = 1000 if os.environ.get("PRODCHECK_SOAK") else 50 if os.environ.get("CI") else 3
# A performance run takes ten seconds and not one, because it waits for a real load: so many of them must do in CI. What
# fifty and more would show of its false alarms is shown on recorded distributions in tests/judging/test_regression.py.
SILENT_OF = {"performance": 100 if os.environ.get("PRODCHECK_SOAK") else 4 if os.environ.get("CI") else 2}


def noticed_by(check: str) -> list[str]:
    return [name for name, fault in FAULTS.items() if check in fault.notices or any(
        note.startswith(check.removesuffix("*")) for note in fault.notices if check.endswith(".*"))]  # fmt: skip


def by(suites: tuple[str, ...]) -> str:
    """The marker expression of what judges a fault; in the soak every suite does."""
    return " or ".join(suites_with_checks() if os.environ.get("PRODCHECK_SOAK") else suites)


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.id)
def test_every_check_has_a_fault(entry: object) -> None:
    """A check that no fault turns red is not finished."""
    of_cluster = {check for fault in CLUSTER for check in fault.notices}  # those are in tests/cluster
    assert noticed_by(entry.id) or entry.id in of_cluster, f"{entry.id} has no fault"  # type: ignore[attr-defined]


@pytest.mark.parametrize("suite", suites_with_checks())
def test_the_healthy_system_is_silent(suite: str, demo: Demo, judged: Run) -> None:
    demo.set_faults(())
    for _ in range(SILENT_OF.get(suite, SILENT)):
        document = judged(suite)
        assert red(document) == {}, document["stdout"]
        assert document["exit"] == 0, document["stdout"]


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str, demo: Demo, judged: Run) -> None:
    fault = FAULTS[name]
    if any(check.startswith("performance.regression.") for check in fault.notices):
        have_accepted_runs(demo, judged)
    demo.set_faults([name])
    try:
        document = judged(by(fault.judged_by))
    finally:
        demo.set_faults(())
    found = red(document)
    assert set(fault.notices) <= set(found), f"not noticed: {set(fault.notices) - set(found)}\nred: {found}"
    unrelated = set(found) - set(fault.notices) - set(fault.also)
    assert not unrelated, {check: found[check] for check in unrelated}


def have_accepted_runs(demo: Demo, judged: Run) -> None:
    """What a regression is compared with: runs of the healthy system, once a demo."""
    if not list((demo.configuration.parent / ".prodcheck" / "history").glob("*/*.jsonl")):
        demo.set_faults(())
        judged("performance")


@pytest.mark.parametrize("name", BENIGN)
def test_benign(name: str, demo: Demo, judged: Run) -> None:
    demo.set_faults([name])
    try:
        document = judged(by(BENIGN[name].suites))
    finally:
        demo.set_faults(())
    assert red(document) == {}, document["stdout"]
    assert document["exit"] == 0
