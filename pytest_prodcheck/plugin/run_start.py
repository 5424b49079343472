"""Opens a run: configuration, environment, gates, what to collect; withdraws the verdicts it is about."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from pytest_prodcheck import __version__, catalogue, resource_exhaustion
from pytest_prodcheck.judging.checks import SUITES
from pytest_prodcheck.outcomes import RunRecord, new_run_id
from pytest_prodcheck.own_checks import OwnCheck, OwnCheckError, scan
from pytest_prodcheck.plugin.binding import Binding
from pytest_prodcheck.plugin.run_scope import gates_of_run, policies_of, suites_asked_for, to_collect, waivers_of
from pytest_prodcheck.scope import (
    Scope,
    ScopeError,
    declared_elsewhere,
    limits_off,
    make_scope,
    read_configuration,
    refuse_unknown,
    refuse_unknown_opt_ins,
)

if TYPE_CHECKING:
    from pytest_prodcheck.demo import Demo
    from pytest_prodcheck.environments.loading import Configuration
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.gates.policy import Policy
    from pytest_prodcheck.gates.run_gates import RunGates
    from pytest_prodcheck.gates.verdict import Verdict
    from pytest_prodcheck.gates.waivers import Waiver

STATE = ".prodcheck"
CANNOT_TELL = 13  # the exit code of pytest


@dataclass
class RunContext:
    """What is known of a run before anything is collected."""

    options: argparse.Namespace
    configuration: Configuration
    environment: Environment
    root: Path  # holds `.prodcheck`
    revision: str
    scope: Scope
    own_checks: list[OwnCheck]
    folders: list[Path]
    policies: list[Policy]
    waivers: list[Waiver]
    run_gates: RunGates | None
    bound: Binding
    demo: Demo | None = None
    started_at: float = field(default_factory=time.time)

    @property
    def state(self) -> Path:
        """The folder of runs, verdicts and the key."""
        return self.root / STATE

    @property
    def key_of_lines(self) -> bytes:
        """What seals that this run keeps for later ones, b"" without a key that can be used."""
        from pytest_prodcheck.gates.run_gates import run_key
        from pytest_prodcheck.gates.seal import KeyProblem
        from pytest_prodcheck.sealed_lines import key_of_lines

        try:
            return key_of_lines(self.run_gates.key if self.run_gates is not None else run_key(self.state, self.root))
        except (KeyProblem, OSError):
            return b""

    @property
    def window(self) -> float | None:
        """Seconds that metrics are judged over, None where no gate says so."""
        return next((policy.window for policy in self.policies if policy.window is not None), None)

    def blank_record(self) -> RunRecord:
        """The run's record without what the run finds."""
        from pytest_prodcheck.environments.targets import undeclared_kinds

        kinds: dict[str, list[str]] = {}
        for target in self.scope.targets:
            if target.kind != "environment":
                kinds.setdefault(target.kind, []).append(target.name)
        return RunRecord(
            id=self.scope.run,
            environment=self.environment.name,
            project=self.configuration.project.project,
            protected=self.environment.protected,
            unit=self.options.unit,
            slot=self.options.slot,
            revision=self.revision,
            vantage=self.options.vantage,
            started_at=self.started_at,
            version=__version__,
            targets={kind: tuple(names) for kind, names in kinds.items()},
            places=self.configuration.places(self.environment, self.scope.targets),
            undeclared=undeclared_kinds(self.environment),
            limits_off=limits_off(self.scope),
            unverified=unverified_hosts(self.environment),
            digests={
                "environment": self.configuration.digest(self.environment),
                "catalogue": catalogue.digest(),
            },
            configuration={} if self.demo else dict(self.bound.files),
            replay_of=Path(self.options.evidence_from).name if self.options.evidence_from else "",
            opted_in=(
                *(f"write:{name}" for name in self.options.allow_write),
                *(f"check:{name}" for name in self.options.allow_check),
                *(f"load:{name}" for name in self.options.allow_load),
            ),
        )

    def known(self) -> set[str]:
        """Every check id that exists in this scope."""
        bundled = {planned.check for planned in catalogue.planned(self.scope)}
        return bundled | {entry.id for entry in catalogue.entries()} | {own.id for own in self.own_checks}

    def ids_of(self, own: OwnCheck) -> list[str]:
        """The ids that one check may have: one a target where it ends in `.*`."""
        stem = own.id.removesuffix(".*")
        return [own.id] if stem == own.id else [own.id, stem, *(f"{stem}.{each.name}" for each in self.scope.targets)]

    def unforeseen(self, places: Mapping[str, str]) -> list[str]:
        """Complaints about checks (id -> file) of our folders that `own_checks` does not know."""
        foreseen = {own.id for own in self.own_checks} | {entry.id for entry in catalogue.entries()}
        return [
            f'{file}: write @check("{check}", …) directly above the function, so that a missing check is noticed'
            for check, file in sorted(places.items())
            if check not in foreseen and any(Path(file).is_relative_to(folder) for folder in self.folders)
        ]

    def select(self) -> None:
        """Narrows the scope to the checks that the gates select, and what is collected to their suites."""
        suites = {each: own.suite for own in self.own_checks for each in self.ids_of(own)}
        chosen = [
            check
            for check in sorted(self.known() | set(suites))
            if any(policy.selects(check, suites.get(check, "")) for policy in self.policies)
        ]
        of_bundled = {check.partition(".")[0] for check in chosen if check not in suites}
        needed = [suite for suite in SUITES if suite in of_bundled]
        folders = to_collect(self.folders, needed) if needed or not chosen else tuple(map(str, self.folders[1:]))
        plain = (suite for suite in SUITES if any(policy.selects(f"{suite}.-", suite) for policy in self.policies))
        self.scope = replace(self.scope, select=tuple(chosen), plain_suites=tuple(plain), folders=folders)

    def settle(self, run: RunRecord, now: float) -> list[Verdict]:
        """The verdicts of this run; writes nothing."""
        from pytest_prodcheck.gates.run_gates import RunGates

        policies = (
            [replace(policy, strict=True) for policy in self.policies] if self.options.strict_gate else self.policies
        )
        run_gates = self.run_gates or RunGates(self.state, b"")
        return run_gates.settle(run, policies, now, self.waivers)

    def publish(self, verdicts: list[Verdict]) -> list[str]:
        """Seals and writes the verdicts; returns what went wrong."""
        return self.run_gates.publish(verdicts) if self.run_gates is not None else []

    def take_back(self) -> None:
        """Closes the gates that this run has opened."""
        if self.run_gates is not None:
            self.run_gates.take_back()

    def close(self) -> None:
        """Ends the demo system where this run started it."""
        if self.demo is not None and self.demo.owned:
            self.demo.stop()


