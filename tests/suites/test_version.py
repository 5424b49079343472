"""What `smoke.service.version` makes of the images that pods run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_prodcheck.judging.ledger import close_ledger, open_ledger
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records.services import Revisions, RevisionSeen, RunningImage
from suites.smoke.test_services import test_service_runs_the_revision as judge_version

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
POD = RunningImage("shop-1", "app", "shop:1", A, f"shop:1@{A}", True)
OTHER = replace(POD, pod="shop-2")
SIDECAR = RunningImage("shop-1", "proxy", "proxy:7", B, "", None)
TOLD = Revisions("v1", 1, (RevisionSeen("a:1", "v1"),), True)
SILENT = Revisions("v1", 0, (), True)


def outcome(found: Revisions) -> Outcome:
    open_ledger()
    judge_version(found)
    return close_ledger().outcome


@pytest.mark.parametrize("base", [TOLD, SILENT])
@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ((POD, OTHER), Outcome.PASSED),
        ((POD, SIDECAR), Outcome.PASSED),
        ((POD, SIDECAR, replace(SIDECAR, pod="shop-2", image="proxy:8", digest=A)), Outcome.PASSED),  # being renewed
        ((POD, replace(OTHER, digest=B, as_shipped=False)), Outcome.FAILED),
        ((POD, replace(OTHER, shipped="shop:1", digest=B)), Outcome.FAILED),  # two different builds behind one version
        ((POD, replace(OTHER, digest="", as_shipped=None)), Outcome.ERRORED),
        ((), Outcome.FAILED),
    ],
)
def test_images(base: Revisions, images: tuple[RunningImage, ...], expected: Outcome) -> None:
    assert outcome(replace(base, images=images)) is expected


def test_what_a_connection_tells_counts_beside_the_images() -> None:
    assert outcome(replace(TOLD, seen=(RevisionSeen("a:1", "v0"),), images=(POD,))) is Outcome.FAILED
    assert outcome(replace(TOLD, images=(SIDECAR,))) is Outcome.PASSED
    assert outcome(replace(TOLD, pods_read=False)) is Outcome.PASSED


def test_images_that_the_manifests_do_not_name_verify_no_revision() -> None:
    assert outcome(replace(SILENT, images=(SIDECAR,))) is Outcome.FAILED
