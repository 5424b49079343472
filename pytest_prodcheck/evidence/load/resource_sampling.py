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

from pytest_prodcheck.evidence.load.process_family import ProcessFamily
from pytest_prodcheck.evidence.load.process_limits import cores_of, memory_of
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
    """What is sampled of this machine, and of one process with all below it where one is declared."""

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
        self.family: ProcessFamily | None = None
        self.cores = self.memory = 0.0  # that the process may use, 0 where none is watched
        self.fullest = 0  # most connections of one process, and how many files and connections that one may open
        self.descriptors: int | None = None

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
            self.process, self.family = found, ProcessFamily(found)
            self.cores, self.memory = cores_of(found), memory_of(found)
        assert self.family is not None
        use = self.family.look()
        if use.fullest >= self.fullest:
            self.fullest, self.descriptors = use.fullest, use.descriptors
        open_ones = use.connections if self.declared.connections else use.fullest
        used = 1 - memory.available / memory.total
        self.samples.append(ResourceSample(at, cpu, used, use.cpu, use.memory, open_ones))

    def record(self, began: float, ended: float) -> LoadResources:
        """What was seen between two epoch seconds, and just before; raises EvidenceProblem where looking failed."""
        import psutil

        if self.problem is not None:
            raise EvidenceProblem(self.problem)
        process = self.process.name() if self.process is not None else ""
        declared = self.declared
        cores = declared.cores or self.cores or psutil.cpu_count() or 1
        memory = int(declared.memory or self.memory or psutil.virtual_memory().total)
        before = [each for each in self.samples if each.at < began][-1:]
        seen = [*before, *(each for each in self.samples if began <= each.at <= ended)]
        samples = tuple(replace(each, at=each.at - began) for each in seen)
        allowed = declared.connections or self.descriptors
        return LoadResources(declared.host, process, self.restarts, cores, memory, samples, allowed)


def _pid(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise EvidenceProblem(Problem("configuration", f"{file.name}: no process id can be read: {error}")) from None
