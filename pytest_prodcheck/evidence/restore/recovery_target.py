"""Up to where a restore replays, how one sees that it got there, and whether the record is for that point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.backups.base_backups import first_segment, folder_of_backup
from pytest_prodcheck.evidence.backups.pgbackrest_barman import barman_segments, pgbackrest_info
from pytest_prodcheck.evidence.backups.wal_archive import newest_segment, read_archive
from pytest_prodcheck.evidence.backups.wal_names import position, segment_number

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.content.record_file import ContentRecord
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.backups import Backup


@dataclass(frozen=True)
class RecoveryTarget:
    """Where replay is to end. settings: the server's. newest, size: the last segment of the archive, where it counts.

    not_comparable: why the record is not for that point, "" where it is.
    """

    words: str
    settings: Mapping[str, str] = field(default_factory=dict)
    newest: str = ""
    size: int = 0
    not_comparable: str = ""

    def explained(self, reason: str) -> str:
        """Why the server ended, with what that means for us."""
        if "before consistent recovery point" in reason:
            return f"{reason} ({self.words}): it lies before the backup's end; was the record taken after the backup?"
        if "before configured recovery target was reached" in reason:
            return f"{reason} ({self.words}): the archive has no WAL up to there, or a file in between is missing"
        return reason

    def missed(self, reached: str) -> str:
        """Why the position reached is not the end of the archive, "" where it is.

        A server that cannot fetch the next WAL file ends recovery as if the archive were
        complete, and comes up without the rest.
        """
        if not self.newest:
            return ""
        if not reached:
            return "its log does not say up to where it replayed"
        if position(reached) // self.size >= segment_number(self.newest, self.size):
            return ""
        return f"replay ended at {reached}, but the archive goes on to {self.newest}: WAL between them is missing"


def recovery_target_of(
    settings: Backups, backup: Backup, record: ContentRecord | None, root: Path, size: int,
    deadline: Deadline,
) -> RecoveryTarget:  # fmt: skip
    """As declared; else where the record was taken; else the end of the archive. size: of a WAL file."""
    assert settings.restore is not None
    target = settings.restore.target
    if settings.kind == "dump":
        return RecoveryTarget("the dump")
    chosen = next(((key, value) for key, value in target if value is not None), None)
    if chosen is not None:
        key, value = chosen
        same = record is not None and key == "lsn" and position(str(value)) == position(record.lsn)
        odd = "" if record is None or same else f"the record is of position {record.lsn}, not of {key} {value}"
        return RecoveryTarget(f"{key} {value}", {f"recovery_target_{key}": str(value)}, not_comparable=odd)
    if record is not None:
        # exactly the record's position: what begins there or later is not replayed
        exact = {"recovery_target_lsn": record.lsn, "recovery_target_inclusive": "off"}
        return RecoveryTarget(f"the record's position {record.lsn}", exact)
    newest = _end_of_archive(settings, backup, root, size, deadline)
    return RecoveryTarget("the end of the archive", newest=newest, size=size)


def _end_of_archive(settings: Backups, backup: Backup, root: Path, size: int, deadline: Deadline) -> str:
    """The newest segment that lies there, "" for none."""
    if settings.kind == "pgbackrest":
        info = pgbackrest_info(settings, root, deadline)
        return max((str(each["max"]) for each in info.get("archive", ()) if each.get("max")), default="")
    if settings.kind == "barman":
        names = [name[:24] for name in barman_segments(settings, backup.label, root, deadline)]
        return max((name for name in names if len(name) == 24), default="")
    place = folder_of_backup(root / (settings.folder or ""), backup.label)
    first, archive = first_segment(place), root / (settings.archive or "")
    listing = read_archive(archive, first, size)
    return newest_segment(listing.segments, listing.histories, first, size) or ""