def unverified_hosts(environment: Environment) -> tuple[str, ...]:
    """The hosts whose certificates nobody checks though secrets go there, to be named on every verdict."""
    from pytest_prodcheck.environments.plain_http import on_this_machine, secrets_in_clear
    from pytest_prodcheck.environments.queries import http_services

    found = {service.host for service in http_services(environment).values() if service.tls.verify == "off"}
    found |= {sent.host for sent in secrets_in_clear(environment)}
    if environment.auth is not None and environment.auth.tls.verify == "off":
        found |= {urlsplit(url).hostname or url for url in (environment.auth.issuer, environment.auth.token_url) if url}
    for group in environment.redis.values():
        found |= set(group.nodes) if group.tls is not None and group.tls.verify == "off" else set()
    for each in (environment.prometheus, environment.alerts.alertmanager if environment.alerts else None):
        found |= {urlsplit(each.url).hostname or each.url} if each is not None and each.tls.verify == "off" else set()
    for cluster in environment.postgres.values():
        plain = {node for node in cluster.nodes if not on_this_machine(node)} if cluster.tls.mode == "disable" else ()
        found |= set(cluster.nodes) if cluster.tls.mode in ("prefer", "require") else set(plain)
    return tuple(sorted(found))


def open_run(options: argparse.Namespace, folder: Path, touch_gates: bool) -> RunContext:
    """Reads what a run needs and withdraws its verdicts; raises UsageError with all that is wrong.

    The verdicts go as soon as it is known which: what is found wrong afterwards must not leave an old one standing.
    """
    from pytest_prodcheck.environments.loading import ConfigurationError

    touches = touch_gates and not options.no_gate and not options.evidence_from
    demo: Demo | None = None
    try:
        configuration, root, demo = read_configuration(options.prodcheck_env, folder)
        environment = configuration.environment(options.prodcheck_env, unit=options.unit, slot=options.slot)
        run = options.prodcheck_run or new_run_id()
        revision = _revision(options, environment, touches)
        bound = Binding(configuration.root, configuration.files, configuration.project.checks)
        own_checks, folders, broken = _own_checks(configuration)
        names = gates_of_run(options, own_checks)
        run_gates = _withdraw(options, root, run, names) if touches else None
        if broken is not None:
            raise broken
        if sys.flags.optimize:
            raise ScopeError("Python skips `assert` (PYTHONOPTIMIZE or -O), so checks could not fail: unset it")
        policies = policies_of(options, configuration, names)
        scope = make_scope(
            configuration,
            environment,
            run=run,
            revision=revision,
            unit=options.unit,
            vantage=options.vantage,
            allow_write=set(options.allow_write),
            allow_check=set(options.allow_check),
            allow_load=set(options.allow_load),
            wait=options.wait,
        )
        elsewhere = declared_elsewhere(configuration) if own_checks else ()
        collected = to_collect(folders, suites_asked_for(options))
        scope = replace(scope, folders=collected, elsewhere=elsewhere, root=bound.root)
        waivers = waivers_of(configuration)
        opened = RunContext(
            options, configuration, environment, root, revision, scope, own_checks, folders, policies, waivers,
            run_gates, bound, demo,
        )  # fmt: skip
        refuse_unknown(scope, opened.known())
        refuse_unknown_opt_ins(scope, catalogue.with_opt_in(), [own.id for own in own_checks])
        if options.prodcheck_select:
            opened.select()
    except (ConfigurationError, OwnCheckError, ScopeError) as error:
        if demo is not None and demo.owned:
            demo.stop()
        if resource_exhaustion.shortage_of(error):  # no mistake of whoever wrote the configuration
            sys.stderr.write(f"prodcheck: cannot tell: {error}\n")
            raise SystemExit(CANNOT_TELL) from None
        raise pytest.UsageError(f"prodcheck: {error}") from None
    return opened


