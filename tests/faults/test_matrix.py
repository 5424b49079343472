"""The fault matrix: each fault is noticed by the checks it is meant for, and by no unrelated one.

And the benign matrix: what a healthy production does all day stays green.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from pytest_prodcheck.catalogue import entries, suites_with_checks
from pytest_prodcheck.demo import BENIGN, FAULTS, Demo, Fault
from tests.faults.conftest import Run, failed_reasons, red
from tests.faults.elsewhere import noticed
from tests.soak import CI, SILENT, SOAK

# A performance run takes ten seconds and not one, because it waits for a real load: so many of them must do in CI. What
# fifty and more would show of its false alarms is shown on made distributions in tests/judging/test_load_validity.py.
SILENT_PERFORMANCE = 100 if SOAK else 4 if CI else 2
PORTION = 10  # runs of one test
TRIES = 2  # healthy runs until one is accepted
QUIET = [suite for suite in suites_with_checks() if suite != "performance"]
# Of these suites so many faults are on at once, none of which touches a check, or a server, of another one. In the soak
# each is on alone.
PERFORMANCE = ("performance",)  # its faults are all in the shop, and many touch other checks: memory, say, and speed
GROUPED = (("smoke",), ("pre_deploy",), ("security",), ("security", "smoke"), ("data_integrity",), PERFORMANCE)
TOGETHER = 1 if SOAK else 6
# What restarts a server, or makes it wait, lets the other faults in it end: alone where all faults are in that server.
RESTARTS: dict[tuple[str, ...], str] = {("data_integrity",): "PostgreSQL's nodes"}
LOCKS = ("lock-wait", "idle-in-transaction", "prepared-forgotten")  # hold locks that another fault would wait for
# of benign ones, whose first word is their topic: two are said in one header, those about speed add up
TOPICS = {"framing": "csp"}


def noticed_by(check: str) -> list[str]:
    return [name for name, fault in FAULTS.items() if check in fault.notices or any(
        note.startswith(check.removesuffix("*")) for note in fault.notices if check.endswith(".*"))]  # fmt: skip


def touched(fault: Fault) -> set[str]:
    """The checks that may turn red."""
    return {*fault.notices, *fault.also}


def server(fault: Fault) -> str:
    """Whose part it is: PostgreSQL of "PostgreSQL's nodes"."""
    return fault.part.partition("'s ")[0]


def topic(fault: Fault) -> str:
    word = fault.name.partition("-")[0]
    return fault.name if fault.judged_by == PERFORMANCE else TOPICS.get(word, word)


def must_be_alone(fault: Fault) -> bool:
    """Whether nothing else may be on: others would end with a server, wait for a lock, or hide in an event."""
    event = not fault.notices and fault.judged_by == ("smoke",)
    restarts = RESTARTS.get(fault.judged_by) == fault.part
    return event or restarts or fault.name in LOCKS or fault.judged_by not in GROUPED


def independent(one: Fault, other: Fault) -> bool:
    """Whether both can be on without hiding each other."""
    if must_be_alone(one) or must_be_alone(other) or one.judged_by != other.judged_by or touched(one) & touched(other):
        return False
    if one.part and (one.part == other.part or (server(one) == server(other) and one.judged_by != PERFORMANCE)):
        return False
    return bool(one.notices) or topic(one) != topic(other)


def groups(faults: dict[str, Fault]) -> list[tuple[str, ...]]:
    """All of them, each once; those that are independent a few at a time, first those that fit with few others."""
    every = list(faults.values())
    fitting = {fault.name: sum(independent(fault, other) for other in every) for fault in every}
    made: list[list[Fault]] = []
    for fault in sorted(every, key=lambda fault: fitting[fault.name]):
        open_to_it = [
            group for group in made if len(group) < TOGETHER and all(independent(fault, one) for one in group)
        ]
        if open_to_it:
            max(open_to_it, key=len).append(fault)
        else:
            made.append([fault])
    return [tuple(fault.name for fault in group) for group in made]


def by(suites: tuple[str, ...]) -> str:
    """The marker expression of what judges a fault; in the soak every quiet suite does."""
    return " or ".join(dict.fromkeys([*suites, *(QUIET if SOAK else ())]))


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.id)
def test_every_check_has_a_fault(entry: object) -> None:
    """A check that no fault turns red is not finished."""
    check: str = entry.id  # type: ignore[attr-defined]
    there = any(each == check or fnmatchcase(each, check) for each in noticed())
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
        assert failed_reasons(document) == {}, document["stdout"]
        assert document["exit"] == 0 or red(document), document["stdout"]


@pytest.mark.parametrize("names", groups(FAULTS), ids="+".join)
def test_fault(names: tuple[str, ...], demo: Demo, judged: Run) -> None:
    faults = [FAULTS[name] for name in names]
    noticing = {check for fault in faults for check in fault.notices}
    if any(check.startswith("performance.regression.") for check in noticing) and not have_accepted_runs(demo, judged):
        noticing = {check for check in noticing if not check.startswith("performance.regression.")}
    demo.set_faults(names)
    try:
        document = judged(by(faults[0].judged_by))
    finally:
        demo.set_faults(())
    found = red(document)
    assert noticing <= set(found), f"not noticed: {noticing - set(found)}\nred: {found}"
    unrelated = set(failed_reasons(document)) - {check for fault in faults for check in touched(fault)}
    assert not unrelated, {check: found[check] for check in unrelated}


def have_accepted_runs(demo: Demo, judged: Run) -> bool:
    """What a regression is compared with: a run of the healthy system; whether the busy machine let there be one."""
    for _ in range(TRIES):
        if list((demo.configuration.parent / ".prodcheck" / "history").glob("*/*.jsonl")):
            return True
        demo.set_faults(())
        judged("performance")
    return bool(list((demo.configuration.parent / ".prodcheck" / "history").glob("*/*.jsonl")))


@pytest.mark.parametrize("names", groups(BENIGN), ids="+".join)
def test_benign(names: tuple[str, ...], demo: Demo, judged: Run) -> None:
    demo.set_faults(names)
    try:
        document = judged(by(BENIGN[names[0]].suites))
    finally:
        demo.set_faults(())
    assert failed_reasons(document) == {}, document["stdout"]
    assert document["exit"] == 0 or red(document)
