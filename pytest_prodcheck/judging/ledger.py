"""The ledger: all judgements of one check on one target, and which of them came where they do not belong.

A judgement is recorded, not raised, so that every pod is judged; the plugin raises once, after the check's body.
The outcome comes from this ledger, so a check that swallows exceptions still fails.
"""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field

from pytest_prodcheck.outcomes import Judgement, Outcome

_FILE = "PRODCHECK_STRAYS"  # in the environment of processes that checks start
_WORST = (Outcome.FAILED, Outcome.ERRORED, Outcome.WARNED, Outcome.PASSED)


@dataclass
class Ledger:
    """All judgements of one check on one target."""

    judgements: list[Judgement] = field(default_factory=list)
    closed: bool = False
    before: Ledger | None = None
    owner: tuple[int, int] = field(default_factory=lambda: (os.getpid(), threading.get_ident()))

    @property
    def outcome(self) -> Outcome:
        """The worst of the judgements; errored where there is none: a check that judged nothing proves nothing."""
        return min((judgement.outcome for judgement in self.judgements), key=_WORST.index, default=Outcome.ERRORED)

    def reasons(self) -> list[str]:
        """What was not passed, worst first, in words; further lines of one are marked, so that none looks like ours."""
        if not self.judgements:
            return ["nothing was judged: the check did not call judge()"]
        rank = {outcome: place for place, outcome in enumerate(_WORST)}
        bad = [judgement for judgement in self.judgements if judgement.outcome is not Outcome.PASSED]
        worst_first = sorted(bad, key=lambda each: rank[each.outcome])
        return [judgement.reason.replace("\n", "\n  | ") for judgement in worst_first]


_current: ContextVar[Ledger | None] = ContextVar("prodcheck_ledger", default=None)


def open_ledger() -> Ledger:
    """Starts a new ledger that `judge` writes into, from this thread, until it is closed."""
    STRAYS.begin()
    ledger = Ledger(before=_current.get())
    _current.set(ledger)
    return ledger


def close_ledger() -> Ledger:
    """Ends the newest ledger and returns it: what is judged from now on is not its check's."""
    ledger = _current.get()
    if ledger is None:
        raise LookupError("no ledger is open")
    ledger.closed = True
    _current.set(ledger.before)
    return ledger


def ledger_here(what: str) -> Ledger:
    """The ledger that a judgement belongs to; one that belongs to none is noted, and raises RuntimeError."""
    ledger = _current.get()
    if ledger is not None and not ledger.closed and ledger.owner == (os.getpid(), threading.get_ident()):
        return ledger
    where = f"judge({what!r}) in thread {threading.current_thread().name}, process {os.getpid()}"
    STRAYS.add(f"{where}: called after the end of its check, or from another thread: the call counts for no check")
    raise RuntimeError("judge() works only inside a check that pytest runs with --env, and in the check's own thread")


class MisplacedJudgements:
    """What happened where no check could see it: judgements of other threads and processes, threads that died."""

    def __init__(self) -> None:
        self._ours: list[str] = []
        self._file = ""  # other processes, forked or started anew, have no other way to say so
        self._pid = 0
        self.too_late: object = None  # called with each that comes once it is set

    def begin(self) -> None:
        """Before the first check: opens the way for processes that a check starts."""
        if self._pid != os.getpid() or not self._file:
            self._pid = os.getpid()
            handle, self._file = tempfile.mkstemp(prefix="prodcheck-strays-")
            os.close(handle)
            os.environ[_FILE] = self._file

    def end(self) -> None:
        """After the last look: what comes from elsewhere now is not ours any more."""
        if self._pid == os.getpid() and self._file:
            with suppress(OSError):
                os.unlink(self._file)
            if os.environ.get(_FILE) == self._file:
                del os.environ[_FILE]
            self._file = ""

    def add(self, text: str) -> None:
        """Notes one."""
        if self._pid != os.getpid():
            with suppress(OSError, KeyError):  # no check was run in the process that we came from
                handle = os.open(os.environ[_FILE], os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
                os.write(handle, text[:500].encode("utf-8", "replace") + b"\n")
                os.close(handle)
            return
        self._ours.append(text)
        if callable(self.too_late):
            self.too_late(text)

    def take(self) -> list[str]:
        """All that are noted so far."""
        from_others = ""
        if self._file and self._pid == os.getpid():
            with suppress(OSError), open(self._file, "r+", encoding="utf-8", errors="replace") as file:
                from_others = file.read(1 << 16)
                file.truncate(0)
        found = [*self._ours, *from_others.splitlines()]
        self._ours = []
        return list(dict.fromkeys(found))


STRAYS = MisplacedJudgements()
