"""Each fault of the cluster is noticed by its checks and by no unrelated one; the healthy cluster is silent."""

from __future__ import annotations

import pytest

from pytest_prodcheck.catalogue import entries
from tests.cluster.conftest import Judge, colours, lacking
from tests.cluster.faults import FAULTS, Bench, Fault
from tests.soak import SILENT


def test_the_healthy_cluster_is_silent(bench: Bench, judged: Judge) -> None:
    for _ in range(SILENT):
        document = judged()
        assert colours(document) == {}, document["stdout"]
        assert document["exit"] == 0, document["stdout"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(fault: Fault, bench: Bench, judged: Judge) -> None:
    assert lacking(bench) == ""
    bench.plane.dirty = bench.plane.dirty or not fault.in_files  # type: ignore[attr-defined]
    fault.make(bench)
    fault.settle(bench)
    document = judged()
    found = colours(document)
    assert set(fault.notices) <= set(found), f"not noticed: {set(fault.notices) - set(found)}\nred: {found}"
    unrelated = set(found) - set(fault.notices) - set(fault.also)
    assert not unrelated, {check: found[check] for check in unrelated}
    if fault.outcome == "failed":
        worst = {check: found[check].partition(" ")[0] for check in fault.notices}
        assert set(worst.values()) <= {"failed"}, worst
        assert document["exit"] in (1, 13) or _slight(fault), document["stdout"]


def _slight(fault: Fault) -> bool:
    """Whether what notices it is of medium or low severity, which does not block."""
    severity = {entry.id: entry.severity for entry in entries()}
    return all(severity[check] in ("medium", "low") for check in fault.notices)
