"""The one door of the plugin to the gates: open a run, settle its verdicts, publish them as the very last act."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, replace
from pathlib import Path

from pytest_prodcheck.gates import admission, overrides, paths, seal
from pytest_prodcheck.gates.boot_clock import since_boot
from pytest_prodcheck.gates.evaluation import evaluate
from pytest_prodcheck.gates.files import make_folder_in, make_private, replace_file
from pytest_prodcheck.gates.needs import Neighbours
from pytest_prodcheck.gates.policy import Need, Policy
from pytest_prodcheck.gates.store import Key, StoreError, Ticket, VerdictStore
from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.gates.verdict_files import VerdictQuery
from pytest_prodcheck.gates.waivers import Waiver
from pytest_prodcheck.outcomes import RunRecord


def run_key(state: Path, root: Path | None) -> bytes:
    """The key that a run seals with; makes the local one where none is configured. Raises `seal.KeyProblem` (usage).

    root: folder of prodcheck.toml, also for the embedded demo, because `prodcheck gate` looks there; None without one.
    """
    configured = root is not None and (root / paths.CONFIGURATION).exists()
    found = seal.find_key(str(state), str(root) if configured else None, create=True)
    if found is None:
        raise seal.KeyProblem(f"no key could be made in {state}")
    return found


class RunGates:
    """All dealings of one run with the gates of one state folder (`.prodcheck`)."""

    def __init__(self, state: Path, key: bytes) -> None:
        self.state, self.key = state, key
        self.store = VerdictStore(state, key)
        self.tickets: dict[Key, Ticket] = {}

    def open_run(self, run: str, keys: Iterable[Key]) -> None:
        """Withdraws the verdicts of these keys and takes a ticket for each; raises StoreError with them closed."""
        wanted = list(dict.fromkeys(keys))
        problems: list[StoreError] = []
        try:
            make_private(self.state)
        except OSError as error:
            raise StoreError(f"{self.state} cannot be written: {error.strerror}") from error
        for key in wanted:
            try:
                self.tickets[key] = self.store.withdraw(key, run)
            except StoreError as error:
                problems.append(error)
        if problems:
            raise StoreError("; ".join(map(str, problems))) from problems[0]
        file = Path(paths.opened_file(str(self.state), run))
        try:
            make_folder_in(self.state, file.parent)
            replace_file(file, json.dumps([astuple(key) for key in wanted]).encode())
        except OSError as error:
            raise StoreError(f"{file} cannot be written: {error}") from error

    def settle(
        self, run: RunRecord, policies: Iterable[Policy], now: float, waivers: Iterable[Waiver] = ()
    ) -> list[Verdict]:
        """The verdict of each policy at `now` (UTC epoch second), to be shown and to be published; writes nothing."""
        waivers = list(waivers)
        return [self._settle(run, policy, now, waivers) for policy in policies]

    def publish(self, verdicts: Iterable[Verdict]) -> list[str]:
        """Seals and writes the verdicts; returns what went wrong in words, nothing where all were published."""
        problems = []
        for verdict in verdicts:
            key = _key(verdict)
            ticket = self.tickets.get(key)
            try:
                if ticket is None:
                    raise StoreError(f"gate {verdict.gate} was not opened by this run: its verdict is not published")
                self.store.publish(verdict, ticket)
            except (StoreError, ValueError) as error:
                problems.append(str(error))
        return problems

    def take_back(self) -> None:
        """Closes what this run has opened: something came too late."""
        for ticket in self.tickets.values():
            with suppress(OSError):
                self.store.take_back(ticket)

    def _settle(self, run: RunRecord, policy: Policy, now: float, waivers: list[Waiver]) -> Verdict:
        ticket = self.tickets.get(Key(run.environment, run.unit, run.slot, policy.name))
        previous = ticket.previous if ticket else None
        neighbours = self._neighbours(run, policy, now)
        verdict = evaluate(run, policy, now, waivers=waivers, neighbours=neighbours, previous=previous)
        ask = VerdictQuery(policy.name, run.environment, unit=run.unit, slot=run.slot, revision=run.revision)
        active = overrides.active(str(self.state), self.key, ask, now, self._root())
        shown = tuple(overrides.override_line(each) for each in active)
        since = verdict.open_since
        if ticket and ticket.unbroken and since is not None and _goes_on(verdict, run, previous):
            assert previous is not None
            since = previous.open_since
        return replace(verdict, overrides=shown, open_since=since, ticket=ticket.number if ticket else 0)

    def _neighbours(self, run: RunRecord, policy: Policy, now: float) -> Neighbours:
        return {(need.environment, need.gate): self._neighbour(need, run, now) for need in policy.needs}

    def _neighbour(self, need: Need, run: RunRecord, now: float) -> Verdict | str:
        """A needed gate's verdict, admitted as `prodcheck gate` would; how old it may be is the need's to say."""
        verdict = self.store.read(Key(need.environment, run.unit, "", need.gate))
        if isinstance(verdict, str):
            return verdict
        ask = VerdictQuery(need.gate, need.environment, unit=run.unit, revision=run.revision)
        document = verdict.to_document()
        reasons = admission.common_reasons(document, ask, now, self._root())
        if reasons:
            return "; ".join(text for _, text in reasons)
        return _by_clock(verdict, admission.now_by_verdict_clock(document, now, since_boot()) - now)

    def _root(self) -> str | None:
        """The folder of prodcheck.toml, None without one."""
        return str(self.state.parent) if (self.state.parent / paths.CONFIGURATION).exists() else None


def _by_clock(verdict: Verdict, back: float) -> Verdict:
    """A verdict with its times as a clock that was set back by so many seconds would have them."""
    if back <= 0:
        return verdict
    times = ("evaluated_at", "expires_at", "oldest_evidence", "open_since")
    moved = {name: at - back for name in times if (at := getattr(verdict, name)) is not None}
    return replace(verdict, **moved)


def _goes_on(verdict: Verdict, run: RunRecord, previous: Verdict | None) -> bool:
    """Whether a gate has been open without a gap: same revision, and the earlier verdict held until this run began."""
    if previous is None or previous.open_since is None or previous.revision != verdict.revision:
        return False
    if dict(previous.configuration) != dict(verdict.configuration) or previous.version != verdict.version:  # closed it
        return False
    return previous.open_since <= verdict.evaluated_at and run.started_at <= previous.expires_at


def _key(verdict: Verdict) -> Key:
    return Key(verdict.environment, verdict.unit, verdict.slot, verdict.gate)
