"""`postgres-content`: the rows of declared tables on the primary and on every other node, chunk by chunk."""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.content.hash_sql import FIXED
from pytest_prodcheck.evidence.content.node_pair import CATCH_UP, LATE_AGAIN, ReplicaBehind, ReplicaPair
from pytest_prodcheck.evidence.content.page_ranges import Chunk, chunks_of, parts_of
from pytest_prodcheck.evidence.content.progress import Progress
from pytest_prodcheck.evidence.postgres.members import Member, members
from pytest_prodcheck.evidence.postgres.session import Session, open_session
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.replication import ContentComparison, Difference, TableContent

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.backups import Content
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

SPARE = 2.0  # seconds of the budget that are kept to tell what was compared
BEHIND = 2  # chunks in a row that a copy was too late for; the rest is not waited for
SHOWN = 20  # differences, and reasons why something was not compared


@dataclass
class _Count:
    chunks: int = 0
    compared: int = 0
    rows: int = 0
    different: int = 0


@dataclass
class _Comparisons:
    """What the workers have found so far; guarded by `lock`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: dict[tuple[str, str], _Count] = field(default_factory=lambda: defaultdict(_Count))
    differences: list[Difference] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def add(self, chunk: Chunk, node: str, rows: int, difference: Difference | None, reason: str) -> None:
        with self.lock:
            if reason:
                if reason not in self.reasons:
                    self.reasons.append(reason)
                return
            count = self.counts[chunk.part.name, node]
            count.compared += 1
            count.rows += rows
            if difference is not None:
                count.different += 1
                self.differences.append(difference)


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target]
    if settings.content is None:
        return ()
    what = f"PostgreSQL login as {settings.user}: reads {', '.join(settings.content.tables)} whole, in chunks"
    return tuple(Sending(each, what) for each in settings.nodes)


def _seconds(target: str, environment: Environment) -> float:
    content = environment.postgres[target].content
    return content.budget if content else 60.0


@evidence(
    "postgres-content", axis="postgres", feature="content", seconds=_seconds,
    host=lambda target, environment: environment.postgres[target].nodes[0], sends=_sends, exclusive=True,
)  # fmt: skip
def postgres_content(target: str, context: Context, deadline: Deadline) -> ContentComparison:
    """All chunks of all declared tables on all nodes; what was not compared, for want of time or of a node, is told.

    Raises EvidenceProblem where there is no primary, no other node, or a table cannot be read at all.
    """
    settings, began = context.environment.postgres[target].content, time.monotonic()
    assert settings is not None
    found = members(target, context, deadline)
    writable = [each for each in found if each.problem is None and not each.recovering]
    if not writable:
        what = f"postgres {target}: no primary was found to compare with"
        raise EvidenceProblem(Problem("configuration", what, "see smoke.postgres.primary"))
    reference = writable[0]
    copies = [each for each in found if each is not reference]
    chunks = _plan(target, settings, context, deadline, reference)
    seen = _Comparisons()
    seen.reasons += [f"{each.declared}: {each.problem}" for each in copies if each.problem is not None]
    answering = [each for each in copies if each.problem is None]
    jobs: queue.SimpleQueue[tuple[Chunk, Member]] = queue.SimpleQueue()
    for chunk in chunks:
        for copy in answering:
            seen.counts[chunk.part.name, copy.declared].chunks += 1
            jobs.put((chunk, copy))
    subject = f"{context.environment.name} {target} {settings.chunk} {[each.declared for each in found]}"
    progress = Progress(context.root, context.key, subject, settings.resume)
    _Workers(target, settings, context, deadline, reference, jobs, seen, progress).run()
    if progress.oldest is not None:
        deadline.used(progress.oldest)
    with seen.lock:
        tables = tuple(TableContent(name, node, each.chunks, each.compared, each.rows, each.different)
                       for (name, node), each in sorted(seen.counts.items()))  # fmt: skip
        if all(each.compared == each.chunks for each in tables):
            progress.finished()
        return ContentComparison(
            reference.declared, tables, tuple(seen.differences[:SHOWN]), tuple(seen.reasons[:SHOWN]),
            progress.taken_over, time.monotonic() - began,
        )  # fmt: skip


def _plan(
    target: str, settings: Content, context: Context, deadline: Deadline, reference: Member
) -> list[Chunk]:
    with open_session(target, context, deadline, reference) as session:
        parts = [part for table in settings.tables for part in parts_of(session, table)]
    return [chunk for part in parts for chunk in chunks_of(part, settings.chunk, reference.version)]


class _Workers:
    def __init__(
        self, target: str, settings: Content, context: Context, deadline: Deadline, reference: Member,
        jobs: queue.SimpleQueue[tuple[Chunk, Member]], seen: _Comparisons, progress: Progress,
    ) -> None:  # fmt: skip
        self.target, self.settings, self.context, self.reference = target, settings, context, reference
        self.jobs, self.seen, self.progress = jobs, seen, progress
        self.late: dict[str, int] = defaultdict(int)  # copy -> chunks in a row; workers share it, about right is enough
        self.until = deadline.at_most(max(deadline.time_left() - SPARE, 0.1))

    def run(self) -> None:
        """Compares until nothing is left or time is up."""
        width = min(self.settings.workers, max(self.jobs.qsize(), 1))
        threads = [
            threading.Thread(target=self._compare_until_empty, name="prodcheck-content", daemon=True)
            for _ in range(width)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(self.until.time_left() + SPARE / 2, 0.0))

    def _compare_until_empty(self) -> None:
        pairs: dict[str, ReplicaPair] = {}
        try:
            while not self.until.expired:
                try:
                    chunk, copy = self.jobs.get_nowait()
                except queue.Empty:
                    return
                self._compare_chunk(chunk, copy, pairs)
        finally:
            for pair in pairs.values():
                pair.close()

    def _compare_chunk(self, chunk: Chunk, copy: Member, pairs: dict[str, ReplicaPair]) -> None:
        name = f"{copy.declared} {chunk.part.name} {chunk.part.file} {chunk}"
        known = self.progress.rows_of(name)
        if known is not None:
            self.seen.add(chunk, copy.declared, known, None, "")
            return
        if self.late[copy.declared] >= BEHIND:
            self.seen.add(chunk, copy.declared, 0, None, (f"{copy.declared}: it is behind the primary, so "
                "the rest was not compared"))
            return
        for again in (True, False):
            try:
                if copy.declared not in pairs:
                    patience = LATE_AGAIN if self.late[copy.declared] else CATCH_UP
                    pairs[copy.declared] = ReplicaPair(self._session(self.reference), self._session(copy), patience)
                digest, difference, reason = pairs[copy.declared].compare(chunk, max(self.until.seconds_left(), 0.1))
            except EvidenceProblem as error:
                self.late[copy.declared] += isinstance(error, ReplicaBehind)
                if copy.declared in pairs:
                    pairs.pop(copy.declared).close()
                if again and error.problem.kind == "reset":
                    continue  # replay ends not only statements but sessions that stand in its way
                self.seen.add(chunk, copy.declared, 0, None, str(error.problem))
                return
            except Exception as error:  # in a thread of ours: nobody else would tell
                self.seen.add(chunk, copy.declared, 0, None, f"{chunk.part.name}: {type(error).__name__}: {error}")
                return
            self.late[copy.declared], pairs[copy.declared].patience = 0, CATCH_UP
            if difference is None and not reason:
                self.progress.equal(name, digest[0])
            self.seen.add(chunk, copy.declared, digest[0], difference, reason)
            return

    def _session(self, member: Member) -> Session:
        session = open_session(self.target, self.context, self.until, member)
        session.local = FIXED
        return session
