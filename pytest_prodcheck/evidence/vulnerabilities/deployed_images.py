"""The images that the manifests are about to deploy, by digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.manifest_files import documents, template
from pytest_prodcheck.evidence.kubernetes.objects import rows
from pytest_prodcheck.evidence.vulnerabilities.report_source import filled
from pytest_prodcheck.evidence.vulnerabilities.report_subjects import reference
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.vulnerabilities import Vulnerabilities
    from pytest_prodcheck.evidence.context import Context


def pinned_image(report: Vulnerabilities, context: Context) -> tuple[str, ...]:
    """The image of a report as the manifests pin it, () where they do not name it or pin no digest.

    Raises EvidenceProblem where the manifests cannot be read (what is deployed is then not known), and where they pin
    the image by several digests, of which one report can be about one.
    """
    if report.image is None:
        return ()
    wanted = reference(filled(report.image, report, context))[0]
    images = {
        str(container.get("image", ""))
        for _, item in documents(context)
        for container in (*rows(template(item), "initContainers"), *rows(template(item), "containers"))
    }
    mine = {reference(each)[2]: each for each in sorted(images) if reference(each)[0] == wanted and "@" in each}
    if len(mine) > 1:
        what = f"the manifests deploy {wanted} by several digests: {', '.join(sorted(mine))}"
        raise EvidenceProblem(Problem("foreign", what, "one report is about one of them: deploy one"))
    return tuple(mine.values())
