"""SARIF 2.1.0 (OASIS) as scanners write it, rated the way GitHub's code scanning rates it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pytest_prodcheck.evidence.vulnerabilities import report_model
from pytest_prodcheck.evidence.vulnerabilities.report_model import Finding, Scan, Subject
from pytest_prodcheck.evidence.vulnerabilities.sarif_rules import Rules, rule_id_of
from pytest_prodcheck.evidence.vulnerabilities.trivy import RATINGS
from pytest_prodcheck.records.vulnerabilities import Rating

# docs.github.com, "SARIF support for code scanning": property security-severity, a CVSS score as text
_SCORES: tuple[tuple[float, Rating], ...] = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.0, "low"))
_LEVELS: dict[str, Rating | None] = {"error": "high", "warning": "medium", "note": "low", "none": "low"}
# what Trivy and Grype write into a result's text; other tools' findings are about one's own code, which can be fixed
_FIXED = re.compile(r"(?im)^[ \t]*(?:fixed|fix) version:[ \t]*(.*)$")


def parse(data: Any) -> Scan:
    """The report; raises EvidenceProblem for another version, a run that failed, and one without results.

    Section 3.14.23: `results` that is absent or null means that the tool did not get as far as looking.
    """
    if not isinstance(data, dict) or data.get("version") != "2.1.0":
        version = data.get("version") if isinstance(data, dict) else None
        report_model.raise_protocol_problem(f"is no SARIF 2.1.0: its version is {report_model.shown(version)!r}")
    runs = report_model.rows(data, "runs")
    if not runs:
        report_model.empty("the SARIF file holds no run of a tool")
    for each in report_model.rows(data, "inlineExternalProperties"):
        _refuse_elsewhere(each, "inlineExternalProperties")
    for run in runs:
        _refuse_failed(run)
    drivers = [report_model.table(report_model.table(run, "tool"), "driver") for run in runs]
    # a run that tells its beginning alone is no younger than that
    ended = [
        report_model.optional_epoch_seconds(each.get("endTimeUtc") or each.get("startTimeUtc"))
        for run in runs
        for each in report_model.rows(run, "invocations")
    ]
    dates = [each for each in ended if each is not None]
    return Scan(
        scanner=", ".join(dict.fromkeys(report_model.needed(each, "name") for each in drivers)),
        subject=_subject(runs),
        created_at=min(dates) if dates else None,
        findings=report_model.unique_findings(finding for run in runs for finding in _findings(run)),
        ignored=sum(_suppressed(each) for run in runs for each in report_model.rows(run, "results")),
        unjudged=tuple(_unjudged(runs))[:20],
    )


def _refuse_failed(run: dict[str, Any]) -> None:
    if not isinstance(run.get("results"), list):
        report_model.empty("a run has no `results`: the tool did not get as far as looking (SARIF 2.1.0, 3.14.23)")
    _refuse_elsewhere(report_model.table(run, "externalPropertyFileReferences"), "externalPropertyFileReferences")
    for invocation in report_model.rows(run, "invocations"):
        if invocation.get("executionSuccessful") is False:
            report_model.raise_protocol_problem(
                "the tool itself says that its run failed (executionSuccessful is false)"
            )
        for key in ("toolExecutionNotifications", "toolConfigurationNotifications"):  # SARIF 2.1.0, appendix I
            for note in report_model.rows(invocation, key):
                if note.get("level") == "error":
                    said = report_model.shown(report_model.table(note, "message").get("text"))
                    report_model.raise_protocol_problem(f"its results are incomplete, the tool met an error: {said}")


def _refuse_elsewhere(told: dict[str, Any], where: str) -> None:
    """Refuses a report of which a part that is judged does not stand in its runs."""
    if elsewhere := sorted({"results", "driver", "extensions", "invocations", "policies"} & set(told)):
        report_model.raise_protocol_problem(
            f"its {', '.join(elsewhere)} lie elsewhere ({where})", "let the tool write one whole file"
        )


def _subject(runs: list[dict[str, Any]]) -> Subject:
    names: list[str] = []
    digests: list[str] = []
    revisions: list[str] = []
    for run in runs:
        properties = report_model.table(run, "properties")  # Trivy's: imageName, imageID, repoDigests, repoTags
        pinned = report_model.texts(properties, "repoDigests")
        names += [
            *filter(None, [report_model.text(properties, "imageName")]),
            *report_model.texts(properties, "repoTags"),
            *pinned,
        ]
        digests += [each.rpartition("@")[2] for each in pinned if "@" in each]
        digests += filter(None, [report_model.text(properties, "imageID")])
        origins = report_model.rows(run, "versionControlProvenance")
        revisions += filter(None, (report_model.text(each, "revisionId") for each in origins))
    return Subject(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(digests)), tuple(dict.fromkeys(revisions)))


def _findings(run: dict[str, Any]) -> Iterator[Finding]:
    rules, files = Rules(run), report_model.rows(run, "artifacts")
    for result in report_model.rows(run, "results"):
        if result.get("kind", "fail") != "fail" or result.get("baselineState") == "absent" or _suppressed(result):
            continue
        rule = rules.rule_of(result)
        said = report_model.table(result, "message").get("text")
        said = said if isinstance(said, str) else ""
        told = _FIXED.search(said) or _FIXED.search(str(rule.get(report_model.FIX, "")))
        # a result need not name a rule: then its message tells it from others
        name = rule_id_of(result) or report_model.text(rule, "id") or f"no rule: {report_model.shown(said)[:80]}"
        yield Finding(
            name, _first_location(result, files), "",
            _rating(result, rule, rules.level_of(result, rule), told is not None),
            report_model.shown(told[1].strip()) if told else "a change of the code",
        )  # fmt: skip


def _unjudged(runs: list[dict[str, Any]]) -> Iterator[str]:
    """What a person would have to look at: results of other kinds."""
    kinds = Counter(str(each.get("kind")) for run in runs for each in report_model.rows(run, "results")
                    if each.get("kind", "fail") in ("open", "review"))  # fmt: skip
    yield from (f"{number} results of kind {report_model.shown(kind)}" for kind, number in sorted(kinds.items()))


def _suppressed(result: dict[str, Any]) -> bool:
    """Section 3.27.23: suppressed where a suppression is there and none is under review or rejected."""
    found = report_model.rows(result, "suppressions")
    return bool(found) and all(each.get("status", "accepted") == "accepted" for each in found)


def _rating(result: dict[str, Any], rule: dict[str, Any], level: str, in_package: bool) -> Rating | None:
    """By the score; a score of 0 is none. Else by a tag as Trivy has it, else by the level.

    in_package: whether a fix is told as for vulnerabilities of packages, whose level says nothing without a score.
    """
    unrated = False
    for source in (result, rule):
        score = report_model.table(source, "properties").get("security-severity")
        try:
            number = float(score) if isinstance(score, (str, int, float)) and not isinstance(score, bool) else None
        except ValueError:
            number = None
        if number is not None and 0 < number <= 10:
            return next(rating for least, rating in _SCORES if number >= least)
        unrated = unrated or (number == 0 and in_package)
    tags = report_model.table(rule, "properties").get("tags")
    if isinstance(tags, list) and "vulnerability" in tags and (told := [each for each in RATINGS if each in tags]):
        return RATINGS[told[0]]
    return None if unrated and level in ("note", "none") else _LEVELS.get(level)


def _first_location(result: dict[str, Any], files: list[dict[str, Any]]) -> str:
    """The first place that is told. files: the run's, for a place that is told by its index alone (3.4.5)."""
    for location in report_model.rows(result, "locations"):
        physical = report_model.table(location, "physicalLocation")
        artifact = report_model.table(physical, "artifactLocation")
        place = artifact.get("index")
        if "uri" not in artifact and isinstance(place, int) and 0 <= place < len(files):
            artifact = report_model.table(files[place], "location")
        if uri := report_model.text(artifact, "uri"):
            line = report_model.table(physical, "region").get("startLine")
            return f"{uri}:{line}" if isinstance(line, int) and line > 1 else uri
        for logical in report_model.rows(location, "logicalLocations"):
            if name := report_model.text(logical, "fullyQualifiedName") or report_model.text(logical, "name"):
                return name
    return "the whole"
