"""What users do step by step, and what they reach on the way: names and ports."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_prodcheck.records import Exchange, Problem


@dataclass(frozen=True)
class StepAnswer:
    """One step of a workflow. `reasons` says what was not as declared; empty means good."""

    name: str
    cleanup: bool
    exchange: Exchange | None
    reasons: tuple[str, ...] = ()
    problem: Problem | None = None
    skipped: bool = False  # not sent, for a step before it failed or a variable it needs was never captured


@dataclass(frozen=True)
class WorkflowRun:
    """`workflow` (workflow): all steps, then all clean-up steps."""

    steps: tuple[StepAnswer, ...]


@dataclass(frozen=True)
class NameAnswer:
    """`dns-name` (dns): the addresses of a name."""

    name: str
    server: str  # the name server that was asked, "system" for the system's resolver
    addresses: tuple[str, ...]
    expected: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class PortAnswer:
    """`tcp-port` (tcp): the port accepted, or why not (a refusal is an answer, not a problem of ours)."""

    address: str
    accepted: bool
    seconds: float
    reason: str = ""
