"""The rollback plan of a deployment: the document, and the versions that the cluster keeps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlanDocument:
    """What the rollback plan says."""

    source: str
    there: bool
    names: tuple[str, ...]  # any of which it has to name: the unit, or the environment
    named: bool
    dated: float | None  # the last day, not in the future, that it says it was looked at; epoch seconds; None: none


@dataclass(frozen=True)
class DeploymentHistory:
    """What the cluster keeps of one Deployment's versions."""

    workload: str  # "deployment/storefront"
    revision: int  # of the newest version, as its Deployment counts; 0 where there is none: never deployed
    kept: int  # versions that are kept, the newest among them
    limit: int  # earlier versions that its Deployment keeps (revisionHistoryLimit)
    images: tuple[str, ...]  # of the newest version: what the next deployment would be rolled back to


@dataclass(frozen=True)
class RollbackPlan:
    """`rollback-plan` (rollback): the document where one is declared, the cluster where it is in reach."""

    document: PlanDocument | None
    ways: tuple[DeploymentHistory, ...]
    now: float  # epoch seconds
