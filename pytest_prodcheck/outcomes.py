"""The words of prodcheck as frozen data: outcomes, severities, judgements, results, run records, exit codes.

Everything here is plain data of JSON types, imports only the standard library and does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

SCHEMA = "prodcheck-run/1"
NO_TARGET = "-"  # the target of a check for which nothing is declared


class Outcome(StrEnum):
    """What became of one check on one target. `errored` means: could not tell."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERRORED = "errored"


class Severity(StrEnum):
    """How bad a failure of a check is."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class SkipReason(StrEnum):
    """Why a check did not run. Only the first two are allowed a gate by default; `foreign` never is."""

    NOT_CONFIGURED = "not-configured"
    OUT_OF_REACH = "out-of-reach"
    OPT_IN = "opt-in"
    PREREQUISITE = "prerequisite"
    FOREIGN = "foreign"


class ExitCode(IntEnum):
    """The one table of exit codes of all commands that may guard a deployment."""

    OPEN = 0
    BLOCKED = 1
    USAGE = 2
    CANNOT_TELL = 3
    REFUSED = 4


_PRECEDENCE = (ExitCode.USAGE, ExitCode.REFUSED, ExitCode.BLOCKED, ExitCode.CANNOT_TELL, ExitCode.OPEN)


def worst(codes: Iterable[int]) -> ExitCode:
    """The code that wins among several: 2 > 4 > 1 > 3 > 0. Nothing at all is 3: no evidence, no go."""
    found = {ExitCode(code) for code in codes}
    return next((code for code in _PRECEDENCE if code in found), ExitCode.CANNOT_TELL)


@dataclass(frozen=True)
class Judgement:
    """One comparison that `judge` recorded.

    `margin` is the distance to the fail limit in `unit`, positive while good; None for yes-or-no judgements.
    `of` names one object of many found at run time (a pod, a node, an address).
    """

    what: str
    value: float | str | bool | None
    outcome: Outcome
    unit: str = ""
    direction: str = ""  # "at_most", "at_least" or "" for yes-or-no
    warn: float | None = None
    fail: float | None = None
    margin: float | None = None
    of: str = ""
    off: bool = False  # the limit is switched off in the configuration: measured and shown, never failed
    reason: str = ""  # why, in words, where the outcome is not passed


@dataclass(frozen=True)
class Result:
    """What one check found about one target. Its identity is `(check, target)`, never the node id.

    `gathered_at` is the UTC epoch second of the oldest evidence that was read, None where none was.
    """

    check: str
    target: str
    outcome: Outcome
    severity: Severity = Severity.HIGH
    suite: str = ""
    title: str = ""
    reason: str = ""
    skip: SkipReason | None = None
    judgements: tuple[Judgement, ...] = ()
    evidence: tuple[str, ...] = ()  # keys of the evidence that was read: "http-health:shop"
    gathered_at: float | None = None
    valid_until: float | None = None  # UTC epoch second from which its evidence says something else, where it tells
    seconds: float = 0.0
    notes: tuple[str, ...] = ()  # "connection reset, tried again once"
    runbook: str = ""  # address or name of the page that says how to fix it
    owner: str = ""
    nodeid: str = ""
    kind: str = ""  # what the target is: "service", "endpoint", …
    unreached: str = ""  # why it is errored: the service that no answer came from, "role NAME" that cannot log in
    plain: bool = False  # a test without @check: its failure counts, its success proves nothing

    @property
    def identity(self) -> tuple[str, str]:
        """`(check id, target)`."""
        return (self.check, self.target)


@dataclass(frozen=True)
class PlannedCheck:
    """One `(check, target)` that the configuration and the catalogue call for, whether or not a test ran.

    `suite` is "" where it is the id's first segment.
    """

    check: str
    target: str
    severity: Severity = Severity.HIGH
    suite: str = ""


@dataclass(frozen=True)
class RunRecord:
    """Everything a gate may look at about one run; saved as `.prodcheck/runs/ID/run.json`.

    Times are UTC epoch seconds. `planned` lists what had to be judged, from catalogue, own checks and configuration,
    independent of what pytest collected. `known` lists every check id that exists. `problems` are complaints of the
    mechanism itself (a report that disagrees with the ledger, a crashed worker): any of them makes the run incomplete.
    """

    id: str
    environment: str
    project: str = ""
    protected: bool = False
    unit: str = ""  # "" is the whole environment
    slot: str = ""
    revision: str = ""
    vantage: str = "outside"
    started_at: float = 0.0
    ended_at: float = 0.0
    version: str = ""  # of prodcheck
    results: tuple[Result, ...] = ()
    planned: tuple[PlannedCheck, ...] = ()
    known: tuple[str, ...] = ()
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # kind -> names in scope
    places: Mapping[str, str] = field(default_factory=dict)  # "service:shop" -> "ops/prodcheck.toml:12"
    undeclared: tuple[str, ...] = ()  # kinds neither declared nor listed under `absent` (protected environments)
    limits_off: tuple[str, ...] = ()  # "smoke.service.latency@shop" whose limit is "off"
    unverified: tuple[str, ...] = ()  # hosts for which TLS verification is off
    digests: Mapping[str, str] = field(default_factory=dict)  # environment, catalogue -> sha256 hex
    configuration: Mapping[str, str] = field(default_factory=dict)  # file path relative to the root file -> sha256 hex
    problems: tuple[str, ...] = ()
    interrupted: str = ""  # why the run ended early: "keyboard interrupt", "-x after 1 failure", ...
    replay_of: str = ""  # id of the run whose evidence was judged again; such a run opens nothing
    waited: float = 0.0  # seconds spent in --wait
    opted_in: tuple[str, ...] = ()  # "write:order"
    schema: str = SCHEMA


def new_run_id() -> str:
    """An id that sorts by time, also within a second: the newest run is found by it."""
    import secrets
    import time

    whole, part = divmod(time.time_ns(), 10**9)
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(whole))}-{part >> 18:03x}{secrets.token_hex(2)}"


def counts(results: Iterable[Result]) -> dict[Outcome, int]:
    """How many results had each outcome; every outcome is a key."""
    found = dict.fromkeys(Outcome, 0)
    for result in results:
        found[result.outcome] += 1
    return found
