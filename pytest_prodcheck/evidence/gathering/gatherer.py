"""Gathers evidence side by side: each piece once, bounded in number and time, in daemon threads.

Daemon threads and not a ThreadPoolExecutor, which at Ctrl-C waits for its threads, however long they hang.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pytest_prodcheck import resource_exhaustion
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.records import Evidence, EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.collectors import Collector
    from pytest_prodcheck.evidence.context import Context

GRACE = 0.5  # seconds after its deadline in which a piece may end by itself
LOOK = 0.1  # seconds between two looks at what is over its deadline


class TakesEvidence(Protocol):
    """`EvidenceStore`, as far as the gatherer knows it."""

    def expect(self, keys: Sequence[str]) -> None:
        """Told once, before anything is gathered."""

    def put(self, evidence: Evidence[Any]) -> None:
        """Told once a piece."""


@dataclass(eq=False)
class _Job:
    collector: Collector
    target: str
    host: str = ""
    seconds: float = 15.0
    began: float = 0.0  # epoch
    deadline: Deadline = field(default_factory=lambda: Deadline(0))
    has_slot: bool = False
    settled: bool = False

    @property
    def key(self) -> str:
        return f"{self.collector.name}:{self.target}"


class Gatherer:
    """Gathers a plan of `(collector, target)` into a store.

    At most `gathering.at_once` pieces at once and `gathering.per_host` to one host; exclusive pieces one by one after
    all others. A piece that hangs past its deadline is given up and its worker replaced. `start` sends the first
    request.
    """

    def __init__(
        self,
        plan: Sequence[tuple[Collector, str]],
        context: Context,
        store: TakesEvidence,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._context = context
        self._store = store
        self._clock = clock
        self._slots = context.slots
        self._changed = context.slots.changed  # guards all that follows
        self._pieces: dict[str, _Job] = {}
        self._quiet: OrderedDict[str, deque[_Job]] = OrderedDict()  # by host, not begun
        self._exclusive: deque[_Job] = deque()
        self._running: set[_Job] = set()
        self._settled = 0
        self._stopped = False
        self._run = Deadline(0)
        self._done = threading.Event()
        for collector, target in plan:
            self._add(_Job(collector, target))

    def _add(self, piece: _Job) -> None:
        if piece.key in self._pieces:
            return
        self._pieces[piece.key] = piece
        try:
            piece.host = piece.collector.host(piece.target, self._context.environment)
            piece.seconds = piece.collector.seconds_for(piece.target, self._context.environment)
        except Exception:  # a target that is not declared: gathering it says so
            piece.host = piece.key
        if piece.collector.exclusive:
            self._exclusive.append(piece)
        else:
            self._quiet.setdefault(piece.host, deque()).append(piece)

    def start(self) -> None:
        """Begins; returns at once."""
        resource_exhaustion.allow_many_files()
        bounds = self._context.environment.gathering
        self._store.expect(list(self._pieces))
        alone = sum(piece.seconds for piece in self._exclusive)
        self._run = Deadline(bounds.deadline + alone)  # what is gathered alone brings its own time
        if not self._pieces:
            self._done.set()
            return
        width = sum(min(len(waiting), bounds.per_host) for waiting in self._quiet.values())
        for _ in range(min(bounds.at_once, max(width, 1))):
            self._spawn()
        threading.Thread(target=self._supervise, name="prodcheck-supervisor", daemon=True).start()

    def stop(self) -> None:
        """Ends the gathering at once: what is not finished becomes a problem (interrupted)."""
        self._abandon_all(Problem("interrupted", "the run was ended before this was gathered"))

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until all pieces are settled; whether they are."""
        return self._done.wait(timeout)

    def progress(self) -> tuple[int, int, str]:
        """How many pieces are done, how many there are, the key of the one that runs longest and how far it is."""
        with self._changed:
            slowest = min(self._running, key=lambda piece: piece.began, default=None)
            if slowest is None:
                return self._settled, len(self._pieces), ""
            doing = f" ({slowest.deadline.doing})" if slowest.deadline.doing else ""
            return self._settled, len(self._pieces), f"{slowest.key}{doing}"

    # -- workers

    def _spawn(self) -> None:
        threading.Thread(target=self._gather_until_stopped, name="prodcheck-gatherer", daemon=True).start()

    def _gather_until_stopped(self) -> None:
        while (piece := self._next_job()) is not None:
            evidence = self._gather(piece)
            if not self._store_once(piece, evidence):
                return  # given up meanwhile: somebody else took this worker's place

    def _next_job(self) -> _Job | None:
        """The next piece whose host has room; waits for one; None when nothing is left to begin."""
        with self._changed:
            while not self._stopped:
                piece = self._next_quiet() if self._quiet else None
                if piece is None and not self._quiet and not self._exclusive:
                    return None
                if piece is None and not self._quiet and not self._running:
                    piece = self._exclusive.popleft()
                    piece.has_slot = self._slots.take(piece.host)
                if piece is not None:
                    piece.began = self._clock()
                    piece.deadline = Deadline(min(piece.seconds, max(self._run.time_left(), 0.001)))
                    self._running.add(piece)
                    return piece
                self._changed.wait()
            return None

    def _next_quiet(self) -> _Job | None:
        for host, waiting in self._quiet.items():
            if self._slots.take(host):
                piece = waiting.popleft()
                piece.has_slot = True
                if waiting:
                    self._quiet.move_to_end(host)  # hosts take turns
                else:
                    del self._quiet[host]
                return piece
        return None

    def _gather(self, piece: _Job) -> Evidence[Any]:
        collector = piece.collector
        record, problem = None, None
        started, wants = time.monotonic(), len(resource_exhaustion.shortages_since())
        try:
            record = self._call(collector, piece)
            if record is None or (isinstance(collector.record, type) and not isinstance(record, collector.record)):
                wanted = getattr(collector.record, "__name__", "a record")
                problem = Problem("internal", f"{piece.key}: returned {type(record).__name__}, not {wanted}")
                record = None
        except EvidenceProblem as error:
            problem = self._redacted(error.problem)
        except BaseException as error:  # also SystemExit and what pytest raises: a thread has nobody else to tell
            resource_exhaustion.note_shortage(error)
            problem = self._redacted(Problem("internal", f"{piece.key}: {type(error).__name__}: {error}"))
        resource_exhaustion.probe_open_files()
        if missing := resource_exhaustion.shortages_since(wants):
            record, problem = None, _own_shortage(piece.key, missing[0])
        seconds = time.monotonic() - started
        began = min(piece.began, piece.deadline.oldest or piece.began)
        notes = tuple(self._context.redactor.redact(note) for note in piece.deadline.notes)
        return Evidence(piece.key, collector.name, piece.target, began, seconds, record, problem, notes)

    def _call(self, collector: Collector, piece: _Job) -> Any:
        """Calls the collector; once more where Python gave up an import that two threads met in: it is there by now."""
        try:
            return collector.gather(piece.target, self._context, piece.deadline)
        except RuntimeError as error:
            if type(error).__name__ != "_DeadlockError":
                raise
            return collector.gather(piece.target, self._context, piece.deadline)

    def _redacted(self, problem: Problem) -> Problem:
        from pytest_prodcheck.evidence.tools.sanitizing import plain

        redact = self._context.redactor.redact
        message, hint = plain(redact(problem.message), 1000), plain(redact(problem.hint), 500)
        return Problem(problem.kind, message, hint, problem.at)

    # -- ends

    def _store_once(self, piece: _Job, evidence: Evidence[Any]) -> bool:
        """Stores a piece unless it is settled already; whether it was stored."""
        with self._changed:
            if piece.settled:
                return False
            piece.settled = True
        self._store.put(evidence)
        with self._changed:
            if piece in self._running:
                self._running.remove(piece)
                if piece.has_slot:
                    self._slots.give(piece.host)
            self._settled += 1
            if self._settled == len(self._pieces):
                self._done.set()
                self._changed.notify_all()
            else:
                self._changed.notify()  # one ended, so one may begin: waking all others for it costs more than it
        return True

    def _give_up(self, piece: _Job, problem: Problem) -> bool:
        began = piece.began or self._clock()
        seconds = max(self._clock() - began, 0.0)
        name = piece.collector.name
        return self._store_once(piece, Evidence(piece.key, name, piece.target, began, seconds, None, problem))

    def _abandon_all(self, problem: Problem) -> None:
        with self._changed:
            self._stopped = True
            open_pieces = [piece for piece in self._pieces.values() if not piece.settled]
            self._changed.notify_all()
        for piece in open_pieces:
            self._give_up(piece, problem)
        if not self._pieces:
            self._done.set()

    def _supervise(self) -> None:
        while not self._done.wait(LOOK):
            if self._run.expired:
                bound = f"the run's deadline of {self._run.seconds:g} s"
                hint = (
                    "raise gathering.deadline, or find the slow target: the saved "
                    "evidence shows how long each piece took"
                )
                self._abandon_all(Problem("timeout", f"{bound} ended before this was gathered", hint))
                break
            self._replace_hung()
        self._context.close()

    def _replace_hung(self) -> None:
        with self._changed:
            late = [piece for piece in self._running if piece.deadline.time_left() < -GRACE and not piece.settled]
        for piece in late:
            if self._give_up(piece, Problem("timeout", f"{piece.key}: not done within {piece.deadline.seconds:.3g} s")):
                self._spawn()


def _own_shortage(key: str, what: str) -> Problem:
    """Somebody's in these moments: what was found meanwhile proves nothing about the system."""
    text = f"{key}: prodcheck itself had too little {what}"
    return Problem("shortage", text, "evidence gathered at that time is not used: give prodcheck more and run again")
