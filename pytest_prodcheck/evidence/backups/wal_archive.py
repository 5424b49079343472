"""`postgres-wal-archive`: whether archived WAL leads from the newest good backup on without a gap."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck import resource_exhaustion
from pytest_prodcheck.evidence.backups.base_backups import first_segment, folder_of_backup, unreadable_archive
from pytest_prodcheck.evidence.backups.inventory import (
    archiving,
    backup_named,
    backups_host,
    catalogue,
    settings_of,
    source_of,
)
from pytest_prodcheck.evidence.backups.pgbackrest_barman import (
    barman,
    barman_segments,
    barman_wal,
    pgbackrest_file,
    pgbackrest_info,
    pgbackrest_verify,
    pgbackrest_wal,
)
from pytest_prodcheck.evidence.backups.wal_names import (
    HISTORY,
    SEGMENT,
    HistoryEntry,
    history,
    name_of,
    needed,
    segment_number,
    timeline,
)
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.tools.compressed_files import BROKEN, SUFFIXES, opened, packing
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.backups import Archiving, WalArchive

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

SHOWN = 20  # names of missing segments that are kept
AGAIN = 1.0  # seconds until a file of another size is looked at again: it may just be being written


@dataclass
class Listing:
    """What lies in an archive. segments: name -> None, or size of an unpacked file. histories: timeline -> lines."""

    segments: dict[str, int | None] = field(default_factory=dict)
    histories: dict[int, tuple[HistoryEntry, ...]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)
    sealed: list[str] = field(default_factory=list)  # history files that cannot be read: encrypted, or packed oddly


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target].backups
    if settings is None:
        return ()
    tools = {"pgbackrest": "runs pgbackrest info, verify, repo-ls", "barman": "runs barman list-files"}
    what = tools.get(settings.kind, f"lists {settings.archive}")
    return (Sending("this machine", what),)


def _seconds(target: str, environment: Environment) -> float:
    settings = environment.postgres[target].backups
    return settings.verify_timeout if settings and settings.kind == "pgbackrest" else 60.0


@evidence("postgres-wal-archive", axis="postgres", feature="wal", seconds=_seconds, host=backups_host, sends=_sends)
def postgres_wal_archive(target: str, context: Context, deadline: Deadline) -> WalArchive:
    """The archive as its files, or the tool that keeps it, tell; raises EvidenceProblem where they cannot be read."""
    settings, root = settings_of(target, context), context.root
    found = catalogue(target, context, deadline)[0]
    label = backup_named("newest", found, source_of(settings)).label
    primary = archiving(target, context, deadline)
    size = primary.segment_size
    now = time.time()
    if settings.kind == "pgbackrest":
        return _pgbackrest(settings, label, root, primary, deadline, now)
    if settings.kind == "barman":
        first = barman(settings, root, deadline)[1]
        names = barman_segments(settings, label, root, deadline)
        listing = listing_of(names, first, lambda name: barman_wal(settings, name, root, deadline))
        return archive_record(source_of(settings), label, first, listing, size, now, (), primary.last_archived)
    folder = root / (settings.archive or "")
    first = first_segment(folder_of_backup(root / (settings.folder or ""), label))
    listing = read_archive(folder, first, size)
    return archive_record(str(settings.archive), label, first, listing, size, now, (), primary.last_archived)


def listing_of(names: Iterable[str], first: str, read: Callable[[str], str]) -> Listing:
    """A listing of plain names. read: gives a history file's text; those from the first segment's timeline on count."""
    listing, names = Listing(), list(names)
    listing.segments = dict.fromkeys(name for name in names if len(name) == 24 and SEGMENT.fullmatch(name))
    for name in names:
        if (found := HISTORY.fullmatch(name)) and int(found[1], 16) > timeline(first):
            try:
                listing.histories[int(found[1], 16)] = history(read(name))
            except ValueError:
                listing.broken.append(name)
    return listing


def read_archive(folder: Path, first: str, size: int) -> Listing:
    """The files of an archive that matter from a segment on; raises EvidenceProblem where it cannot be read."""
    listing = Listing()
    suspects: list[os.DirEntry[str]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if found := HISTORY.fullmatch(entry.name):
                    packed_as = Path(entry.name).suffix
                    if packed_as != ".history" and packed_as not in SUFFIXES:
                        listing.sealed.append(entry.name)
                        continue
                    lines = _history(Path(entry.path))
                    if lines is None:
                        listing.broken.append(entry.name)
                    else:
                        listing.histories[int(found[1], 16)] = lines
                elif (found := SEGMENT.fullmatch(entry.name)) and not found[2]:  # a partial one is no segment yet
                    if segment_number(found[1], size) < segment_number(first, size):
                        continue
                    about = entry.stat()
                    packed = found[3] is not None
                    if (about.st_size != size) if not packed else about.st_size == 0:
                        suspects.append(entry)
                    listing.segments[found[1]] = None if packed else about.st_size
                    listing.times[found[1]] = about.st_mtime
    except OSError as error:
        raise unreadable_archive(folder, error) from None
    if suspects:
        time.sleep(AGAIN)
        listing.broken += [each.name for each in suspects if _has_wrong_size(Path(each.path), size)]
    return listing


def _has_wrong_size(path: Path, size: int) -> bool:
    try:
        found = path.stat().st_size
    except OSError:
        resource_exhaustion.note_handled_shortage()
        return False  # it went meanwhile: then it is missing, or was renamed
    return found == 0 if path.suffix or packing(path) else found != size


def _history(path: Path) -> tuple[HistoryEntry, ...] | None:
    try:
        with opened(path) as file:
            return history(file.read().decode())
    except (ValueError, *BROKEN):
        return None


def archive_record(
    source: str, label: str, first: str, listing: Listing, size: int, now: float, complaints: Iterable[str],
    told: str = "",
) -> WalArchive:  # fmt: skip
    """What the names in an archive show, from a backup's first segment on.

    told: the file that the primary says it archived last: up to there all must lie here.
    """
    complaints = list(complaints)
    names = set(listing.segments)
    if SEGMENT.fullmatch(told) and len(told) == 24 and segment_number(told, size) >= segment_number(first, size):
        names.add(told)
    newest = newest_segment(names, listing.histories, first, size)
    if newest is None:
        name = name_of(timeline(first), segment_number(first, size), size)
        return WalArchive(source, label, first, "", 1, (name,), 1, (), None, now, tuple(complaints))
    wanted, missing = 0, []
    try:
        for name in needed(first, newest, listing.histories, size):
            wanted += 1
            if name not in listing.segments:
                missing.append(name)
    except ValueError as error:
        if listing.sealed:
            what = (
                f"{source}: {', '.join(sorted(listing.sealed)[:3])} cannot be read, so "
                "the start of its timeline is not known"
            )
            hint = "archive .history files unencrypted and uncompressed; they contain no data"
            raise EvidenceProblem(Problem("configuration", what, hint)) from None
        complaints.append(str(error))
    return WalArchive(
        source, label, first, newest, wanted, tuple(missing[:SHOWN]), len(missing),
        tuple(sorted(listing.broken)[:SHOWN]), listing.times.get(newest), now, tuple(complaints),
    )  # fmt: skip


def newest_segment(
    names: Iterable[str], histories: Mapping[int, tuple[HistoryEntry, ...]], first: str, size: int
) -> str | None:
    """The newest segment on the newest timeline that comes from the first one's; None where there is none."""
    start = timeline(first)
    heirs = {on for on, lines in histories.items() if any(each.timeline == start for each in lines)} | {start}
    there = [name for name in names if timeline(name) in heirs or timeline(name) > max(heirs)]
    return max(there, key=lambda name: (timeline(name), segment_number(name, size)), default=None)


def _pgbackrest(
    settings: Backups, label: str, root: Path, primary: Archiving, deadline: Deadline, now: float
) -> WalArchive:
    """What lies in pgBackRest's repository: its `verify` reads every file and passes over a gap between them."""
    info = pgbackrest_info(settings, root, deadline)
    backup = next(each for each in info["backup"] if each["label"] == label)
    first, last = backup["archive"]["start"], backup["archive"]["stop"]
    if first is None or last is None:
        what = f"{label}: it was taken with --no-online, so WAL cannot be replayed from it"
        raise EvidenceProblem(Problem("configuration", what, "take an online backup"))
    of = backup["database"]
    names = pgbackrest_wal(settings, info, of, root, deadline)
    listing = listing_of(names, first, lambda name: pgbackrest_file(settings, info, of, names[name], root, deadline))
    wrong = [pgbackrest_verify(settings, info, root, deadline)[1]]
    if last not in listing.segments:
        wrong.append(f"the backup's own WAL is missing: {last}")
    complaints = [each for each in wrong if each]
    told = primary.last_archived
    return archive_record(source_of(settings), label, first, listing, primary.segment_size, now, complaints, told)
