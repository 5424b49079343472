"""Facts about backups: what there is, whether its bytes are whole, what archived WAL lies beside, what a restore gave.

Times are UTC epoch seconds, durations seconds, sizes bytes. Positions in write-ahead log are text such as "0/3000060".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_prodcheck.records import Problem


@dataclass(frozen=True)
class Backup:
    """One backup as its folder, file or tool tells it."""

    label: str
    kind: Literal["full", "incremental", "dump"]
    ended_at: float  # when the server finished it, or its latest sure moment before; of a dump, when it was begun
    size: int | None  # of the database as restored; of a dump, of the file; None where the tool does not tell
    system_identifier: str = ""  # of the cluster it was taken from, "" where it does not tell
    database: str = ""  # of a dump, the database it holds; "" where it does not tell
    modified_at: float | None = None  # of its file or manifest, by the clock of whoever wrote it
    problem: str = ""  # why it cannot be relied on, as far as a look at it shows: no manifest, empty, marked as failed


@dataclass(frozen=True)
class Backups:
    """`postgres-backups` (postgres, where backups are declared): all finished backups, oldest first."""

    kind: Literal["basebackup", "pgbackrest", "barman", "dump"]
    source: str  # where they were looked for
    now: float  # when they were looked for, by our clock
    found: tuple[Backup, ...]
    running: int  # backups that are being taken now, by what lies there
    complaints: tuple[str, ...]  # what the tool itself says is wrong
    expected_any: float | None  # as declared
    expected_full: float | None
    expected_retained: int | None
    database: str  # name of the database that is declared for the cluster


@dataclass(frozen=True)
class Receiver:
    """One that receives WAL by streaming from the primary, such as pg_receivewal."""

    name: str  # application_name
    slot: str  # "" for none
    state: str  # "streaming", "catchup"; "" where it may not be read
    behind: int | None  # bytes of WAL not confirmed by the receiver
    heard: float | None  # seconds since it was last heard


@dataclass(frozen=True)
class Archiving:
    """`postgres-archiving` (postgres, where backups with WAL are declared): the primary's archiver, and its size."""

    node: str  # "HOST:PORT" of the primary
    system_identifier: str  # "" where it may not be read
    database_size: int  # of all databases together
    mode: str  # archive_mode
    segment_size: int  # of a WAL file
    current_segment: str  # name of the WAL file that is being written
    archived: int  # since the statistics were reset
    failed: int
    last_archived: str  # name of the file, "" for none
    last_failed: str
    failing: bool  # the last try to archive failed
    failing_for: float | None  # since then, None where it is not failing
    waiting: int | None  # finished segments that wait for their archive, None where it may not be read
    oldest_waiting: float | None  # how long the oldest of them does, None where none waits
    # who receives WAL by streaming instead of the archiver: name of a slot or application; "" where nobody is meant to
    receiver: str = ""
    receivers: tuple[Receiver, ...] = ()  # connected to the primary, standbys too
    discards: bool = False  # archive_command is empty, or ends well without a copy, such as /bin/true

    @property
    def archives(self) -> bool:
        """Whether the server itself brings WAL to an archive."""
        return self.mode in ("on", "always") and not self.discards

    @property
    def why_not(self) -> str:
        """Why it does not, and what to declare."""
        why = "archive_command keeps no copy" if self.discards else f"archive_mode is {self.mode}"
        return f"{why}; if WAL is streamed, name its receiver in backups.receiver"


@dataclass(frozen=True)
class VerifiedBackup:
    """One backup that was read whole."""

    label: str
    good: bool
    said: str  # what the program said of what is wrong, its first lines


@dataclass(frozen=True)
class Verification:
    """`postgres-backup-verification` (postgres): the newest backup (pgBackRest: all) checked by the fitting program."""

    program: str  # "pg_verifybackup", "pgbackrest verify", …
    backups: tuple[VerifiedBackup, ...]
    seconds: float


@dataclass(frozen=True)
class WalArchive:
    """`postgres-wal-archive` (postgres): whether WAL leads from the newest good backup to the newest segment."""

    source: str
    label: str  # the backup that is counted from
    first: str  # the segment that it begins in
    newest: str  # the newest segment of the newest timeline that leads there
    needed: int  # segments from the first to the newest
    missing: tuple[str, ...]  # names of the first 20 that are not there
    missing_count: int
    broken: tuple[str, ...]  # archived files of another size than the others', after a second look
    newest_at: float | None  # when the newest was written, by its file's clock
    now: float
    complaints: tuple[str, ...]  # history files that are missing, what the tool says


@dataclass(frozen=True)
class TableCompared:
    """One table of the record, and what the restored server holds. No rows' values are kept."""

    table: str  # "schema.table"
    rows_recorded: int
    rows_restored: int | None  # None: the table is not there
    same_content: bool
    readable: bool = True  # False: the server could not read it to its end
    hashed: int = 0  # rows whose content was compared: all, or with `sample` some
    differing: str = ""  # where the content is another, as far as that is known: "pages 128 to 255"


