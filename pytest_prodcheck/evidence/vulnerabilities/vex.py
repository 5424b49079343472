"""VEX documents: OpenVEX and CycloneDX statements that a product is not affected by a vulnerability.

Only `not_affected` with a justification suppresses a finding, and only of the product and package it names. OpenVEX
v0.2.0 (https://github.com/openvex/spec), CycloneDX 1.4 and later (https://cyclonedx.org, vulnerabilities/analysis).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from pytest_prodcheck.evidence.vulnerabilities import report_model
from pytest_prodcheck.evidence.vulnerabilities.report_model import Finding, Subject
from pytest_prodcheck.evidence.vulnerabilities.report_subjects import reference

# OpenVEX's and CISA's five; CycloneDX has nine of its own
JUSTIFICATIONS = frozenset(
    ("component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
     "vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist",
     "code_not_present", "code_not_reachable", "requires_configuration", "requires_dependency", "requires_environment",
     "protected_by_compiler", "protected_at_runtime", "protected_at_perimeter", "protected_by_mitigating_control")
)  # fmt: skip
_TELLING = ("arch", "distro", "repository_url", "type", "classifier")  # qualifiers by which a package is another one
_OPENVEX = "https://openvex.dev/ns"
_CYCLONEDX = ("1.4", "1.5", "1.6", "1.7")


@dataclass(frozen=True)
class Statement:
    """What a document says of one vulnerability. products: IRIs, () names none; packages: () is the whole product.

    versions: those of the package, else of the product, that it is about; None for all.
    """

    names: frozenset[str]
    products: tuple[str, ...]
    packages: tuple[str, ...]
    reason: str  # "" where it does not suppress
    at: float
    versions: frozenset[str] | None = None


def statements(data: Any) -> tuple[Statement, ...]:
    """All statements of one document, oldest first; raises EvidenceProblem for another format or version."""
    if isinstance(data, dict) and str(data.get("@context", "")).startswith(_OPENVEX):
        if str(data["@context"]).removeprefix(_OPENVEX) not in ("", "/v0.2.0"):
            report_model.raise_protocol_problem(
                f"{report_model.shown(data['@context'])} is not known, {_OPENVEX}/v0.2.0 is"
            )
        found = list(_openvex(data))
    elif isinstance(data, dict) and data.get("bomFormat") == "CycloneDX":
        if data.get("specVersion") not in _CYCLONEDX:
            report_model.raise_protocol_problem(f"CycloneDX {report_model.shown(data.get('specVersion'))} is not known")
        found = list(_cyclonedx(data))
    else:
        report_model.raise_protocol_problem("is neither OpenVEX nor CycloneDX")
    return tuple(sorted(found, key=lambda each: each.at))


def _openvex(data: dict[str, Any]) -> Iterator[Statement]:
    for row in report_model.rows(data, "statements"):
        told = report_model.table(row, "vulnerability")
        names = {
            report_model.text(told, "name"),
            report_model.text(told, "@id").rpartition("/")[2],
            *report_model.texts(told, "aliases"),
        }
        why = report_model.text(row, "justification")
        why = why if why in JUSTIFICATIONS else report_model.text(row, "impact_statement")
        good = row.get("status") == "not_affected" and why
        at = report_model.optional_epoch_seconds(row.get("last_updated")) or report_model.optional_epoch_seconds(
            row.get("timestamp")
        )
        at = at or report_model.optional_epoch_seconds(data.get("timestamp")) or 0.0
        reason = f"not_affected, {why}" if good else ""
        for product in report_model.rows(row, "products"):
            parts = tuple(name for each in report_model.rows(product, "subcomponents") for name in _identifiers(each))
            yield Statement(frozenset(names - {""}), tuple(_identifiers(product)), parts, reason, at)


def _identifiers(component: dict[str, Any]) -> Iterator[str]:
    yield from filter(None, (report_model.text(component, "@id"),
                             report_model.text(report_model.table(component, "identifiers"), "purl")))  # fmt: skip
    for name, value in report_model.table(component, "hashes").items():
        if name in ("sha-256", "sha256") and isinstance(value, str):
            yield f"sha256:{value}"


def _cyclonedx(data: dict[str, Any]) -> Iterator[Statement]:
    subject = report_model.table(report_model.table(data, "metadata"), "component")
    inner = {report_model.text(each, "bom-ref"): report_model.text(each, "purl") for each in _components(data)}
    equal: dict[str, set[str]] = {}
    for ref, purl in inner.items():
        equal.setdefault(purl, set()).add(ref)
    about = tuple(filter(None, (report_model.text(subject, "purl"), report_model.text(subject, "bom-ref"))))
    for row in report_model.rows(data, "vulnerabilities"):
        analysis = report_model.table(row, "analysis")
        why = report_model.text(analysis, "justification")
        state = analysis.get("state")
        # a false positive has no justification of the list: then the document has to say why
        why = report_model.text(analysis, "detail") if state == "false_positive" else why
        good = (state == "not_affected" and why in JUSTIFICATIONS) or (state == "false_positive" and bool(why))
        at = (
            report_model.optional_epoch_seconds(analysis.get("lastUpdated"))
            or report_model.optional_epoch_seconds(row.get("updated"))
            or 0.0
        )
        reason = f"{state}, {why}" if good else ""
        others = (report_model.text(each, "id") for each in report_model.rows(row, "references"))
        names = frozenset(filter(None, (report_model.text(row, "id"), *others)))
        affects = report_model.rows(row, "affects")
        told = [_references(report_model.text(each, "ref"), {*about, *inner}) for each in affects]
        named = {ref for refs in told for ref in refs}
        for each, refs in zip(affects, told, strict=True):
            versions = _versions(each, good)
            ref = refs[0]
            if ref in about or not (ref in inner or ref.startswith("pkg:")):
                yield Statement(names, (*refs, *(about if ref in about else ())), (), reason, at, versions)
                continue
            package = inner.get(ref) or ref
            # a finding does not say of which of several equal packages it is: then all have to be named
            whole = reason if ref not in inner or equal[inner[ref]] <= named else ""
            # a document that names no product of its own speaks of the package wherever it is
            yield Statement(names, about, (package, *refs[1:]), whole, at, versions)


def _components(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All of them, those within others too."""
    waiting = report_model.rows(data, "components")
    while waiting:
        each, *waiting = waiting
        waiting += report_model.rows(each, "components")
        yield each


