"""Whether a report is about what was declared: image references, digests and revisions compared."""

from __future__ import annotations

import re

from pytest_prodcheck.evidence.vulnerabilities.report_model import Subject
from pytest_prodcheck.records import EvidenceProblem, Problem

_DEFAULTS = ("docker.io/", "index.docker.io/", "registry-1.docker.io/")
_HEX = re.compile(r"[0-9a-f]{7,64}")


def reference(image: str) -> tuple[str, str, str]:
    """(name, tag, digest) of an image reference, "" for what it lacks; Docker Hub's defaults are left out."""
    name, _, digest = image.partition("@")
    before, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    name = before + slash + last
    for prefix in _DEFAULTS:
        name = name.removeprefix(prefix)
    return name.removeprefix("library/"), tag, digest


def refuse_foreign(subject: Subject, image: str | None, revision: str | None, bound_by_place: bool) -> None:
    """Raises EvidenceProblem (foreign) where the report is about something else, or does not say what it is about."""
    if image is not None and not _is_image(subject, image):
        _refuse(subject, image, bool(subject.names or subject.digests), bound_by_place)
    if revision is not None and not any(_is_revision(told, revision) for told in subject.revisions):
        _refuse(subject, f"revision {revision}", bool(subject.revisions), bound_by_place)


def _refuse(subject: Subject, wanted: str, told: bool, bound_by_place: bool) -> None:
    if told:
        hint = "scan what is deployed, or declare what was scanned"
        raise EvidenceProblem(Problem("foreign", f"the report is about {subject}, not about {wanted}", hint))
    if not bound_by_place:
        hint = "put {revision} into its path, or wrap it into an in-toto statement (see docs/security.md)"
        raise EvidenceProblem(Problem("foreign", f"the report does not say that it is about {wanted}", hint))


def _is_image(subject: Subject, image: str) -> bool:
    name, tag, digest = reference(image)
    told = [reference(each) for each in subject.names]
    if digest:  # the same content under any name
        return digest in subject.digests or any(each == digest for _, _, each in told)
    return any((each, version) == (name, tag) for each, version, _ in told)


def _is_revision(told: str, wanted: str) -> bool:
    """The same, or one an abbreviation of the other as git makes them (at least seven hexadecimal digits)."""
    if told == wanted:
        return True
    short, long = sorted((told.lower(), wanted.lower()), key=len)
    return bool(_HEX.fullmatch(short)) and bool(_HEX.fullmatch(long)) and long.startswith(short)
