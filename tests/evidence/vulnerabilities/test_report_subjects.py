from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.files import scanner_reports
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.evidence.vulnerabilities.report_model import Subject
from pytest_prodcheck.evidence.vulnerabilities.report_subjects import reference, refuse_foreign
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for

D, E = "sha256:" + "d" * 64, "sha256:" + "e" * 64
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("shop", ("shop", "", "")),
        ("localhost:5000/a/shop:1.2", ("localhost:5000/a/shop", "1.2", "")),
        ("localhost:5000/shop", ("localhost:5000/shop", "", "")),
        (f"docker.io/library/nginx:1@{D}", ("nginx", "1", D)),
        (f"index.docker.io/a/b@{D}", ("a/b", "", D)),
    ],
)
def test_references(image: str, parts: tuple[str, str, str]) -> None:
    assert reference(image) == parts


@pytest.mark.parametrize(
    ("subject", "image", "good"),
    [
        (Subject(("r/shop:1",), (D,)), f"r/shop@{D}", True),
        (Subject(("mirror/shop:1",), (D,)), f"r/shop@{D}", True),  # the same content
        (Subject((f"r/shop@{D}",)), f"r/shop:1@{D}", True),
        (Subject(("r/shop:1",), (E,)), f"r/shop@{D}", False),
        (Subject(("r/shop:1",)), f"r/shop@{D}", False),
        (Subject(("r/shop:1",), (E,)), "r/shop:1", True),
        (Subject(("docker.io/library/nginx:1",)), "nginx:1", True),
        (Subject(("r/shop:2",)), "r/shop:1", False),
        (Subject(("r/shop",)), "r/shop:1", False),
        (Subject(("other/shop:1",)), "r/shop:1", False),
        (Subject(), "r/shop:1", False),
    ],
)
def test_images(subject: Subject, image: str, good: bool) -> None:
    if good:
        refuse_foreign(subject, image, None, False)
        return
    with pytest.raises(EvidenceProblem) as caught:
        refuse_foreign(subject, image, None, False)
    assert caught.value.problem.kind == "foreign"


@pytest.mark.parametrize(
    ("told", "wanted", "good"),
    [
        (SHA, SHA, True), (SHA, SHA[:7], True), (SHA[:12], SHA, True), (SHA.upper(), SHA, True),
        (SHA, SHA[:6], False), ("v1.2", "v1.2", True), ("v1.2.3", "v1.2", False), ("r-10", "r-1", False),
        (SHA, SHA[::-1], False),
    ],
)  # fmt: skip
def test_revisions(told: str, wanted: str, good: bool) -> None:
    if good:
        refuse_foreign(Subject(revisions=(told,)), None, wanted, False)
        return
    with pytest.raises(EvidenceProblem, match="not about revision"):
        refuse_foreign(Subject(revisions=(told,)), None, wanted, False)


def test_what_says_nothing_is_bound_by_its_place_alone() -> None:
    refuse_foreign(Subject(), "r/shop:1", "v1", bound_by_place=True)
    with pytest.raises(EvidenceProblem, match="does not say"):
        refuse_foreign(Subject(), None, "v1", bound_by_place=False)
    with pytest.raises(EvidenceProblem, match="not about"):  # the place does not outweigh what it says itself
        refuse_foreign(Subject(("r/shop:2",)), "r/shop:1", None, bound_by_place=True)


def deployed(folder: Path, declared: str, *images: str, kind: str = "vulnerabilities-to-deploy") -> Any:
    """The record of the demo's report about an image, while the manifests deploy others."""
    (folder / "report.json").write_text(json.dumps(scanner_reports.trivy()))
    pods = [{"name": f"c{place}", "image": image} for place, image in enumerate(images)]
    item = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop"}, "spec": {"containers": pods}}
    (folder / "shop.yaml").write_text(json.dumps(item))
    cluster = {"namespace": "shop", "manifests": ["shop.yaml"], "vantage": "elsewhere"}
    report = {"format": "trivy", "report": "report.json", "image": declared}
    context = context_for(folder, kubernetes=cluster, vulnerabilities={"image": report})
    return find(kind).gather("image", context, Deadline(5))


TAGGED, PINNED = f"{scanner_reports.IMAGE}:demo-1", f"{scanner_reports.IMAGE}@{scanner_reports.DIGEST}"


@pytest.mark.parametrize(
    ("declared", "images"),
    [
        (TAGGED, [TAGGED]),
        (TAGGED, [f"{TAGGED}@{scanner_reports.DIGEST}", "r/other@" + D]),
        (PINNED, [PINNED]),
        (PINNED, ["r/other:1"]),
        (f"{scanner_reports.IMAGE}:other-tag", [PINNED]),  # the digest that is deployed says more than a tag
    ],
)
def test_a_report_about_what_the_manifests_deploy(declared: str, images: list[str], tmp_path: Path) -> None:
    assert deployed(tmp_path, declared, *images).source == "report.json"


@pytest.mark.parametrize(
    ("declared", "images"),
    [
        (TAGGED, [f"{TAGGED}@{D}"]),
        (PINNED, [f"{scanner_reports.IMAGE}@{D}"]),
        (TAGGED, [PINNED, f"{scanner_reports.IMAGE}@{D}"]),
    ],
)
def test_a_report_about_another_digest_than_is_deployed(declared: str, images: list[str], tmp_path: Path) -> None:
    with pytest.raises(EvidenceProblem) as caught:
        deployed(tmp_path, declared, *images)
    assert caught.value.problem.kind == "foreign"
    assert deployed(tmp_path, declared, *images, kind="vulnerabilities-running").source == "report.json"


def test_what_is_deployed_is_not_known_without_the_manifests(tmp_path: Path) -> None:
    cluster = {"namespace": "shop", "manifests": ["absent.yaml"]}
    report = {"format": "trivy", "report": "report.json", "image": TAGGED}
    context = context_for(tmp_path, kubernetes=cluster, vulnerabilities={"image": report})
    with pytest.raises(EvidenceProblem, match="no file matches"):
        find("vulnerabilities-to-deploy").gather("image", context, Deadline(5))
