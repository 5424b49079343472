"""`postgres-restore`: a backup is brought up in a scratch server, compared with its record, read by amcheck."""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.backups.base_backups import major_version, system_identifier
from pytest_prodcheck.evidence.backups.inventory import archiving, backup_named, catalogue, settings_of, source_of
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.content import record_file
from pytest_prodcheck.evidence.postgres.programs import programs
from pytest_prodcheck.evidence.restore import record as restore_record
from pytest_prodcheck.evidence.restore.comparison import amcheck, compare, sequences_behind, tables_of
from pytest_prodcheck.evidence.restore.disk_space import DiskSpaceGuard
from pytest_prodcheck.evidence.restore.dump import load_dump
from pytest_prodcheck.evidence.restore.fetch import fetch, forget_settings, source_of_backup, tool_guarded, wal_source
from pytest_prodcheck.evidence.restore.recovery_target import RecoveryTarget, recovery_target_of
from pytest_prodcheck.evidence.restore.scratch_folder import scratch_folder
from pytest_prodcheck.evidence.restore.scratch_server import ScratchServer
from pytest_prodcheck.evidence.restore.source_facts import SourceFacts, facts_of
from pytest_prodcheck.evidence.restore.source_files import Source
from pytest_prodcheck.evidence.restore.wal_feed import WalFeed
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.backups import Backup, RestoreRun, TableCompared

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.backups import Backups, Restore
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


@dataclass
class _Seen:
    """What has been found so far."""

    fetched: float = 0.0
    recovered: float = 0.0
    reason: str = ""
    identifier: str = ""
    reached: str = ""
    tables: int = 0
    compared: tuple[TableCompared, ...] = ()
    damaged: tuple[str, ...] = ()
    looked: bool = False
    large_objects: int = 0
    behind: tuple[str, ...] = ()
    began: float = field(default_factory=time.monotonic)

    def since(self) -> float:
        return time.monotonic() - self.began


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target].backups
    if settings is None or settings.restore is None:
        return ()
    place = settings.restore.folder or "the folder for temporary files"
    return (Sending("this machine", f"restores a backup of {target} into a scratch server in {place}", writes=True),)


def _seconds(target: str, environment: Environment) -> float:
    settings = environment.postgres[target].backups
    return settings.restore.timeout if settings and settings.restore else 60.0


@evidence(
    "postgres-restore", axis="postgres", feature="restore", seconds=_seconds,
    host=lambda target, environment: "this machine", sends=_sends, exclusive=True,
)  # fmt: skip
def postgres_restore(target: str, context: Context, deadline: Deadline) -> RestoreRun:
    """Restores the declared backup and takes it down again; writes the restore record where one is declared as a file.

    Raises EvidenceProblem where nothing could be tried: no backup, no room, no programs, a live server in the way; and
    where it takes longer than `restore.timeout`.
    """
    try:
        return _restore(target, context, deadline)
    except EvidenceProblem as error:
        if deadline.time_left() > 0:
            raise
        what = f"{target}: not restored and read within {deadline.seconds:.3g} s ({error.problem.message})"
        raise EvidenceProblem(Problem("timeout", what, "raise restore.timeout")) from None


def _restore(target: str, context: Context, deadline: Deadline) -> RestoreRun:
    settings = settings_of(target, context)
    assert settings.restore is not None
    backup = backup_named(settings.restore.backup, catalogue(target, context, deadline)[0], source_of(settings))
    database = settings.restore.database or context.environment.postgres[target].database
    record, problem = _record(settings.restore, settings.kind, backup, database, context.root)
    source = source_of_backup(settings, backup.label, context.root)
    expected, size, live, facts = _running(target, context, database, deadline)
    goal = recovery_target_of(settings, backup, record, context.root, size, deadline)
    seen = _Seen()
    place = context.root / settings.restore.folder if settings.restore.folder else restore_record.temporary()
    needed = max(backup.size or 0, source.size if source is not None else 0)
    with scratch_folder(place, needed, live) as scratch, DiskSpaceGuard(scratch) as room:
        server: ScratchServer
        feed: WalFeed | nullcontext[None] = nullcontext()
        if settings.kind == "dump":
            assert source is not None
            server = load_dump(settings, source, database, facts, scratch, context.root, deadline)
        else:
            server, feed = _prepare(settings, backup, source, scratch, goal, context.root, deadline)
        room.stop = server.stop
        seen.fetched, started = seen.since(), time.monotonic()
        with feed, server:
            seen.identifier = "" if settings.kind == "dump" else system_identifier(server.data)
            seen.reason = server.wait(deadline) or server.fill(deadline)
            seen.recovered, seen.reached = time.monotonic() - started, server.replayed_to()
            seen.reason = goal.explained(seen.reason) if seen.reason else goal.missed(seen.reached)
            problem = problem or goal.not_comparable
            if not seen.reason:
                drawn = facts.drawn if settings.kind == "dump" else ()
                _look_through(server, database, settings.restore, None if problem else record, drawn, seen, deadline)
            server.refuse_own_want()
            if isinstance(feed, WalFeed) and feed.problem is not None and seen.reason:
                raise EvidenceProblem(feed.problem)
            confined = server.place.confined and tool_guarded(settings)
    if source is not None:
        source.unchanged()
    run = RestoreRun(
        backup.label, goal.words, not seen.reason, seen.reason, seen.fetched, seen.recovered, seen.identifier,
        expected if settings.kind != "dump" else "", seen.reached, seen.tables, seen.compared,
        settings.restore.record or "", problem, seen.damaged, seen.looked, seen.since(),
        record is not None and record.complete, confined, seen.large_objects,
        record.large_objects if record is not None and not problem else None, facts.large_objects,
        seen.behind,
    )  # fmt: skip
    restore_record.write(settings, run, expected, context.root)
    return run


