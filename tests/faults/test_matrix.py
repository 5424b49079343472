"""The fault matrix: each fault is noticed by the checks it is meant for, and by no unrelated one.

And the benign matrix: what a healthy production does all day stays green.
"""

from __future__ import annotations

import os

import pytest

from pytest_prodcheck.catalogue import entries
from pytest_prodcheck.demo import BENIGN, FAULTS, Demo
from tests.faults.conftest import Run, red

SILENT = 1000 if os.environ.get("PRODCHECK_SOAK") else 50 if os.environ.get("CI") else 3


def noticed_by(check: str) -> list[str]:
    return [name for name, fault in FAULTS.items() if check in fault.notices or any(
        note.startswith(check.removesuffix("*")) for note in fault.notices if check.endswith(".*"))]  # fmt: skip


@pytest.mark.parametrize("entry", [entry for entry in entries() if entry.suite == "smoke"], ids=lambda entry: entry.id)
def test_every_check_has_a_fault(entry: object) -> None:
    """A check that no fault turns red is not finished."""
    assert noticed_by(entry.id), f"{entry.id} has no fault"  # type: ignore[attr-defined]


def test_the_healthy_system_is_silent(demo: Demo, judged: Run) -> None:
    demo.set_faults(())
    for _ in range(SILENT):
        document = judged()
        assert red(document) == {}, document["stdout"]
        assert document["exit"] == 0, document["stdout"]


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str, demo: Demo, judged: Run) -> None:
    fault = FAULTS[name]
    demo.set_faults([name])
    try:
        document = judged()
    finally:
        demo.set_faults(())
    found = red(document)
    assert set(fault.notices) <= set(found), f"not noticed: {set(fault.notices) - set(found)}\nred: {found}"
    unrelated = set(found) - set(fault.notices) - set(fault.also)
    assert not unrelated, {check: found[check] for check in unrelated}


@pytest.mark.parametrize("name", BENIGN)
def test_benign(name: str, demo: Demo, judged: Run) -> None:
    demo.set_faults([name])
    try:
        document = judged()
    finally:
        demo.set_faults(())
    assert red(document) == {}, document["stdout"]
    assert document["exit"] == 0
