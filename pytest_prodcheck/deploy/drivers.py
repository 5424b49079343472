"""What a driver is: it observes and moves copies and traffic, by one small protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_prodcheck.deploy.plan import Change, ObservedState, Shares

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.cluster_client import ClusterClient
    from pytest_prodcheck.deploy.programs import ProgramRunner
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.deploy import Deploy


class DriverProblem(Exception):
    """Something could not be observed or moved; the message says what, and holds no secret."""


class Driver(Protocol):
    """Each call says where to arrive and comes back when it is so; each may be repeated at any time.

    All raise DriverProblem. A driver never answers from what it asked for: it looks.
    """

    def observe(self) -> ObservedState:
        """What each slot runs and how traffic is shared, now. Changes nothing."""

    def start(self, slot: str, revision: str) -> None:
        """The slot runs the revision, and answers well."""

    def stop(self, slot: str) -> None:
        """The slot runs nothing; only ever asked of one without traffic."""

    def share(self, shares: Shares) -> None:
        """Traffic is shared so, and copies without a share have ended what they were at."""


@dataclass(frozen=True)
class DriverContext:
    """What a driver is made from. passed_environment: environment variables that programs may see beside the usual.

    cluster: of the driver `kubernetes`. revision: which is deployed.
    """

    settings: Deploy
    root: Path
    unit: str
    passed_environment: tuple[str, ...]
    runner: ProgramRunner
    environment: Environment | None = None
    cluster: ClusterClient | None = None
    revision: str = ""


def observe_with_migrations(driver: Driver) -> ObservedState:
    """What is there and which migrations are pending; only for plans and migrations: no way back asks a database."""
    look: Callable[[], ObservedState] = getattr(driver, "observe_with_migrations", driver.observe)
    return look()


def apply(driver: Driver, change: Change) -> None:
    """Does what a change says; raises DriverProblem."""
    if change.kind == "share":
        driver.share(change.shares)
    elif change.kind == "migrate":
        migrates = getattr(driver, "migrate", None)
        if migrates is None:
            raise DriverProblem("`deploy.migrations` was removed from prodcheck.toml since the plan was made")
        migrates(change.phase)
    elif change.kind in ("start", "roll"):
        driver.start(change.slot, change.revision)
    else:
        driver.stop(change.slot)
