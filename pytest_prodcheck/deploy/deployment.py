"""One call of `prodcheck deploy`: reads the settings and the state, takes the lock, and runs the plan."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_prodcheck.deploy import approval, deployer, deployment_state, presentation
from pytest_prodcheck.deploy.canary_requests import RequestComparison
from pytest_prodcheck.deploy.deployer import CanaryComparison, Deployer, plan_entry
from pytest_prodcheck.deploy.driver_table import create_driver
from pytest_prodcheck.deploy.drivers import DriverContext, DriverProblem, observe_with_migrations
from pytest_prodcheck.deploy.evidence_context import evidence_context
from pytest_prodcheck.deploy.gate_client import GateClient, SubprocessGateClient, UnchangedGateClient
from pytest_prodcheck.deploy.journal import Journal, Store
from pytest_prodcheck.deploy.migrations import MigratingDriver, of_phase
from pytest_prodcheck.deploy.plan import EXPAND, ObservedState, Plan, PlanProblem, is_safe_revision
from pytest_prodcheck.deploy.programs import ProgramRunner
from pytest_prodcheck.deploy.strategies import describe_state, make_plan

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.canary_metrics import MetricsComparison
    from pytest_prodcheck.deploy.cluster_client import ClusterClient
    from pytest_prodcheck.deploy.drivers import Driver
    from pytest_prodcheck.environments.loading import Configuration
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.deploy import Deploy

REFUSED, CANNOT_TELL = 4, 3
_UPDATE_INTERVAL = 1.0  # seconds between two lines about a pause


@dataclass(frozen=True)
class DeployOptions:
    """Options of the command line. strategy, monitor: override the settings."""

    environment: str
    unit: str = ""
    revision: str | None = None
    strategy: str | None = None
    monitor: float | None = None
    allow: tuple[str, ...] = ()
    approval: Path | None = None


class DeploymentReporter(deployer.StepReporter, Protocol):
    """Shows the progress and messages."""

    def message(self, text: str) -> None:
        """One line or several."""

    def update(self, text: str) -> None:
        """The progress within a step."""


class Deployment:
    """What is declared, for one environment and unit; raises ConfigurationError, PlanProblem."""

    def __init__(self, options: DeployOptions, start: Path, reporter: DeploymentReporter) -> None:
        from pytest_prodcheck.environments.loading import find_configuration, load
        from pytest_prodcheck.trusted_files import refuse_foreign

        path = find_configuration(start)
        if path is None:
            raise PlanProblem(f"there is no prodcheck.toml in {start} or above it", 2)
        try:
            refuse_foreign(str(path), "the configuration")
            self.store = Store(str(start), options.environment, options.unit)
            refuse_foreign(str(self.store.state_folder), "the folder")
        except ValueError as error:
            raise PlanProblem(str(error), 2) from None
        self._path, self.configuration = path, load(path)
        self.options, self.reporter = options, reporter
        self.environment = self.configuration.environment(options.environment, unit=options.unit)
        if self.environment.deploy is None:
            raise PlanProblem(f"environment {options.environment} has no section `deploy`", 2)
        self.settings = self._settings(self.environment.deploy)
        self.cluster: ClusterClient | None = None
        if self.settings.driver == "kubernetes":
            self.cluster, self.store = self._connect_cluster(str(start))
        if self.settings.driver == "haproxy" and self.settings.haproxy is not None:
            lock = self.settings.haproxy.lock(self.configuration.root)
            self.store = Store(str(start), options.environment, options.unit, lock)
        self.active_journal: Journal | None = None
        self._viewed_journal: Journal | None = None
        self._shown_plan: tuple[Plan, tuple[str, ...]] | None = None
        self.left_unfinished = False
        self._refuse_unusable_gates()

    def _connect_cluster(self, start: str) -> tuple[ClusterClient, Store]:
        """The cluster, which also has the journal and the lock."""
        from pytest_prodcheck.deploy.cluster_client import ClusterClient
        from pytest_prodcheck.deploy.cluster_journal import ClusterStore
        from pytest_prodcheck.environments.sections.deploy import deployment_of

        passed_environment = self.configuration.project.pass_environment
        cluster = ClusterClient(self.environment, self.configuration.root, passed_environment)
        assert self.settings.kubernetes is not None
        keep = self.settings.kubernetes.keep
        copies = [deployment_of(self.environment, slot) for slot in self.settings.slots]
        return cluster, ClusterStore(start, self.options.environment, self.options.unit, cluster, keep, copies)

    def _settings(self, declared: Deploy) -> Deploy:
        from pydantic import ValidationError

        change = {"strategy": self.options.strategy, "monitor": self.options.monitor}
        overrides = {name: value for name, value in change.items() if value is not None}
        if not overrides:
            return declared
        try:
            return type(declared).model_validate(
                {**declared.model_dump(by_alias=True, exclude_unset=True), **overrides}
            )
        except ValidationError as error:
            problem = "; ".join(str(each["msg"]).removeprefix("Value error, ") for each in error.errors())
            raise PlanProblem(f"--strategy or --monitor does not fit the section `deploy`: {problem}", 2) from None

    def _refuse_unusable_gates(self) -> None:
        """Before anything is touched: with traffic on the new revision, such a gate could not even prove a rollback."""
        from pytest_prodcheck.environments.project_rules import SUITES

        declared, environment = self.configuration.project.gates, self.options.environment
        gate_names = (*SUITES, *declared)
        for key in ("before", "slot", "after"):
            name = getattr(self.settings, key)
            if name not in gate_names:
                raise PlanProblem(
                    f"`deploy` names the gate {name!r}, which does not exist; the gates are {', '.join(gate_names)}", 2
                )
            gate = declared.get(name)
            if gate is not None and gate.environments and environment not in gate.environments:
                raise PlanProblem(f"`deploy.{key}`: gate {name} is for {', '.join(gate.environments)} only", 2)
            if gate is not None and gate.slot == "required" and key != "slot":
                raise PlanProblem(f'`deploy.{key}`: gate {name} judges one slot (slot = "required")', 2)

    @property
    def has_changed(self) -> bool:
        """Whether this call changed something, or may have."""
        return self.active_journal is not None and any(line["event"] == "begun" for line in self.active_journal.lines)

    def document(self) -> dict[str, Any]:
        """What this call planned, carried out or looked at, for programs."""
        journal = self.active_journal or self._viewed_journal
        comparison_lines: tuple[str, ...] = ()
        if journal is None or not journal.lines:
            plan, comparison_lines = self._shown_plan or (None, ())
            return presentation.status_document(plan, None, comparison_lines)
        plan, state = deployment_state.replay(journal.lines)
        return presentation.status_document(plan, state, self._shown_plan[1] if self._shown_plan else ())

    # -- what the command line asks for

    def status(self) -> int:
        """Shows the state of the newest deployment; returns its exit code, 23 while a deployment is in progress."""
        journal = self.store.newest(self.store.key())
        if journal is None or not journal.lines:
            self.reporter.message(f"{self.options.environment}: no deployment is recorded here")
            return 0
        self._viewed_journal = journal
        plan, state = deployment_state.replay(journal.lines)
        running = self.store.busy
        self.reporter.message("\n".join(presentation.status_lines(plan, state, running=running)))
        if running:
            return deployer.BUSY
        codes = {
            deployment_state.DONE: 0,
            deployment_state.GATE_CLOSED: 0,
            deployment_state.ROLLED_BACK: 20,
            deployment_state.PLANNED: 22,
        }
        return codes.get(state.status, deployer.NEEDS_PERSON if state.last_begun >= 0 else 0)

    def dry_run(self) -> int:
        """Shows the plan; 0, or 4 where what is there is not what the strategy starts from."""
        plan = self._make_plan(self._driver(-1))
        self._show_plan(plan)
        return 0

    def approve(self, by: str, seconds: float) -> int:
        """Seals an approval of the plan as it would be now."""
        plan = self._make_plan(self._driver(-1))
        self._show_plan(plan)
        path = self.options.approval or self.store.approval
        with _before_any_change():
            key = self.store.key(create=True)
            assert key is not None
            approval.write(path, plan, key, by=by, now=time.time(), seconds=seconds)
        self.reporter.message(f"approved by {by}: {path}")
        return 0

    def deploy(self, approved: str, ask_person: Callable[[str], bool] | None, by: str) -> int:
        """Makes a plan and carries it out. approved: how, "" where nobody has; ask_person: at the terminal."""
        with self.store.locked() as lock:
            with _before_any_change():
                key = self.store.key(create=True)
            assert key is not None
            self._refuse_unfinished(key)
            driver = self._driver(lock)
            plan = self._make_plan(driver)
            self._show_plan(plan)
            how = {"by": approved} if approved else self._approved(plan, key)
            if not how and ask_person is not None and ask_person(plan.revision):
                how = {"by": f"at the terminal, {by}"}
            if not how and plan.changes_something:
                self.reporter.message(
                    f"waiting for approval of plan {plan.digest}: run with --approve, or deploy with --auto-approve"
                )
                return deployer.WAITING_FOR_APPROVAL
            journal = self.store.new(key)
            with _before_any_change():
                journal.add("planned", **plan_entry(plan))
                journal.add("approved", **how)
            return self._run_plan(plan, journal, driver, lock)

    def resume(self) -> int:
        """Continues the newest deployment."""
        with self._unfinished() as (plan, journal, driver, lock):
            return self._run_plan(plan, journal, driver, lock)

    def undo(self) -> int:
        """Rolls back, also after a completed deployment."""
        with self._unfinished(done=True) as (plan, journal, driver, lock):
            state = deployment_state.replay(journal.lines)[1]
            if state.status == deployment_state.DONE:
                self._refuse_changed_since(plan, state, self._observe(driver.observe))
            made = self._deployer(plan, journal, driver, lock)
            return self._report_end(
                plan, journal, made.undo("requested with --undo" if not state.rolling_back else state.reason)
            )

    # -- parts

    @contextmanager
    def _unfinished(self, done: bool = False) -> Iterator[tuple[Plan, Journal, Driver, int]]:
        """The deployment to go on with, under the lock; raises PlanProblem where there is none. done: to undo."""
        with self.store.locked() as lock:
            key = self.store.key()
            journal = (self._newest_changing_journal(key) if done else None) or self.store.newest(key)
            if journal is None:
                raise PlanProblem("no deployment is recorded here: there is nothing to resume or undo")
            plan, state = deployment_state.replay(journal.lines)
            self.left_unfinished = state.last_begun >= 0 and state.status not in deployment_state.FINISHED
            self._record_event(
                plan,
                journal,
                {deployment_state.DONE: 0, deployment_state.ROLLED_BACK: deployer.ROLLED_BACK}.get(state.status),
            )
            if reason := self._not_resumable_reason(plan, state, done):
                raise PlanProblem(f"the deployment of {plan.revision} {reason}")
            approved = next((line for line in journal.lines if line["event"] == "approved"), None)
            expired = approved is not None and state.last_begun < 0 and time.time() >= approved.get("until", math.inf)
            if approved is None or expired:
                why = "is not approved any more" if expired else "was not approved"
                raise PlanProblem(f"its plan {why}: start a new deployment", deployer.WAITING_FOR_APPROVAL)
            yield plan, journal, self._driver(lock, plan.revision), lock

    def _newest_changing_journal(self, key: bytes | None) -> Journal | None:
        """The newest that came so far that something was changed: what a closed gate stopped is nothing to undo."""
        return next(
            (each for each in self.store.journals(key) if deployment_state.replay(each.lines)[1].last_begun >= 0), None
        )

    def _refuse_changed_since(
        self, plan: Plan, state: deployment_state.DeploymentState, observed: ObservedState
    ) -> None:
        other = any(observed.revisions.get(slot) not in ("", plan.revision) for slot in observed.slots_with_traffic)
        if other or observed.shares not in state.possible_shares(plan):
            text = f"the traffic or the copies have changed since the deployment of {plan.revision}"
            raise PlanProblem(f"{text}: {describe_state(observed)}")

    def _not_resumable_reason(self, plan: Plan, state: deployment_state.DeploymentState, undo: bool) -> str:
        """Why it can neither go on nor (`undo`) back, "" where it can."""
        if state.status == deployment_state.ROLLED_BACK:
            return "was rolled back: there is nothing to resume or undo"
        if state.status == deployment_state.GATE_CLOSED or (undo and state.last_begun < 0):
            return "changed nothing: there is nothing to resume or undo"
        if state.status == deployment_state.DONE and not undo:
            return "is complete: there is nothing to resume"
        if state.status == deployment_state.DONE and deployment_state.past_point_of_no_return(plan, state.last_begun):
            return f"is past the point of no return: to return to {plan.old}, deploy it"
        if tuple(slot for slot, _ in plan.shares) != self.settings.slots:
            return "was planned with other `slots`"
        if self.options.revision not in (None, "", plan.revision):
            return f"is the newest one; you named {self.options.revision}"
        changed = plan.configuration != _digest(self.configuration, self.environment)
        if changed and not undo and not state.rolling_back:
            return "was planned with another prodcheck.toml: roll back with --undo, then deploy again"
        return ""

    def _refuse_unfinished(self, key: bytes) -> None:
        newest = self._newest_changing_journal(key)
        if newest is None:
            return
        plan, state = deployment_state.replay(newest.lines)
        if state.status not in deployment_state.FINISHED:
            advice = "continue with --resume, or roll back with --undo"
            raise PlanProblem(f"the deployment of {plan.revision} is not finished: {advice}")

    def _approved(self, plan: Plan, key: bytes) -> dict[str, Any]:
        """How it was approved, for the journal, {} where it was not."""
        path = self.options.approval or self.store.approval
        found = approval.read(path, plan, key, time.time())
        if found is None:
            return {}
        if reason := self._already_used_reason(found, key):
            raise PlanProblem(f"the approval {path} {reason}: approve the plan again")
        return {"by": f"{path.name} of {found.by}", "approval": found.seal, "until": found.expires_at}

    def _already_used_reason(self, found: approval.Approval, key: bytes) -> str:
        """Why it counts as used, "" where nothing was changed by it: no clock is believed where its seal is noted."""
        no_gap, made_before, last = True, False, 0  # no_gap: no journal is missing so far
        for journal in self.store.journals(key):
            approved = next((line for line in journal.lines if line["event"] == "approved"), {})
            if approved.get("approval") == found.seal and any(line["event"] == "begun" for line in journal.lines):
                return "was already used"
            number = int(journal.path.stem)
            no_gap = no_gap and last in (0, number + 1)
            made_before = made_before or (no_gap and float(journal.lines[-1]["at"]) < found.made_at)
            last = number
        return "" if made_before or (no_gap and last <= 1) else "is older than the oldest journal that is kept"

    def _run_plan(self, plan: Plan, journal: Journal, driver: Driver, lock: int) -> int:
        return self._report_end(plan, journal, self._deployer(plan, journal, driver, lock).run())

    def _report_end(self, plan: Plan, journal: Journal, code: int) -> int:
        messages = {
            0: f"{plan.revision} is deployed" if plan.changes_something else f"{plan.revision} was already deployed",
            20: f"rolled back: {plan.old} has all traffic, and its gate is open",
            21: "a person must act: `prodcheck deploy --status` shows the progress",
        }
        not_finished = f"this call changed nothing; the deployment of {plan.revision} is unfinished"
        state = deployment_state.replay(journal.lines)[1]
        self.reporter.message(messages.get(code, not_finished if state.last_begun >= 0 else "nothing was changed"))
        self._record_event(plan, journal, code)
        if state.status in deployment_state.FINISHED and (reason := self.store.prune(self.store.key() or b"")):
            self.reporter.message(f"note: {reason}")
        return code

    def _record_event(self, plan: Plan, journal: Journal, code: int | None) -> None:
        """Writes what became of it into the event log; a second time changes nothing, so a killed call is made up."""
        from pytest_prodcheck.deploy.deployment_events import record_event

        recorded_at = float(journal.lines[-1]["at"])
        if reason := record_event(
            self.configuration, self.store.state_folder, plan, code, journal.path.stem, recorded_at
        ):
            self.reporter.message(f"the event log was not updated: {reason}")

    def _deployer(self, plan: Plan, journal: Journal, driver: Driver, lock: int) -> Deployer:
        self.active_journal = journal
        settings, gates = self.settings, UnchangedGateClient(
            self._gates(plan, self._runner(lock)), plan, self._digest_now
        )
        return Deployer(
            plan, journal, driver, gates, self._comparison(plan), self.reporter,
            hold=settings.cannot_tell == "hold", ready=settings.ready, every=settings.every, pause=self._pause,
        )  # fmt: skip

    def _digest_now(self) -> str:
        """Of prodcheck.toml as it is now, which gates read."""
        from pytest_prodcheck.environments.loading import load

        configuration = load(self._path)
        return _digest(configuration, configuration.environment(self.options.environment, unit=self.options.unit))

    def _gates(self, plan: Plan, runner: ProgramRunner) -> GateClient:
        return SubprocessGateClient(plan, runner)

    def _comparison(self, plan: Plan) -> CanaryComparison:
        if self.settings.analysis.metrics is not None:
            return self._metrics(plan)
        return self._requests(plan)

    def _requests(self, plan: Plan) -> RequestComparison:
        return RequestComparison(
            self.configuration, plan.environment, plan.unit, plan.comparison_count, self.reporter.update
        )

    def _metrics(self, plan: Plan) -> MetricsComparison:
        from pytest_prodcheck.deploy.canary_metrics import MetricsComparison

        root, passed_environment = self.configuration.root, self.configuration.project.pass_environment
        open_context = partial(evidence_context, self.environment, root, passed_environment)
        return MetricsComparison(plan, self.settings.analysis, open_context, self.reporter.update)

    def _pause(self, seconds: float, remaining: float) -> None:
        end = time.monotonic() + seconds
        while (wait := end - time.monotonic()) > 0:
            time.sleep(min(wait, _UPDATE_INTERVAL))
            remaining -= _UPDATE_INTERVAL
            self.reporter.update(f"{max(remaining, 0):.0f} s to go" if remaining > 0 else "")

    def _driver(self, lock: int, revision: str = "") -> Driver:
        revision = revision or self._requested_revision()
        context = DriverContext(
            self.settings, self.configuration.root, self.options.unit, self.configuration.project.pass_environment,
            self._runner(lock), self.environment, self.cluster, revision,
        )  # fmt: skip
        driver = create_driver(context)
        if self.settings.migrations is None:
            return driver
        return MigratingDriver(driver, context, self.settings.migrations, revision)

    def _runner(self, lock: int) -> ProgramRunner:
        is_replaced = self.cluster.is_replaced if self.cluster is not None else lambda: False
        return ProgramRunner(self.configuration.root, lock, is_replaced)

    def _requested_revision(self) -> str:
        """The revision that is asked for; raises PlanProblem (2)."""
        from pytest_prodcheck.gates.revisions import revision_of_run

        try:
            return revision_of_run(self.options.revision) or ""
        except ValueError as error:
            raise PlanProblem(str(error), 2) from None

    def _observe(self, observe: Callable[[], ObservedState]) -> ObservedState:
        try:
            return observe()
        except DriverProblem as error:
            raise PlanProblem(f"the current state cannot be observed: {error}", CANNOT_TELL) from None

    def _make_plan(self, driver: Driver) -> Plan:
        revision = self._requested_revision()
        if not revision:
            raise PlanProblem("no revision is given: set --revision or PRODCHECK_REVISION", 2)
        if not is_safe_revision(revision):
            raise PlanProblem(
                f"the revision {revision!r} cannot be passed to programs: expected letters, digits and ._/:@+=~^-", 2
            )
        observed = self._observe(lambda: observe_with_migrations(driver))
        made = make_plan(
            self.settings, observed, environment=self.options.environment, unit=self.options.unit,
            revision=revision, configuration=_digest(self.configuration, self.environment), allow=self.options.allow,
        )  # fmt: skip
        if self.settings.migrations is not None and made.changes_something:
            from pytest_prodcheck.deploy.migration_sql import refuse_destructive_migrations

            refuse_destructive_migrations(
                self.settings.migrations, of_phase(observed.pending, EXPAND), self.configuration.root
            )
        return made

    def _show_plan(self, plan: Plan) -> None:
        from pytest_prodcheck.deploy.statistical_power import power_lines

        comparison_lines: tuple[str, ...] = ()
        if plan.comparison_count and self.settings.analysis.metrics is not None:
            comparison_lines = self._metrics(plan).power_lines()
        elif plan.comparison_count:
            comparison_lines = power_lines(self.settings.analysis, plan.comparison_count, self._endpoint_count(plan))
        self._shown_plan = plan, comparison_lines
        self.reporter.message("\n".join(presentation.plan_lines(plan, comparison_lines)))
        if plan.comparison_count and self.settings.analysis.metrics is not None:
            self._refuse_unknown_errors(plan)

    def _refuse_unknown_errors(self, plan: Plan) -> None:
        """Before anything is touched; what else cannot be asked now is for the comparison itself."""
        from pytest_prodcheck.records import EvidenceProblem

        try:
            self._metrics(plan).refuse_unknown_errors()
        except EvidenceProblem as error:
            if error.problem.kind == "empty":
                raise PlanProblem(str(error.problem), CANNOT_TELL) from None

    def _endpoint_count(self, plan: Plan) -> int:
        from pytest_prodcheck.records import EvidenceProblem

        try:
            return len(self._requests(plan).endpoints(self.settings.slots))
        except EvidenceProblem as error:
            raise PlanProblem(f"no canary analysis is possible: {error.problem.message}", 2) from None


def _digest(configuration: Configuration, environment: Environment) -> str:
    """SHA-256 hex of what a plan rests on: the environment, the gates and their waivers."""
    policies = configuration.project.model_dump(
        mode="json", by_alias=True, include={"gates", "gate_defaults", "waivers"}
    )
    text = json.dumps([configuration.digest(environment), policies], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _before_any_change() -> Iterator[None]:
    """Around what is written before anything is changed: a full disk or a read-only folder cannot tell."""
    try:
        yield
    except OSError as error:
        name = error.filename or "the state folder"
        raise PlanProblem(f"{name}: {error.strerror or error}; nothing was changed", CANNOT_TELL) from None
