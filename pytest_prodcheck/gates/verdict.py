"""The verdict: what one gate found for one environment, unit, slot and revision, as a document that travels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pytest_prodcheck.plain_data import from_plain

SCHEMA = "prodcheck-verdict/1"
STATUS = {0: "open", 1: "blocked", 2: "usage-error", 3: "cannot-tell", 4: "refused"}
Value = float | str | bool | None


@dataclass(frozen=True)
class Finding:
    """One thing that decided a gate, or that its reader must know.

    `value`, `limit` and `margin` are in `unit`; `of` names one object of many (a pod). `code` is the exit code that it
    leads to, 0 for warnings, notes and waived failures. `ticket` and `expires` (a date) are those of a waiver.
    """

    text: str
    code: int = 0
    check: str = ""
    target: str = ""
    outcome: str = ""
    severity: str = ""
    what: str = ""
    of: str = ""
    value: Value = None
    unit: str = ""
    direction: str = ""
    limit: float | None = None
    margin: float | None = None
    owner: str = ""
    runbook: str = ""
    ticket: str = ""
    expires: str = ""
    because: str = ""  # "check@target" of the finding that this one follows from


@dataclass(frozen=True)
class Observation:
    """A gate that is only observed until a date (ISO): what it would have answered."""

    until: str
    status: str
    code: int


@dataclass(frozen=True)
class NeedState:
    """How another gate that this one needs was found; times are UTC epoch seconds or None."""

    environment: str
    gate: str
    code: int
    text: str
    revision: str = ""
    open_since: float | None = None
    oldest_evidence: float | None = None


@dataclass(frozen=True)
class Verdict:
    """One sealed, expiring answer. Times are UTC epoch seconds; `max_age` seconds; names as in `RunRecord`.

    `reasons` hold the deciding checks, the gravest first; empty where the gate is open. `skips` maps a reason to
    "check@target" (or "check") texts, `targets` a kind to how many were in scope, `configuration` a file (relative to
    the folder of prodcheck.toml) to its SHA-256. `open_since` is None unless really open: observation does not count.
    `boot` and `uptime` (seconds since it) are those of the machine that published: its clock may be set back since.
    """

    gate: str
    environment: str
    run: str
    status: str
    code: int
    evaluated_at: float
    expires_at: float
    max_age: float
    project: str = ""
    protected: bool = False
    unit: str = ""
    slot: str = ""
    revision: str = ""
    vantage: str = ""
    version: str = ""
    ticket: int = 0
    oldest_evidence: float | None = None
    open_since: float | None = None
    strict: bool = False
    waited: float = 0.0
    reasons: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    waived: tuple[Finding, ...] = ()
    skips: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limits_off: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    opted_in: tuple[str, ...] = ()
    observation: Observation | None = None
    needs: tuple[NeedState, ...] = ()
    overrides: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    targets: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, str] = field(default_factory=dict)
    boot: str = ""
    uptime: float = 0.0
    schema: str = SCHEMA

    def to_document(self) -> dict[str, object]:
        """As plain JSON data, unsealed."""
        plain = asdict(self)
        plain["skips"] = {reason: list(each) for reason, each in self.skips.items()}
        found: dict[str, object] = json.loads(json.dumps(plain, allow_nan=False))
        return found

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Verdict:
        """From `to_document`'s data, with or without its seal; raises ValueError for anything else."""
        if document.get("schema") != SCHEMA:
            raise ValueError(f"expected a document of schema {SCHEMA}, not {str(document.get('schema'))[:60]!r}")
        bare = {key: value for key, value in document.items() if key != "seal"}
        verdict = from_plain(cls, bare, "verdict", complete=True)
        if STATUS.get(verdict.code) != verdict.status:
            raise ValueError(f"verdict: status {verdict.status!r} does not go with code {verdict.code}")
        return verdict
