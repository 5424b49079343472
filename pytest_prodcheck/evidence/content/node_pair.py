"""Two sessions, with the primary and with one copy, and how the copy is made to show what the primary did."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.content.chunk_rechecks import recheck
from pytest_prodcheck.evidence.content.page_ranges import Chunk, Digest, digest, digest_and_position
from pytest_prodcheck.evidence.postgres.session import caught_up
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.postgres.session import Session
    from pytest_prodcheck.records.replication import Difference

CATCH_UP = 15.0  # seconds that a copy may take to replay what the primary had written
LATE_AGAIN = 3.0  # seconds for one that was too late for the chunk before
CANCELLED = 4  # times that replay may end our reading on a standby


class ReplicaBehind(EvidenceProblem):
    """The copy did not replay in time what the primary had written."""


class ReplicaPair:
    """A reference and a copy. where: the copy's declared address. patience: seconds that it may be behind."""

    def __init__(self, reference: Session, copy: Session, patience: float = CATCH_UP) -> None:
        self.reference, self.copy, self.patience = reference, copy, patience
        self.where = copy.declared

    def close(self) -> None:
        """Ends both sessions."""
        self.reference.close()
        self.copy.close()

    def compare(self, chunk: Chunk, seconds: float) -> tuple[Digest, Difference | None, str]:
        """(the reference's digest, how the copy differs or None, why it could not be told or "")."""
        for count in range(CANCELLED + 1):
            try:
                return self._compare(chunk, seconds)
            except EvidenceProblem as error:
                if count == CANCELLED or "conflict with replay" not in error.problem.message:
                    raise
                time.sleep(0.2 * (count + 1))  # a vacuum's record had to pass: the next reading begins after it
        raise AssertionError

    def _compare(self, chunk: Chunk, seconds: float) -> tuple[Digest, Difference | None, str]:
        ours, lsn = digest_and_position(self.reference, chunk, seconds)
        self._wait_for_replay(lsn)
        if digest(self.copy, chunk, seconds) == ours:
            return ours, None, ""
        return ours, *recheck(self, chunk, seconds)

    def catch_up(self, seconds: float) -> None:
        """Waits until the copy has replayed all that the reference has written by now."""
        self._wait_for_replay(str(self.reference.rows("select pg_current_wal_lsn()", what="position").rows[0][0]))

    def _wait_for_replay(self, lsn: str) -> None:
        if not self.copy.recovering:
            return  # promoted: it replays nothing more, and what it holds is compared as it is
        if not caught_up(self.copy, lsn, self.patience):
            what = f"{self.where}: it did not replay WAL up to {lsn} within {self.patience:g} s"
            raise ReplicaBehind(Problem("timeout", what, "see data_integrity.replication.delay"))