def _revision(options: argparse.Namespace, environment: Environment, touches: bool) -> str:
    """What the run is about; a protected environment always asks, before anything is sent or withdrawn."""
    from pytest_prodcheck.gates import revisions

    try:
        revision: str = revisions.revision_of_run(options.revision) or environment.revision or ""
    except ValueError as error:
        raise ScopeError(str(error)) from None
    if touches and environment.protected and not revision:
        asked = "name the revision with --revision REV (or PRODCHECK_REVISION)"
        raise ScopeError(f"environment {options.prodcheck_env} is protected: {asked}")
    return revision


def _own_checks(configuration: Configuration) -> tuple[list[OwnCheck], list[Path], OwnCheckError | None]:
    """The team's own checks, the folders to collect, and what is wrong with the checks' files."""
    folders = [configuration.root / each for each in configuration.project.checks]
    try:
        _refuse_foreign_code(configuration.root, folders)
        own = scan(folders)
        seen: dict[str, str] = {entry.id: "a bundled check" for entry in catalogue.entries()}
        for each in own:
            if each.id in seen:
                raise OwnCheckError(f"check id {each.id} exists twice: {each.file}:{each.line} and {seen[each.id]}")
            seen[each.id] = f"{each.file}:{each.line}"
    except OwnCheckError as error:
        return [], [], error
    return own, [catalogue.suites_folder(), *folders], None


def _refuse_foreign_code(root: Path, folders: list[Path]) -> None:
    """Raises OwnCheckError where code that would run as us belongs to somebody else."""
    from pytest_prodcheck.trusted_files import OwnerProblem, refuse_foreign

    try:
        code = [file for folder in folders for file in folder.rglob("*.py")]
        for each in (root / STATE, root / "conftest.py", *folders, *code):
            refuse_foreign(str(each), "the folder" if each.is_dir() else "the code")
    except OwnerProblem as error:
        raise OwnCheckError(str(error)) from None


def _withdraw(options: argparse.Namespace, root: Path, run: str, gates: list[str]) -> RunGates:
    from pytest_prodcheck.gates.run_gates import RunGates, run_key
    from pytest_prodcheck.gates.seal import KeyProblem
    from pytest_prodcheck.gates.store import Key, StoreError

    try:
        run_gates = RunGates(root / STATE, run_key(root / STATE, root))
        run_gates.open_run(run, [Key(options.prodcheck_env, options.unit, options.slot, gate) for gate in gates])
    except (KeyProblem, StoreError, ValueError) as error:
        raise ScopeError(str(error)) from None
    return run_gates
