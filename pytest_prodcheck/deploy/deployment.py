"""One call of `prodcheck deploy`: reads what is declared and what is there, takes the lock, and carries on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_prodcheck.deploy import approval, deployer, position, showing
from pytest_prodcheck.deploy.asking import Gates, RunGates
from pytest_prodcheck.deploy.canary import Canary
from pytest_prodcheck.deploy.deployer import Compares, Deployer, noted
from pytest_prodcheck.deploy.driver_table import driver_of
from pytest_prodcheck.deploy.drivers import DriverProblem, Site, observe_with_migrations
from pytest_prodcheck.deploy.journal import Journal, Store
from pytest_prodcheck.deploy.migrations import Migrating, of_phase
from pytest_prodcheck.deploy.plan import EXPAND, Plan, PlanProblem, World, is_word
from pytest_prodcheck.deploy.programs import Runner
from pytest_prodcheck.deploy.strategies import make_plan, told

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.cluster import Cluster
    from pytest_prodcheck.deploy.drivers import Driver
    from pytest_prodcheck.deploy.metrics import Metrics
    from pytest_prodcheck.environments.sections.deploy import Deploy

REFUSED, CANNOT_TELL = 4, 3
_TICK = 1.0  # seconds between two lines about a pause


@dataclass(frozen=True)
class Wishes:
    """What the command line says. strategy, monitor: instead of what is declared."""

    environment: str
    unit: str = ""
    revision: str | None = None
    strategy: str | None = None
    monitor: float | None = None
    allow: tuple[str, ...] = ()
    approval: Path | None = None


class Says(deployer.Tells, Protocol):
    """Whoever shows how it goes."""

    def say(self, text: str) -> None:
        """One line or several."""

    def passing(self, text: str) -> None:
        """How far a step is."""


class Deployment:
    """What is declared, for one environment and unit; raises ConfigurationError, PlanProblem."""

    def __init__(self, wishes: Wishes, start: Path, says: Says) -> None:
        from pytest_prodcheck.environments.loading import find_configuration, load
        from pytest_prodcheck.trusted_files import refuse_foreign

        path = find_configuration(start)
        if path is None:
            raise PlanProblem(f"there is no prodcheck.toml in {start} or above it", 2)
        try:
            refuse_foreign(str(path), "the configuration")
            self.store = Store(str(start), wishes.environment, wishes.unit)
            refuse_foreign(str(self.store.state), "the folder")
        except ValueError as error:
            raise PlanProblem(str(error), 2) from None
        self.configuration = load(path)
        self.wishes, self.says = wishes, says
        self.environment = self.configuration.environment(wishes.environment, unit=wishes.unit)
        if self.environment.deploy is None:
            raise PlanProblem(f"environment {wishes.environment} has no section `deploy`", 2)
        self.settings = self._settings(self.environment.deploy)
        self.cluster: Cluster | None = None
        if self.settings.driver == "kubernetes":
            self.cluster, self.store = self._in_cluster(str(start))
        self.carried_out: Journal | None = None
        self._looked_at: Journal | None = None
        self._planned: tuple[Plan, tuple[str, ...]] | None = None
        self.half_way = False
        self._refuse_unknown_gates()

    def _in_cluster(self, start: str) -> tuple[Cluster, Store]:
        """The cluster, where journal and lock lie too."""
        from pytest_prodcheck.deploy.cluster import Cluster
        from pytest_prodcheck.deploy.cluster_journal import ClusterStore

        passed = self.configuration.project.pass_environment
        cluster = Cluster(self.environment, self.configuration.root, passed)
        assert self.settings.kubernetes is not None
        keep = self.settings.kubernetes.keep
        return cluster, ClusterStore(start, self.wishes.environment, self.wishes.unit, cluster, keep)

    def _settings(self, declared: Deploy) -> Deploy:
        from pydantic import ValidationError

        change = {"strategy": self.wishes.strategy, "monitor": self.wishes.monitor}
        wanted = {name: value for name, value in change.items() if value is not None}
        if not wanted:
            return declared
        try:
            return type(declared).model_validate({**declared.model_dump(by_alias=True, exclude_unset=True), **wanted})
        except ValidationError as error:
            said = "; ".join(str(each["msg"]).removeprefix("Value error, ") for each in error.errors())
            raise PlanProblem(f"--strategy or --monitor does not fit what is declared: {said}", 2) from None

    def _refuse_unknown_gates(self) -> None:
        from pytest_prodcheck.environments.project_rules import SUITES

        there = (*SUITES, *self.configuration.project.gates)
        for name in (self.settings.before, self.settings.slot, self.settings.after):
            if name not in there:
                raise PlanProblem(f"`deploy` names the gate {name!r}; there are {', '.join(there)}", 2)

    @property
    def has_changed(self) -> bool:
        """Whether this call changed something, or may have."""
        return self.carried_out is not None and any(line["event"] == "begun" for line in self.carried_out.lines)

    def document(self) -> dict[str, Any]:
        """What this call planned, carried out or looked at, for programs."""
        journal = self.carried_out or self._looked_at
        looks: tuple[str, ...] = ()
        if journal is None or not journal.lines:
            plan, looks = self._planned or (None, ())
            return showing.document(plan, None, looks)
        plan, now = position.position(journal.lines)
        return showing.document(plan, now, self._planned[1] if self._planned else ())

    # -- what the command line asks for

    def status(self) -> int:
        """Shows where the newest deployment stands; its exit code, 23 while a deployer is at it."""
        journal = self.store.newest(self.store.key())
        if journal is None or not journal.lines:
            self.says.say(f"{self.wishes.environment}: nothing was deployed from here")
            return 0
        self._looked_at = journal
        plan, now = position.position(journal.lines)
        running = self.store.busy
        self.says.say("\n".join(showing.standing(plan, now, running=running)))
        if running:
            return deployer.BUSY
        codes = {position.DONE: 0, position.CLOSED: 0, position.UNDONE: 20, position.PLANNED: 22}
        return codes.get(now.state, deployer.PERSON if now.begun >= 0 else 0)

    def dry_run(self) -> int:
        """Shows the plan; 0, or 4 where what is there is not what the strategy starts from."""
        plan = self._plan(self._driver(-1))
        self._show(plan)
        return 0

    def approve(self, by: str, seconds: float) -> int:
        """Seals an approval of the plan as it would be now."""
        plan = self._plan(self._driver(-1))
        self._show(plan)
        path = self.wishes.approval or self.store.approval
        with _nothing_changed():
            key = self.store.key(create=True)
            assert key is not None
            approval.write(path, plan, key, by=by, now=time.time(), seconds=seconds)
        self.says.say(f"approved by {by}: {path}")
        return 0

    def deploy(self, approved: str, asks: Callable[[str], bool] | None, by: str) -> int:
        """Makes a plan and carries it out. approved: how, "" where nobody has; asks: a person at the terminal."""
        with self.store.locked() as lock:
            with _nothing_changed():
                key = self.store.key(create=True)
            assert key is not None
            self._refuse_unfinished(key)
            driver = self._driver(lock)
            plan = self._plan(driver)
            self._show(plan)
            how = {"by": approved} if approved else self._approved(plan, key)
            if not how and asks is not None and asks(plan.revision):
                how = {"by": f"at the terminal, {by}"}
            if not how and plan.changes_something:
                self.says.say(f"waits for approval of plan {plan.digest}: give --approve, or --auto-approve")
                return deployer.WAITS
            journal = self.store.new(key)
            with _nothing_changed():
                journal.add("planned", **noted(plan))
                journal.add("approved", **how)
            return self._carry_out(plan, journal, driver, lock)

    def resume(self) -> int:
        """Goes on with the newest deployment."""
        with self._unfinished() as (plan, journal, driver, lock):
            return self._carry_out(plan, journal, driver, lock)

    def undo(self) -> int:
        """Brings the old revision back, also of a deployment that is done."""
        with self._unfinished(done=True) as (plan, journal, driver, lock):
            now = position.position(journal.lines)[1]
            if now.state == position.DONE:
                self._refuse_stale(plan, now, self._world(driver.observe))
            made = self._deployer(plan, journal, driver, lock)
            return self._ended(plan, journal, made.undo("asked for by --undo" if not now.backwards else now.why))

    # -- parts

    @contextmanager
    def _unfinished(self, done: bool = False) -> Iterator[tuple[Plan, Journal, Driver, int]]:
        """The deployment to go on with, under the lock; raises PlanProblem where there is none. done: to undo."""
        with self.store.locked() as lock:
            key = self.store.key()
            journal = (self._newest_change(key) if done else None) or self.store.newest(key)
            if journal is None:
                raise PlanProblem("nothing was deployed from here: there is nothing to go on with")
            plan, now = position.position(journal.lines)
            self.half_way = now.begun >= 0 and now.state not in position.FINISHED
            self._note(plan, journal, {position.DONE: 0, position.UNDONE: deployer.UNDONE}.get(now.state))
            if why := self._over(plan, now, done):
                raise PlanProblem(f"the deployment of {plan.revision} {why}")
            if not any(line["event"] == "approved" for line in journal.lines):
                raise PlanProblem("its plan was not approved: deploy again", deployer.WAITS)
            yield plan, journal, self._driver(lock, plan.revision), lock

    def _newest_change(self, key: bytes | None) -> Journal | None:
        """The newest that came so far that something was changed: what a closed gate stopped is nothing to undo."""
        return next((each for each in self.store.journals(key) if position.position(each.lines)[1].begun >= 0), None)

    def _refuse_stale(self, plan: Plan, now: position.Position, world: World) -> None:
        other = any(world.revisions.get(slot) not in ("", plan.revision) for slot in world.carrying)
        if other or world.shares not in now.shares(plan):
            text = f"it is not as the deployment of {plan.revision} left it, something else happened since"
            raise PlanProblem(f"{text}: {told(world)}")

    def _over(self, plan: Plan, now: position.Position, undo: bool) -> str:
        """Why it can neither go on nor (`undo`) back, "" where it can."""
        if now.state == position.UNDONE:
            return "was undone: there is nothing to go on with"
        if now.state == position.CLOSED or (undo and now.begun < 0):
            return "has changed nothing: there is nothing to go on with"
        if now.state == position.DONE and not undo:
            return "is done: there is nothing to go on with"
        if now.state == position.DONE and position.is_final(plan, now.begun):
            return f"passed the point of no return: to bring {plan.old} back, deploy it"
        if tuple(slot for slot, _ in plan.shares) != self.settings.slots:
            return "was planned for other `slots`"
        if self.wishes.revision not in (None, "", plan.revision):
            return f"is the newest, not that of {self.wishes.revision}"
        changed = plan.configuration != self.configuration.digest(self.environment)
        if changed and not undo and not now.backwards:
            return "was planned with another prodcheck.toml: bring it back with --undo, and deploy again"
        return ""

    def _refuse_unfinished(self, key: bytes) -> None:
        newest = self._newest_change(key)
        if newest is None:
            return
        plan, now = position.position(newest.lines)
        if now.state not in position.FINISHED:
            left = "go on with --resume, or back with --undo"
            raise PlanProblem(f"the deployment of {plan.revision} is not finished: {left}")

    def _approved(self, plan: Plan, key: bytes) -> dict[str, str]:
        """How it was approved, for the journal, {} where it was not."""
        path = self.wishes.approval or self.store.approval
        found = approval.read(path, plan, key, time.time())
        if found is None:
            return {}
        if why := self._used(found, key):
            raise PlanProblem(f"the approval {path} {why}: have the plan approved again")
        return {"by": f"{path.name} of {found.by}", "approval": found.seal}

    def _used(self, found: approval.Approval, key: bytes) -> str:
        """Why it counts as used, "" where nothing was changed by it: no clock is believed where its seal is noted."""
        whole, known, last = True, False, 0  # whole: no journal is missing so far
        for journal in self.store.journals(key):
            approved = next((line for line in journal.lines if line["event"] == "approved"), {})
            if approved.get("approval") == found.seal and any(line["event"] == "begun" for line in journal.lines):
                return "was used already"
            number = int(journal.path.stem)
            whole = whole and last in (0, number + 1)
            known = known or (whole and float(journal.lines[-1]["at"]) < found.made_at)
            last = number
        return "" if known or (whole and last <= 1) else "is older than the journals that are left"

    def _carry_out(self, plan: Plan, journal: Journal, driver: Driver, lock: int) -> int:
        return self._ended(plan, journal, self._deployer(plan, journal, driver, lock).go())

    def _ended(self, plan: Plan, journal: Journal, code: int) -> int:
        ends = {
            0: f"{plan.revision} is deployed" if plan.changes_something else f"{plan.revision} was there already",
            20: f"undone: {plan.old} carries all traffic again, and its gate is open",
            21: "a person is needed: `prodcheck deploy --status` shows where it stands",
        }
        half = f"this call changed nothing; the deployment of {plan.revision} is not finished"
        now = position.position(journal.lines)[1]
        self.says.say(ends.get(code, half if now.begun >= 0 else "nothing was changed"))
        self._note(plan, journal, code)
        if now.state in position.FINISHED and (why := self.store.tidy(self.store.key() or b"")):
            self.says.say(f"note: {why}")
        return code

    def _note(self, plan: Plan, journal: Journal, code: int | None) -> None:
        """Writes what became of it into the event log; a second time changes nothing, so a killed call is made up."""
        from pytest_prodcheck.deploy.noting import note

        at = float(journal.lines[-1]["at"])
        if why := note(self.configuration, self.store.state, plan, code, journal.path.stem, at):
            self.says.say(f"NOT RECORDED: {why}")

    def _deployer(self, plan: Plan, journal: Journal, driver: Driver, lock: int) -> Deployer:
        self.carried_out = journal
        return Deployer(
            plan, journal, driver, self._gates(plan, Runner(self.configuration.root, lock)), self._compares(plan),
            self.says, hold=self.settings.cannot_tell == "hold", ready=self.settings.ready, every=self.settings.every,
            pause=self._pause,
        )  # fmt: skip

    def _gates(self, plan: Plan, runner: Runner) -> Gates:
        return RunGates(plan, runner)

    def _compares(self, plan: Plan) -> Compares:
        if self.settings.analysis.metrics is not None:
            return self._metrics(plan)
        return Canary(self.configuration, plan.environment, plan.unit, plan.looks, self.says.passing)

    def _metrics(self, plan: Plan) -> Metrics:
        from pytest_prodcheck.deploy.metrics import Metrics
        from pytest_prodcheck.environments.redaction import Redactor
        from pytest_prodcheck.environments.secrets import SecretResolver
        from pytest_prodcheck.evidence.context import Context

        root, passed = self.configuration.root, self.configuration.project.pass_environment

        def opened() -> Context:
            secrets = SecretResolver(root, passed)
            return Context(
                self.environment, root, secrets=secrets, redactor=Redactor(), run_id="deploy", passed=passed
            )

        return Metrics(plan, self.settings.analysis, opened, self.says.passing)

    def _pause(self, seconds: float, left: float) -> None:
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0:
            time.sleep(min(rest, _TICK))
            left -= _TICK
            self.says.passing(f"{max(left, 0):.0f} s to go" if left > 0 else "")

    def _driver(self, lock: int, revision: str = "") -> Driver:
        site = Site(
            self.settings, self.configuration.root, self.wishes.unit, self.configuration.project.pass_environment,
            Runner(self.configuration.root, lock), self.environment, self.cluster,
        )  # fmt: skip
        driver = driver_of(site)
        if self.settings.migrations is None:
            return driver
        return Migrating(driver, site, self.settings.migrations, revision or self._named())

    def _named(self) -> str:
        """The revision that is asked for; raises PlanProblem (2)."""
        from pytest_prodcheck.gates.revisions import revision_of_run

        try:
            return revision_of_run(self.wishes.revision) or ""
        except ValueError as error:
            raise PlanProblem(str(error), 2) from None

    def _world(self, observe: Callable[[], World]) -> World:
        try:
            return observe()
        except DriverProblem as error:
            raise PlanProblem(f"what is there cannot be observed: {error}", CANNOT_TELL) from None

    def _plan(self, driver: Driver) -> Plan:
        revision = self._named()
        if not revision:
            raise PlanProblem("say which revision to deploy, with --revision or PRODCHECK_REVISION", 2)
        if not is_word(revision):
            raise PlanProblem(
                f"the revision {revision!r} cannot be given to programs: expected letters, digits and ._/:@+=~^-", 2
            )
        world = self._world(lambda: observe_with_migrations(driver))
        made = make_plan(
            self.settings, world, environment=self.wishes.environment, unit=self.wishes.unit,
            revision=revision, configuration=self.configuration.digest(self.environment), allow=self.wishes.allow,
        )  # fmt: skip
        if self.settings.migrations is not None and made.changes_something:
            from pytest_prodcheck.deploy.migration_sql import refuse_what_takes_away

            refuse_what_takes_away(
                self.settings.migrations, of_phase(world.pending, EXPAND), self.configuration.root
            )
        return made

    def _show(self, plan: Plan) -> None:
        from pytest_prodcheck.deploy.power import stated

        told: tuple[str, ...] = ()
        if plan.looks and self.settings.analysis.metrics is not None:
            told = self._metrics(plan).stated()
        elif plan.looks:
            told = stated(self.settings.analysis, plan.looks)
        self._planned = plan, told
        self.says.say("\n".join(showing.lines_of(plan, told)))


@contextmanager
def _nothing_changed() -> Iterator[None]:
    """Around what is written before anything is changed: a full disk or a read-only folder cannot tell."""
    try:
        yield
    except OSError as error:
        name = error.filename or "the state folder"
        raise PlanProblem(f"{name}: {error.strerror or error}; nothing was changed", CANNOT_TELL) from None