def _record(
    settings: Restore, kind: str, backup: Backup, database: str, root: Path
) -> tuple[record_file.ContentRecord | None, str]:
    """The record of a backup and why there is none; (None, "") where none is declared."""
    if settings.record is None:
        return None, ""
    try:
        found = record_file.read(root / settings.record.replace("{label}", backup.label))
        if backup.system_identifier not in ("", found.system_identifier):
            return None, f"the record is of another cluster ({found.system_identifier})"
        if found.database != database:
            return None, f"the record is of the database {found.database}, not of {database}"
        if kind == "dump" and any(each.form != "text" for each in found.tables.values()):
            return None, "the record is for a backup of the cluster's files: types have other oids in a dump"
        return found, ""
    except EvidenceProblem as error:
        return None, str(error.problem)


def _running(
    target: str, context: Context, database: str, deadline: Deadline
) -> tuple[str, int, str, SourceFacts]:
    """The running cluster's identifier, size of a WAL file, data folder ("" where it may not be read), and facts."""
    from pytest_prodcheck.evidence.postgres.session import on_primary

    with on_primary(target, context, deadline, database) as session:
        row = session.rows("select setting from pg_settings where name = 'data_directory'", what="data folder").rows
        facts = facts_of(session)
    primary = archiving(target, context, deadline)
    return primary.system_identifier, primary.segment_size, (row[0][0] or "") if row else "", facts


def _prepare(
    settings: Backups, backup: Backup, source: Source | None, scratch: Path, goal: RecoveryTarget, root: Path,
    deadline: Deadline,
) -> tuple[ScratchServer, WalFeed]:  # fmt: skip
    """Files and configuration of a scratch server that has not been started."""
    assert settings.restore is not None
    data = fetch(settings, backup.label, source, scratch, root, deadline)
    major = major_version(data)
    folder = programs("postgres", major, settings.programs, root)
    forget_settings(data)
    server = ScratchServer(scratch, folder, major or 0, settings.restore.user, settings.restore.unconfined)
    feed = WalFeed(scratch / "wal", wal_source(settings, scratch, root, deadline), server.place.user)
    server.bring_shell()
    recovery: Mapping[str, str] = {
        "restore_command": f'{shlex.quote(str(feed.script))} "%f" "%p"', "recovery_target_timeline": "latest",
        "max_prepared_transactions": server.prepared_transactions(deadline), **goal.settings,
    }  # fmt: skip
    server.configure({**settings.restore.settings, **recovery})
    return server, feed


def _look_through(
    server: ScratchServer, database: str, settings: Restore, record: record_file.ContentRecord | None,
    drawn: Collection[str], seen: _Seen, deadline: Deadline,
) -> None:  # fmt: skip
    """Rows and structure at the same time: the one mostly computes, the other reads the same pages."""

    def rows() -> bool:
        with server.connect(database) as connection:
            there = tables_of(connection)
            seen.tables = len(there)
            (seen.large_objects,) = connection.execute("select count(*) from pg_largeobject_metadata").fetchone()
            seen.behind = sequences_behind(connection, drawn) if drawn else ()
            if record is not None:
                seen.compared = compare(connection, record, there, settings.sample, deadline)
        return True

    def structure() -> bool:
        only = database if settings.check == "database" else ""
        seen.looked, seen.damaged = amcheck(server, only, settings.heapallindexed, deadline)
        return True

    if not all(side_by_side((rows, structure), deadline.time_left())):
        what = f"{server.data}: not read whole within {deadline.seconds:.3g} s"
        raise EvidenceProblem(Problem("timeout", what, "raise restore.timeout"))
