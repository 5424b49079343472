"""Reports of vulnerability scanners: where they lie or how they are made, and what they have to be about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pytest_prodcheck.environments.kinds import EnvironmentView, Kind, Target
from pytest_prodcheck.environments.rules.common import file, unknown_name
from pytest_prodcheck.environments.sections.base import Name, Seconds, Section
from pytest_prodcheck.environments.sections.services import Authentication, Url

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.toml.error_collector import Complaint

PACKAGES = ("trivy", "grype", "pip-audit", "sarif")  # formats that tell of packages, and so of one thing that was built
SCANNED_IMAGE = ("trivy", "grype")  # formats whose scanner is told an image
ONLY_PACKAGES = ("image", "revision", "product", "grace", "unrated", "unscanned", "vex", "about")
# what stands after the last slash of an image reference: a name with a digest, or with a tag
PINNED = re.compile(r"[^@:]+(:[^@:]+)?@(sha256:[0-9a-f]{64}|\{revision\})|[^@:]+:[A-Za-z0-9_{][A-Za-z0-9_.{}-]*")


class Vulnerabilities(Section):
    """One report of a scanner: exactly one of `report`, `url`, `command` and `run` says where it comes from."""

    # what the report is in: Trivy's, Grype's, pip-audit's or kube-bench's JSON, SARIF 2.1.0, Gatekeeper's constraints
    # (`kubectl get constraints -o json`) or `gator test` JSON; any of them also inside an in-toto statement with
    # cosign's predicate for vulnerability scans
    format: Literal["trivy", "grype", "pip-audit", "sarif", "kube-bench", "gatekeeper"]
    # file with the report, relative to prodcheck.toml; here and in `url`, `command`, `run`, `image` and `revision`
    # `{revision}` and `{unit}` are filled in when it is read
    report: str | None = None
    url: Url | None = None  # address that the report is fetched from
    command: tuple[str, ...] | None = None  # program and arguments, run without a shell; what it prints is the report
    # runs the installed scanner of `format`, with these further arguments; `[]` for none. Trivy and Grype scan `image`
    run: tuple[str, ...] | None = None
    # image it must be about, "registry/name@sha256:…" or "registry/name:tag"; a report of another one is errored
    image: str | None = None
    # source revision it must be about, such as "{revision}"; a report of another one is errored
    revision: str | None = None
    # what VEX documents call the thing that was scanned, a purl or another IRI, where they do not name the image
    product: str | None = None
    # how old the report may be; the default is half of `grace`: what came after it is within the grace anyway
    max_age: Seconds = 7 * 86400.0
    # how long a fix may be out before a finding counts; the default is what CISA's BOD 22-01 allows
    grace: Seconds = 14 * 86400.0
    # VEX documents (OpenVEX, CycloneDX), relative to prodcheck.toml; `not_affected` with a justification suppresses
    vex: tuple[str, ...] = ()
    # severity of findings that the report does not rate; pip-audit rates none
    unrated: Literal["critical", "high", "medium", "low"] = "high"
    unscanned: tuple[str, ...] = ()  # packages that the scanner may leave out, such as your own; others make it errored
    # "file": the time of the file (or `Last-Modified` of `url`) is the report's date, for formats that tell none;
    # a copy or a checkout makes files new
    dated: Literal["report", "file"] = "report"
    # who judges it: `pre_deploy` before a deployment, `security` as what runs; both where left out
    about: Annotated[tuple[Literal["deploy", "running"], ...], Field(min_length=1)] = ("deploy", "running")
    # exit codes of `command` or `run` that mean a whole report; where left out 0, and 1 for pip-audit and gator
    exit_codes: tuple[Annotated[int, Field(ge=0, le=255)], ...] | None = None
    timeout: Seconds = 60.0  # for reading, fetching or running; gathering.deadline bounds the whole run
    # bytes of the report; a larger one is errored
    largest: Annotated[int, Field(ge=1024, le=1024 * 1024 * 1024)] = 64 * 1024 * 1024
    ca: str | None = None  # file with the CA certificates that `url` is trusted by (PEM); the system's where left out
    authentication: Authentication | None = None  # credentials for `url`
    unit: Name | None = None  # unit that it is about; judged for every unit where left out
    # network location that `url` is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts

    @property
    def bound_by_place(self) -> bool:
        """Whether its file or address is another one for each revision."""
        return "{revision}" in (self.report or self.url or "")

    @property
    def fresh(self) -> bool:
        """Whether it is made when it is asked for."""
        return self.command is not None or self.run is not None


def complaints(path: tuple[str, ...], report: Vulnerabilities) -> Iterator[Complaint]:
    """What does not fit together in one report's table."""
    ways = [key for key in ("report", "url", "command", "run") if getattr(report, key) is not None]
    if len(ways) != 1:
        yield path, "expected exactly one of `report`, `url`, `command` and `run`", ""
    if report.command is not None and not report.command:
        yield (*path, "command"), "names no program", ""
    if report.format in PACKAGES:
        yield from _packages(path, report)
    else:
        for key in ONLY_PACKAGES:
            if key in report.model_fields_set:
                yield (*path, key), f"is allowed for reports about packages only, not for {report.format}", ""
    if report.format == "gatekeeper" and report.run is not None and not report.run:
        yield (*path, "run"), "gator needs the files to test", 'such as run = ["--filename=manifests/"]'
    for key in ("ca", "authentication"):
        if getattr(report, key) is not None and report.url is None:
            yield (*path, key), f"`{key}` is allowed with `url` only", ""
    if report.exit_codes is not None and not report.fresh:
        yield (*path, "exit_codes"), "`exit_codes` is allowed with `command` or `run` only", ""


def _packages(path: tuple[str, ...], report: Vulnerabilities) -> Iterator[Complaint]:
    if report.run is not None and report.format == "sarif":
        yield (*path, "run"), "many scanners write SARIF, so `run` does not know which to start", "give `command`"
    if report.run is not None and report.format in SCANNED_IMAGE and report.image is None:
        yield path, f"{report.format} needs the image to scan", "set `image`, or `command` for anything else"
    if report.image is not None and not PINNED.fullmatch(report.image.rpartition("/")[2]):
        hint = 'expected "registry/name@sha256:…" or "registry/name:tag"; it may contain {revision}'
        yield (*path, "image"), "a name alone does not identify the build", hint
    named = report.image is not None or report.revision is not None or report.bound_by_place
    if not named and not (report.format == "pip-audit" and report.fresh):
        hint = "set `image` or `revision`, or put {revision} into its path"
        yield (
            path,
            "nothing says which build the report must be about, so the report of another build would be accepted",
            hint,
        )


def _targets(looking: EnvironmentView) -> Iterator[Target]:
    other = {"kube-bench": "benchmark", "gatekeeper": "policies"}
    for name, report in looking.environment.vulnerabilities.items():
        if looking.in_scope(report.unit):
            features = frozenset([other[report.format]] if report.format in other else report.about)
            owner = looking.owner_of(report.owner, report.unit)
            yield Target("scan", name, features, *looking.reach(report.vantage), owner=owner)


def _rules(environment: Environment, root: Path) -> Iterator[Complaint]:
    for name, report in environment.vulnerabilities.items():
        path = ("vulnerabilities", name)
        yield from complaints(path, report)
        yield from file((*path, "ca"), report.ca, root)
        if report.unit is not None:
            yield from unknown_name((*path, "unit"), report.unit, environment.units, "unit")


KINDS = (
    Kind(
        section="vulnerabilities",
        awaited={"scan": ()},
        targets=_targets,
        rules=_rules,
    ),
)
