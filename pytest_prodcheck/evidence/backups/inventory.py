"""`postgres-backups` and `postgres-archiving`: what backups there are, and what the primary still has to archive."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.backups.base_backups import base_backups
from pytest_prodcheck.evidence.backups.dumps import dumps, listed
from pytest_prodcheck.evidence.backups.pgbackrest_barman import (
    barman,
    barman_complaints,
    barman_receiver,
    pgbackrest,
    pgbackrest_info,
)
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.postgres.session import on_primary
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.subprocesses import run
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.backups import Archiving, Backup, Backups, Receiver

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.backups import Backups as BackupSettings
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

SECONDS = 60.0  # Barman takes a second a question
Catalogue = tuple[list[Backup], int, tuple[str, ...]]


def settings_of(target: str, context: Context) -> BackupSettings:
    """The declared backups of a cluster; raises EvidenceProblem where none are."""
    found = context.environment.postgres[target].backups
    if found is None:
        raise EvidenceProblem(Problem("configuration", f"postgres {target}: no backups are declared"))
    return found


def source_of(settings: BackupSettings) -> str:
    """Where backups are looked for, in words."""
    if settings.kind == "pgbackrest":
        return f"pgBackRest stanza {settings.stanza}"
    if settings.kind == "barman":
        return f"Barman server {settings.server}"
    return settings.folder or (settings.listing.command[0] if settings.listing else "")


def backups_host(target: str, environment: Environment) -> str:
    """Whom questions about a cluster's backups go to: one at a time, for they read the same disks."""
    return f"backups of {target}"


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target].backups
    if settings is None:
        return ()
    tool = " ".join(settings.tool_words) if settings.kind in ("pgbackrest", "barman") else ""
    if settings.kind == "pgbackrest":
        return (Sending("this machine", f"runs {tool} info"),)
    if settings.kind == "barman":
        return (Sending("this machine", f"runs {tool} list-backups, show-backup, check"),)
    if settings.listing is not None:
        return (Sending("this machine", f"runs {settings.listing.command[0]}"),)
    if (settings.folder or "").startswith("s3://"):
        return (Sending(settings.s3.endpoint, f"ListObjectsV2 of {settings.folder}"),)
    return (Sending("this machine", f"lists {settings.folder}"),)


@evidence("postgres-backups", axis="postgres", feature="backups", seconds=SECONDS, host=backups_host, sends=_sends)
def postgres_backups(target: str, context: Context, deadline: Deadline) -> Backups:
    """All finished backups of a cluster; raises EvidenceProblem where the place or tool does not tell."""
    settings, now = settings_of(target, context), time.time()
    found, running, complaints = catalogue(target, context, deadline)
    expect, database = settings.expect, context.environment.postgres[target].database
    return Backups(
        settings.kind, source_of(settings), now, tuple(found), running, complaints, expect.any, expect.full,
        expect.retained, database,
    )  # fmt: skip


def catalogue(target: str, context: Context, deadline: Deadline) -> Catalogue:
    """The backups, how many are being taken, what the tool complains of; looked up once in a run."""
    return context.once(("postgres-backups", target), lambda: _catalogue(target, context, deadline), deadline)


def _catalogue(target: str, context: Context, deadline: Deadline) -> Catalogue:
    settings, root = settings_of(target, context), context.root
    if settings.kind == "pgbackrest":
        return pgbackrest(pgbackrest_info(settings, root, deadline))
    if settings.kind == "barman":
        (found, running, _), _ = barman(settings, root, deadline)
        return found, running, barman_complaints(settings, root, deadline)
    if settings.kind == "basebackup":
        return (*base_backups(root / (settings.folder or "")), ())
    if settings.folder is not None and settings.folder.startswith("s3://"):
        from pytest_prodcheck.evidence.backups.object_store import objects

        return objects(settings, context, deadline), 0, ()
    if settings.folder is not None:
        return (*dumps(root / settings.folder, settings.pattern), ())
    words = settings.listing.command if settings.listing else ()
    done = run(words, deadline, folder=root)
    if done.code:
        raise EvidenceProblem(Problem("protocol", f"{words[0]}: {done.error_text}", "run it by hand"))
    return listed(done.output, settings.pattern, words[0]), 0, ()


def newest_usable(found: list[Backup]) -> Backup | None:
    """The newest backup that nothing speaks against."""
    return next((each for each in reversed(found) if not each.problem), None)


def backup_named(wanted: str, found: list[Backup], where: str) -> Backup:
    """The backup of a label, or the newest; raises EvidenceProblem where there is none."""
    chosen = newest_usable(found) if wanted == "newest" else next((one for one in found if one.label == wanted), None)
    if chosen is None:
        said = "no backup that could be restored" if wanted == "newest" else f"no backup {wanted}"
        raise EvidenceProblem(Problem("configuration", f"{where}: {said}", "see pre_deploy.backups.age"))
    return chosen


