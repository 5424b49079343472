"""Each fault of the cluster is noticed by its checks and by no unrelated one; the healthy cluster is silent.

Most are judged in this process, faults that share no check together; PRODCHECK_SOAK=1 makes each alone.
"""

from __future__ import annotations

import time

import pytest

from tests.cluster.conftest import Judge, lacking
from tests.cluster.faults import CHECKS, FAULTS, Bench, Fault, combinations
from tests.monitoring.judging import colours
from tests.project import Project
from tests.soak import SILENT, SOAK

BY_NAME = {each.name: each for each in FAULTS}


def judged_here(home: Project) -> dict[str, str]:
    return colours(home, CHECKS, "r1", "cluster", 60)


def test_the_healthy_cluster_is_silent(bench: Bench, home: Project, judged: Judge) -> None:
    for _ in range(SILENT):
        assert judged_here(home) == {}
    document = judged()
    assert document["exit"] == 0, document["stdout"]


@pytest.mark.parametrize("faults", combinations(alone=SOAK), ids=lambda faults: "+".join(each.name for each in faults))
def test_faults(faults: tuple[Fault, ...], bench: Bench, home: Project) -> None:
    assert lacking(bench) == ""
    for each in faults:
        bench.plane.dirty = bench.plane.dirty or not each.in_files  # type: ignore[attr-defined]
        each.make(bench)
    end = time.monotonic() + 120
    while wrong := wrongs(faults, found := judged_here(home)):
        assert time.monotonic() < end, f"{wrong}\nred: {found}"
        time.sleep(0.5)  # until the controllers have seen it


def wrongs(faults: tuple[Fault, ...], found: dict[str, str]) -> dict[str, str]:
    """What is not noticed as it should be, and what else is red."""
    wrong = dict.fromkeys(found, "unrelated") | {check: "not noticed" for each in faults for check in each.notices}
    for each in faults:
        for check in each.notices:
            if check in found and (each.outcome != "failed" or found[check].startswith("failed")):
                del wrong[check]
        for check in each.also:
            wrong.pop(check, None)
    return wrong


@pytest.mark.parametrize(("name", "code"), [("configmap-missing", 1), ("files-gone", 13), ("crash-loop", 1)])
def test_the_gate_is_closed(name: str, code: int, bench: Bench, judged: Judge) -> None:
    """By pytest, as users run it: its report names the check, its exit code says what it is."""
    fault = BY_NAME[name]
    bench.plane.dirty = bench.plane.dirty or not fault.in_files  # type: ignore[attr-defined]
    fault.make(bench)
    document = judged()
    red = {each["check"] for each in document["run"]["results"] if each["outcome"] == fault.outcome}
    assert set(fault.notices) <= red, document["stdout"]
    assert document["exit"] == code, document["stdout"]