@dataclass(frozen=True)
class RestoreRun:
    """`postgres-restore` (postgres, where a restore is declared): a backup was brought up in a scratch server."""

    label: str
    target: str  # "the end of the archive", "lsn 0/3000060", …
    recovered: bool  # it became consistent, reached the target and took connections
    reason: str  # what its log says, where it did not
    fetch_seconds: float  # until the backup's files were there
    recovery_seconds: float  # from the start of the server until it took writes
    system_identifier: str
    expected_system_identifier: str  # of the running cluster, "" where it may not be read
    replayed_to: str  # position that was reached
    tables: int  # ordinary tables that were found
    compared: tuple[TableCompared, ...]
    record: str  # the record that was compared with, "" for none declared
    record_problem: str  # why it could not be compared with
    damaged: tuple[str, ...]  # what amcheck found, its first lines
    checked_relations: bool  # amcheck ran to its end
    seconds: float  # of everything, clean-up included
    complete: bool = False  # the record is of all tables that the database had
    confined: bool = True  # what the backup holds could not reach anything while it was restored
    large_objects: int = 0  # that were restored
    large_objects_recorded: int | None = None  # None where the record does not say
    large_objects_now: int = 0  # that the running database has
    sequences_behind: tuple[str, ...] = ()  # whose next number is taken: a dump held the rows, and not their values

    @property
    def recovery_time(self) -> float:
        """How long it took from nothing to a server that takes writes, seconds."""
        return self.fetch_seconds + self.recovery_seconds

    def _large_objects(self) -> list[str]:
        """pg_dump leaves them out where it is told of schemas or tables: what refers to them then leads nowhere."""
        recorded = self.large_objects_recorded
        if recorded is not None and recorded != self.large_objects:
            return [f"{self.large_objects} large objects, {recorded} were recorded"]
        if recorded is None and self.large_objects_now and not self.large_objects:
            return [f"no large object, and the database has {self.large_objects_now} (pg_dump --large-objects)"]
        return []

    @property
    def share(self) -> float:
        """How much of the restored rows was compared by their content: 0.05 for 5 %, 0 where nothing was recorded."""
        rows = sum(each.rows_restored or 0 for each in self.compared)
        return sum(each.hashed for each in self.compared) / rows if rows else float(bool(self.compared))

    @property
    def seen(self) -> str:
        """How much was compared, in words."""
        if not self.compared:
            return "compared with nothing"
        rows = sum(each.rows_restored or 0 for each in self.compared)
        tables = f"{len(self.compared)} of {self.tables} tables"
        if self.share < 1:
            return f"{self.share:.2%} of {rows} rows in {tables}, all counted"
        return f"{tables}, {rows} rows"

    @property
    def wrong(self) -> tuple[str, ...]:
        """All that was not as it has to be, in words; with an empty `record_problem` too the backup is proven good."""
        found = []
        if self.expected_system_identifier and self.system_identifier not in ("", self.expected_system_identifier):
            found.append("it is a backup of another cluster")
        found += [] if self.recovered else [f"not recovered: {self.reason}"]
        if self.recovered:
            found += [f"{each.table}: is not there" for each in self.compared
                     if each.readable and each.rows_restored is None]
            found += [f"{each.table}: cannot be read to its end" for each in self.compared if not each.readable]
            there = [each for each in self.compared if each.readable and each.rows_restored is not None]
            found += [f"{each.table}: {each.rows_restored} rows, {each.rows_recorded} were recorded"
                      for each in there if each.rows_restored != each.rows_recorded]  # fmt: skip
            found += [f"{each.table}: other content than was recorded{each.differing and f' ({each.differing})'}"
                      for each in there
                      if not each.same_content and each.rows_restored == each.rows_recorded]  # fmt: skip
            if self.complete and not self.record_problem and self.tables > len(self.compared):
                found.append(f"{self.tables - len(self.compared)} tables more than were recorded")
            found += self._large_objects()
            found += [f"{each}: the number that it gives next is taken: the dump lacks the sequence's value"
                      for each in self.sequences_behind]  # fmt: skip
            found += [f"amcheck: {each}" for each in self.damaged]
            found += [] if self.checked_relations else ["amcheck did not run to its end"]
            found += [] if self.tables else ["it holds no table"]
        return tuple(found)


@dataclass(frozen=True)
class RestoreRecord:
    """`postgres-restore-record` (postgres, where it is declared): what the last restore test wrote down."""

    source: str
    label: str  # the backup that was restored
    restored_at: float
    now: float
    good: bool
    wrong: tuple[str, ...]
    recovery_time: float  # seconds
    compared: int  # tables that were compared with what the source had recorded
    share: float  # of their rows whose content was compared too
    system_identifier: str
    problem: Problem | None = None  # it is not there: nothing was restored yet
