"""The evidence side of a run: what is gathered or read again, waiting for readiness, progress, saving."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_prodcheck.evidence.collectors import OWN
from pytest_prodcheck.evidence.gathering.store import (
    EvidenceFilesError,
    EvidenceStore,
    SavedEvidence,
    SharedFolder,
    load,
)
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import Evidence, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.redaction import Redactor
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.gathering.gatherer import Gatherer
    from pytest_prodcheck.evidence.gathering.waiting import Waited
    from pytest_prodcheck.plugin.run_start import RunContext


class Gathering:
    """Gathers once for the whole run. `say` shows a line of progress to a person, where there is one."""

    def __init__(self, opened: RunContext, redactor: Redactor, shared: SharedFolder | None) -> None:
        self.opened = opened
        self.redactor = redactor
        self.shared = shared
        self.store = EvidenceStore(shared, redactor)
        self.saved = self._saved()
        self.waited = 0.0
        self._gatherer: Gatherer | None = None
        self._context_made: Context | None = None
        self._stopped = False

    def _saved(self) -> SavedEvidence | None:
        wanted = self.opened.options.evidence_from
        if not wanted:
            return None
        folder = Path(wanted)
        if not folder.is_dir():
            folder = self.opened.state / "runs" / wanted
        try:
            return load(folder / "evidence" if (folder / "evidence").is_dir() else folder)
        except EvidenceFilesError as error:
            raise pytest.UsageError(f"prodcheck: --evidence-from {wanted}: {error}") from None

    @property
    def source(self) -> EvidenceStore | SavedEvidence:
        """Where checks of this process read from."""
        return self.saved if self.saved is not None else self.store

    def start(self, keys: Sequence[str], say: Callable[[str], None]) -> None:
        """Begins to gather, after waiting for the demo system and for readiness; returns at once otherwise."""
        if self.saved is not None:
            self._share_saved(keys)
            return
        self.store.expect(keys)
        problem = self._demo_problem()
        if problem is not None:
            for key in keys:
                name, _, target = key.partition(":")
                self.store.put(Evidence(key, name, target, time.time(), 0.0, problem=problem))
            return
        from pytest_prodcheck.evidence.gathering.gatherer import Gatherer
        from pytest_prodcheck.evidence.gathering.known_secrets import learn_secrets

        context = self._context_made = self._context()
        learn_secrets(context)
        plan = [(find(key.partition(":")[0]), key.partition(":")[2]) for key in keys]
        if self.opened.options.wait > 0:
            self._wait(plan, context, say)
        self._gatherer = Gatherer(plan, context, self.store)
        self._gatherer.start()

    def _share_saved(self, keys: Sequence[str]) -> None:
        if self.saved is None or self.shared is None:
            return
        there = [key for key in keys if key in self.saved.keys()]  # noqa: SIM118 - a method, not a mapping
        self.store.expect(there)
        for key in there:
            self.store.put(self.saved.get(key))

    def _demo_problem(self) -> Problem | None:
        if self.opened.demo is None:
            return None
        from pytest_prodcheck.demo import DemoError

        try:
            self.opened.demo.wait_ready(60)
        except DemoError as error:
            return Problem("missing-extra", f"the demo system did not start: {error}")
        return None

    def _context(self) -> Context:
        from pytest_prodcheck.environments.secrets import SecretResolver
        from pytest_prodcheck.evidence.context import Context

        opened = self.opened
        return Context(
            opened.environment,
            opened.configuration.root,
            secrets=SecretResolver(opened.configuration.root, opened.configuration.project.pass_environment),
            redactor=self.redactor,
            revision=opened.revision,
            run_id=opened.scope.run,
            state=opened.state,
            vantage=opened.options.vantage,
            window=opened.window,
            passed=opened.configuration.project.pass_environment,
            key=opened.key_of_lines,
        )

    def _wait(self, plan: Sequence[tuple[Any, str]], context: Context, say: Callable[[str], None]) -> None:
        from pytest_prodcheck.evidence.gathering.waiting import wait_until_ready

        def tell(waited: Waited) -> None:
            first = waited.not_ready[0] if waited.not_ready else "the system is ready, gathering all evidence again"
            say(f"waiting for {waited.seconds:.0f} s of {self.opened.options.wait:.0f} s: {first}")

        self.waited = wait_until_ready(plan, context, self.opened.options.wait, tell).seconds

    def progress(self) -> str:
        """How far the gathering is, "" where nothing is under way."""
        if self._gatherer is None:
            return ""
        if told := self.load_progress:
            return told
        done, total, slowest = self._gatherer.progress()
        return "" if done >= total else f"gathering evidence: {done}/{total}, waiting for {slowest}"

    @property
    def took(self) -> dict[str, float]:
        """Key of evidence -> how many seconds it took, of what this run gathered itself."""
        return {self.redactor.redact(each.key): each.seconds for each in self.store.all() if each.seconds > 0}

    @property
    def load_progress(self) -> str:
        """How a load goes, "" where none runs."""
        return self._context_made.told if self._context_made is not None else ""

    @property
    def relied_on(self) -> frozenset[str]:
        """Files of the project that evidence was compared with, or trusted."""
        return self._context_made.relied_on if self._context_made is not None else frozenset()

    def stop(self) -> None:
        """Ends the gathering at once; what was not finished is a problem."""
        if self._gatherer is not None and not self._stopped:
            self._stopped = True
            self._gatherer.stop()

    def save(self, folder: Path) -> None:
        """Saves the evidence with the run; raises OSError."""
        if self.saved is None:
            self.store.save(folder / "evidence", keep_bodies=self.opened.environment.keeps_bodies)

    def close(self) -> None:
        """Removes what only this run needed."""
        self.stop()
        if self._context_made is not None:
            self._context_made.close()
        if self.shared is not None:
            self.shared.remove()


def own_modules() -> list[tuple[str, str, str]]:
    """`(collector, module, file)` of the teams' own collectors that this process knows."""
    found = []
    for name, collector in OWN.items():
        module = collector.gather.__module__
        file = getattr(sys.modules.get(module), "__file__", None)
        if file:
            found.append((name, module, file))
    return found


def import_own(modules: Sequence[tuple[str, str, str]]) -> None:
    """Imports the files of own collectors that only the workers collected, so that this process can gather for them."""
    for name, module, file in modules:
        if name not in OWN:
            _import_as(module, file)


def _import_as(name: str, file: str) -> None:
    """Imports a file under its name in a worker, so that its relative imports find what they found there."""
    inside = list(reversed(name.split(".")))
    path = Path(file)
    parts = [path.stem, *(each.name for each in path.parents)]
    known = parts[: len(inside)] == inside
    sys.path.insert(0, str(path.parents[len(inside) - 1] if known else path.parent))
    try:
        if known:
            importlib.import_module(name)
            return
        spec = importlib.util.spec_from_file_location(f"prodcheck_own_{len(OWN)}", file)
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            sys.modules[module.__name__] = module
            spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