def _references(ref: str, known: set[str]) -> tuple[str, ...]:
    """What a reference names: an identifier of the document, else all that it can mean.

    The part of a BOM-Link behind "#" is percent-encoded; some write it as it is.
    """
    ref = ref.partition("#")[2] if ref.startswith("urn:cdx:") else ref
    both = tuple(dict.fromkeys((ref, unquote(ref))))
    return next(((each,) for each in both if each in known), both[::-1] if "%3A" in ref[:8] else both)


def _versions(affected: dict[str, Any], good: bool) -> frozenset[str] | None:
    """The versions that a statement is about. Ranges are not looked into: they suppress nothing."""
    listed = report_model.rows(affected, "versions")
    if not listed or (not good and any("range" in each for each in listed)):
        return None
    told = (each for each in listed if not good or each.get("status") == "unaffected")
    return frozenset(filter(None, (report_model.text(each, "version") for each in told)))


def suppressions(
    findings: Iterable[Finding], known: Iterable[Statement], subject: Subject, product: str | None, image: str | None
) -> dict[Finding, str]:
    """Finding -> why it is suppressed. Of several statements about one the newest holds, whatever it says."""
    ours = _ScannedProduct(subject, product, image)
    by_name: dict[str, list[Statement]] = {}
    for statement in known:
        for name in statement.names:
            by_name.setdefault(name.upper(), []).append(statement)
    found = {}
    for finding in findings:
        reason, newest = "", -1.0
        for name in {each.upper() for each in (finding.id, *finding.aliases)}:
            for statement in by_name.get(name, ()):
                if statement.at >= newest and ours.covers(statement, finding):
                    # of two of the same moment the one that does not suppress holds
                    reason = statement.reason if statement.at > newest else reason and statement.reason
                    newest = statement.at
        if reason:
            found[finding] = reason
    return found


class _ScannedProduct:
    """What was scanned, as VEX documents may name it."""

    def __init__(self, subject: Subject, product: str | None, image: str | None) -> None:
        named = [*subject.names, *([image] if image else [])]
        self.references = [reference(each) for each in named]
        self.digests = {*subject.digests, *(digest for _, _, digest in self.references if digest)}
        self.product = product

    def covers(self, statement: Statement, finding: Finding) -> bool:
        """Whether a statement is about this finding in this build."""
        if statement.versions is None:
            return self._names(statement, finding)
        of_package = statement.packages or any(_same_package(each, finding) for each in statement.products)
        ours = {finding.version} if of_package else {tag for _, tag, _ in self.references}
        return not ours.isdisjoint(statement.versions) and self._names(statement, finding)

    def _names(self, statement: Statement, finding: Finding) -> bool:
        if not statement.products:
            return bool(statement.packages) and any(_same_package(each, finding) for each in statement.packages)
        if any(_same_package(each, finding) for each in statement.products) and not statement.packages:
            return True
        if not any(self._is_product(each) for each in statement.products):
            return False
        return not statement.packages or any(_same_package(each, finding) for each in statement.packages)

    def _is_product(self, name: str) -> bool:
        if name == self.product or name in self.digests:
            return True
        kind, _, rest = name.partition("/")
        if kind not in ("pkg:oci", "pkg:docker"):
            return False
        rest, _, query = rest.partition("#")[0].partition("?")
        path, _, version = rest.partition("@")
        version, where = unquote(version), parse_qs(query)
        if version.startswith("sha256:"):
            return version in self.digests
        wanted = where.get("repository_url", [unquote(path)])[0]
        tag = version or where.get("tag", [""])[0]
        return any(
            (name == reference(wanted)[0] or ("repository_url" not in where and name.rpartition("/")[2] == wanted))
            and tag in ("", told)
            for name, told, _ in self.references
        )


def _same_package(purl: str, finding: Finding) -> bool:
    """The same package; a purl without a version is about all of them, one with qualifiers (arch, distro) about those.

    A package of another distribution or architecture is another one, whatever its name and version.
    """
    if not purl.startswith("pkg:") or not finding.purl:
        return False
    wanted, told = _split(purl), _split(finding.purl)
    if wanted[0] != told[0] or wanted[1] not in ("", told[1]):
        return False
    theirs = _qualifiers(finding.purl)
    return all(theirs.get(name) == values for name, values in _qualifiers(purl).items())


def _qualifiers(purl: str) -> dict[str, list[str]]:
    found = parse_qs(purl.partition("?")[2].partition("#")[0])
    return {name.lower(): values for name, values in found.items() if name.lower() in _TELLING}


def _split(purl: str) -> tuple[str, str]:
    """(type/namespace/name, version) without qualifiers; names of PyPI as PyPI compares them."""
    name, _, version = unquote(purl.partition("?")[0].partition("#")[0]).rpartition("@")
    name, version = (name, version) if name and "/" not in version else (f"{name}@{version}" if name else version, "")
    kind, slash, rest = name.partition("/")
    kind = kind.lower()
    rest = re.sub(r"[-_.]+", "-", rest).lower() if kind == "pkg:pypi" else rest
    return f"{kind}{slash}{rest}", version
