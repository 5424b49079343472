"""Database migrations around a deployment: those that the old revision can live with before it, the others after.

Expand and contract (https://martinfowler.com/bliki/ParallelChange.html): what only adds is applied before the new copy
starts and stays on the way back; what takes away is applied when the old revision has no traffic for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.commands_driver import DriverPrograms, wait_until
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.migration_sql import sql_digests
from pytest_prodcheck.deploy.plan import CONTRACT, EXPAND, ObservedState, PlanProblem, Shares

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.drivers import Driver, DriverContext
    from pytest_prodcheck.environments.sections.deploy import DeployMigrations

_MAX_PENDING = 1000


class MigratingDriver:
    """A driver that applies migrations too."""

    def __init__(self, driver: Driver, context: DriverContext, settings: DeployMigrations, revision: str) -> None:
        self._driver, self._programs, self._settings, self._revision = (
            driver,
            DriverPrograms(context),
            settings,
            revision,
        )
        self._context = context
        self.observe, self.start, self.stop = driver.observe, driver.start, driver.stop

    def observe_with_migrations(self) -> ObservedState:
        """What the driver sees, and which migrations are pending."""
        observed = self._driver.observe()
        pending = self._pending()
        names = [each.partition(" ")[2] for each in pending]
        return replace(observed, pending=pending, sql=sql_digests(self._settings, names, self._context.root))

    def share(self, shares: Shares) -> None:
        """As the driver does."""
        self._driver.share(shares)

    def migrate(self, phase: str) -> None:
        """Applies those of one phase, and looks whether none is left."""
        if self._context.cluster is not None:
            self._context.cluster.fence()
        self._programs.run(self._settings.run, self._settings.timeout, phase=phase, revision=self._revision)
        wait_until(
            lambda: not of_phase(self._pending(), phase), 0.0, f"migrations of the phase {phase} are still pending"
        )

    def _pending(self) -> tuple[str, ...]:
        output = self._programs.run(self._settings.pending, self._settings.timeout, revision=self._revision)
        found = tuple(" ".join(line.split()) for line in output.splitlines() if line.strip())
        wrong = next((each for each in found if len(each.split()) != 2 or phase_of(each) not in (EXPAND, CONTRACT)), "")
        if wrong or len(found) > _MAX_PENDING:
            told = f"it said {wrong[:100]!r}" if wrong else f"it named {len(found)}"
            raise DriverProblem(f'migrations.pending: expected lines "expand NAME" or "contract NAME", {told}')
        return found


def phase_of(pending: str) -> str:
    """The phase of one, its first word."""
    return pending.partition(" ")[0]


def of_phase(pending: Sequence[str], phase: str) -> tuple[str, ...]:
    """The names of those of one phase."""
    return tuple(each.partition(" ")[2] for each in pending if phase_of(each) == phase)


def refuse_wrong_order(pending: Sequence[str]) -> None:
    """Raises PlanProblem (4) where one that adds comes behind one that takes away: it cannot be applied before it."""
    phases = [phase_of(each) for each in pending]
    if CONTRACT in phases and EXPAND in phases[phases.index(CONTRACT) :]:
        first = phases.index(CONTRACT)
        late = next(each for each in pending[first:] if phase_of(each) == EXPAND)
        text = f"the migration {late.partition(' ')[2]} is `expand`, but comes after {pending[first].partition(' ')[2]}"
        raise PlanProblem(f"{text}, which is `contract`: deploy them one after the other")