def folder_of(settings: BackupSettings, root: Path) -> Path:
    """The declared folder of backups."""
    return root / (settings.folder or "")


# pg_ls_archive_statusdir() is open to pg_monitor (PostgreSQL 12 and newer); a primary that archives nothing has none.
_ARCHIVING = """\
select json_build_object(
  'system_identifier', (select system_identifier::text from pg_control_system()),
  'database_size', (select sum(pg_database_size(oid)) from pg_database
                    where has_database_privilege(oid, 'connect')
                    or pg_has_role(current_user, 'pg_read_all_stats', 'usage')),
  'mode', current_setting('archive_mode'), 'command', current_setting('archive_command'),
  'library', coalesce(current_setting('archive_library', true), ''),
  'segment_size', (select setting::bigint from pg_settings where name = 'wal_segment_size'),
  'current_segment', pg_walfile_name(pg_current_wal_lsn()),
  'archived', archived_count, 'failed', failed_count,
  'last_archived', coalesce(last_archived_wal, ''), 'last_failed', coalesce(last_failed_wal, ''),
  'failing', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
  'failing_for', case when last_failed_time > coalesce(last_archived_time, '-infinity')
                 then extract(epoch from clock_timestamp() - coalesce(last_archived_time, last_failed_time)) end,
  'waiting', w.waiting, 'oldest_waiting', w.oldest,
  'receivers', (select coalesce(json_agg(json_build_array(r.application_name, coalesce(s.slot_name, ''),
      coalesce(r.state, ''), (pg_current_wal_lsn() - r.flush_lsn)::bigint,
      extract(epoch from clock_timestamp() - r.reply_time))), '[]')
    from pg_stat_replication r left join pg_replication_slots s on s.active_pid = r.pid))
from pg_stat_archiver, lateral (
  select count(*) as waiting, extract(epoch from clock_timestamp() - min(s.modification)) as oldest
  from pg_ls_archive_statusdir() as s where s.name like '%.ready' and current_setting('archive_mode') <> 'off') as w"""
_ASKED = "the archiver"
# PostgreSQL's documentation, "WAL Archiving": /bin/true switches archiving off without a restart; (disabled) is an
# archive_mode that is off
_KEEPS_NOTHING = re.compile(r"|:|exit 0|cd \.|(?:/usr)?(?:/bin/)?true")


def _archiving_sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target]
    what = f"PostgreSQL login as {settings.user}, one read-only transaction: the archiver"
    return tuple(Sending(each, what) for each in settings.nodes)


@evidence(
    "postgres-archiving", axis="postgres", feature="backups", seconds=20.0,
    host=lambda target, environment: environment.postgres[target].nodes[0], sends=_archiving_sends,
)  # fmt: skip
def postgres_archiving(target: str, context: Context, deadline: Deadline) -> Archiving:
    """The primary's archiver and size; raises EvidenceProblem where there is no primary, or it may not be read."""
    return archiving(target, context, deadline)


def archiving(target: str, context: Context, deadline: Deadline) -> Archiving:
    """What the primary says, asked once in a run."""
    return context.once(("postgres-archiving", target), lambda: _ask(target, context, deadline), deadline)


def _ask(target: str, context: Context, deadline: Deadline) -> Archiving:
    with on_primary(target, context, deadline) as session:
        told = session.facts(_ARCHIVING, what=_ASKED)
        try:
            discards = not told["library"] and bool(_KEEPS_NOTHING.fullmatch(str(told["command"]).strip()))
            return Archiving(
                session.where, str(told["system_identifier"]), int(told["database_size"]), str(told["mode"]),
                int(told["segment_size"]), str(told["current_segment"]), int(told["archived"]), int(told["failed"]),
                str(told["last_archived"]), str(told["last_failed"]), bool(told["failing"]),
                _number(told["failing_for"]), int(told["waiting"]), _number(told["oldest_waiting"]),
                _receiver(target, "off" if discards else str(told["mode"]), context, deadline),
                tuple(Receiver(plain(name), plain(slot), str(state), None if behind is None else int(behind),
                               None if heard is None else max(float(heard), 0.0))
                      for name, slot, state, behind, heard in told["receivers"]),
                discards,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError):
            what = f"{session.where}: unexpected content in pg_stat_archiver"
            raise EvidenceProblem(Problem("protocol", what)) from None


def _receiver(target: str, mode: str, context: Context, deadline: Deadline) -> str:
    """Who is meant to receive WAL by streaming, where the server archives none: as declared, or as Barman says."""
    settings = settings_of(target, context)
    if settings.receiver is not None or mode != "off" or settings.kind != "barman":
        return settings.receiver or ""
    return barman_receiver(settings, context.root, deadline)


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
