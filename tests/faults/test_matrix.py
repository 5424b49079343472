"""The fault matrix: each fault is noticed by the checks it is meant for, and by no unrelated one.

And the benign matrix: what a healthy production does all day stays green.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from pytest_prodcheck.catalogue import entries, suites_with_checks
from pytest_prodcheck.demo import BENIGN, FAULTS, Demo
from tests.cluster.faults import FAULTS as CLUSTER
from tests.faults.conftest import Run, red
from tests.monitoring.faults import FAULTS as MONITORING
from tests.soak import CI, SILENT, SOAK

# A performance run takes ten seconds and not one, because it waits for a real load: so many of them must do in CI. What
# fifty and more would show of its false alarms is shown on made distributions in tests/judging/test_load_validity.py.
SILENT_PERFORMANCE = 100 if SOAK else 4 if CI else 2
PORTION = 10  # runs of one test
QUIET = [suite for suite in suites_with_checks() if suite != "performance"]
# Two suites have most of all faults: so many of theirs are on at once, none of which touches a check that another one
# may turn red. In the soak each is on alone.
GROUPED = (("security",), ("pre_deploy",))
TOGETHER = 1 if SOAK else 4


def noticed_by(check: str) -> list[str]:
    return [name for name, fault in FAULTS.items() if check in fault.notices or any(
        note.startswith(check.removesuffix("*")) for note in fault.notices if check.endswith(".*"))]  # fmt: skip


def touched(name: str) -> set[str]:
    return {*FAULTS[name].notices, *FAULTS[name].also}


def groups() -> list[tuple[str, ...]]:
    """All faults, each once; those of two suites a few at a time."""
    made: list[list[str]] = []
    for name, fault in FAULTS.items():
        alone = fault.judged_by not in GROUPED
        for group in () if alone else made:
            apart = all(
                FAULTS[other].judged_by == fault.judged_by
                and not touched(name) & touched(other)
                and not (fault.part and fault.part == FAULTS[other].part)
                for other in group
            )
            if apart and len(group) < TOGETHER:
                group.append(name)
                break
        else:
            made.append([name])
    return [tuple(group) for group in made]


def by(suites: tuple[str, ...]) -> str:
    """The marker expression of what judges a fault; in the soak every quiet suite does."""
    return " or ".join(dict.fromkeys([*suites, *(QUIET if SOAK else ())]))


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.id)
def test_every_check_has_a_fault(entry: object) -> None:
    """A check that no fault turns red is not finished."""
    check: str = entry.id  # type: ignore[attr-defined]
    elsewhere = {each for fault in (*CLUSTER, *MONITORING) for each in fault.notices}  # in tests/cluster, /monitoring
    there = any(each == check or fnmatchcase(each, check) for each in elsewhere)
    assert noticed_by(check) or there, f"{check} has no fault"


def portions(suites: str, times: int) -> list[tuple[str, int]]:
    """So many runs in portions that several processes can share, each with a demo of its own."""
    return [(suites, min(PORTION, times - begun)) for begun in range(0, times, PORTION)]


@pytest.mark.parametrize(
    ("suites", "times"), [*portions(" or ".join(QUIET), SILENT), *portions("performance", SILENT_PERFORMANCE)]
)
def test_the_healthy_system_is_silent(suites: str, times: int, demo: Demo, judged: Run) -> None:
    demo.set_faults(())
    for _ in range(times):
        document = judged(suites)
        assert red(document) == {}, document["stdout"]
        assert document["exit"] == 0, document["stdout"]


@pytest.mark.parametrize("names", groups(), ids="+".join)
def test_fault(names: tuple[str, ...], demo: Demo, judged: Run) -> None:
    faults = [FAULTS[name] for name in names]
    noticing = {check for fault in faults for check in fault.notices}
    if any(check.startswith("performance.regression.") for check in noticing):
        have_accepted_runs(demo, judged)
    demo.set_faults(names)
    try:
        document = judged(by(faults[0].judged_by))
    finally:
        demo.set_faults(())
    found = red(document)
    assert noticing <= set(found), f"not noticed: {noticing - set(found)}\nred: {found}"
    unrelated = set(found) - {check for name in names for check in touched(name)}
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
