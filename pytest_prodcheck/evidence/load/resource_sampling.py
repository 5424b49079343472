"""Samples processor, memory and a watched process of this machine in a thread while a load runs."""

from __future__ import annotations

import contextlib
import importlib.util
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.load import LoadResources, ResourceSample

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.load import Load
    from pytest_prodcheck.evidence.context import Context

EVERY = 0.25  # seconds between two looks of a short load
MOST = 2000  # looks that are kept of a long one


@contextlib.contextmanager
def sampling(target: str, load: Load, context: Context) -> Iterator[None]:
    """Watches what a scenario declares while the block runs."""
    if load.resources is None:
        yield
        return
    watch = context.once(
        ("resources", target), lambda: ResourceSampler(load, context.root, max(EVERY, load.duration / MOST))
    )
    thread = threading.Thread(target=watch.run, name="prodcheck-resources", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.done.set()
        thread.join(5)


class ResourceSampler:
    """What is sampled of this machine, and of one process where one is declared."""

    def __init__(self, load: Load, root: Path, every: float) -> None:
        if importlib.util.find_spec("psutil") is None:
            hint = "pip install 'pytest-prodcheck[load]'"
            raise EvidenceProblem(Problem("missing-extra", "measuring this machine needs psutil", hint))
        assert load.resources is not None
        self.declared, self.root, self.every = load.resources, root, every
        self.done = threading.Event()
        self.samples: list[ResourceSample] = []
        self.restarts = 0
        self.problem: Problem | None = None
        self.process: Any = None
        self.descriptors: int | None = None  # how many files and connections the process may open, where it is told

    def run(self) -> None:
        """Looks until the load is over."""
        import psutil

        psutil.cpu_percent()
        while True:
            try:
                self._look(time.time())
            except EvidenceProblem as error:
                self.problem = error.problem
            except psutil.Error as error:
                self.problem = Problem("unreachable", f"the watched process: {error}")
            if self.done.wait(self.every):
                return

    def _look(self, at: float) -> None:
        import psutil

        memory = psutil.virtual_memory()
        cpu = psutil.cpu_percent() / 100
        if self.declared.pidfile is None:
            self.samples.append(ResourceSample(at, cpu, 1 - memory.available / memory.total))
            return
        found = psutil.Process(_pid(self.root / self.declared.pidfile))
        if self.process is None or found != self.process:  # psutil compares the time of its start too
            self.restarts += self.process is not None
            self.process = found
            found.cpu_percent()
            self.descriptors = _descriptors(found)
        with self.process.oneshot():
            own, resident = self.process.cpu_percent() / 100, self.process.memory_info().rss
        connections = len(self.process.net_connections("tcp"))
        self.samples.append(ResourceSample(at, cpu, 1 - memory.available / memory.total, own, resident, connections))

    def record(self, began: float, ended: float) -> LoadResources:
        """What was seen between two epoch seconds, and just before; raises EvidenceProblem where looking failed."""
        import psutil

        if self.problem is not None:
            raise EvidenceProblem(self.problem)
        process = self.process.name() if self.process is not None else ""
        declared = self.declared
        cores = declared.cores or psutil.cpu_count() or 1
        memory = int(declared.memory or psutil.virtual_memory().total)
        before = [each for each in self.samples if each.at < began][-1:]
        seen = [*before, *(each for each in self.samples if began <= each.at <= ended)]
        samples = tuple(replace(each, at=each.at - began) for each in seen)
        allowed = declared.connections or self.descriptors
        return LoadResources(declared.host, process, self.restarts, cores, memory, samples, allowed)


def _descriptors(process: Any) -> int | None:
    """The soft limit of descriptors, None where the system does not tell (macOS), or there is none."""
    import psutil

    try:
        soft: int = process.rlimit(psutil.RLIMIT_NOFILE)[0]
    except (AttributeError, psutil.AccessDenied):
        return None
    return soft if soft > 0 else None


def _pid(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise EvidenceProblem(Problem("configuration", f"{file.name}: no process id can be read: {error}")) from None
