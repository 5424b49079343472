"""What the checks of backups and replication must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults import data_integrity
from pytest_prodcheck.demo.faults.fault import Fault

_MANIFEST, _WAL, _RESTORE = (
    ("data_integrity.backups.manifest",), ("data_integrity.backups.wal",), ("data_integrity.backups.restore",),
)  # fmt: skip
_AGE, _BACKLOG, _SIZE, _VERIFIED = (
    ("pre_deploy.backups.age",), ("pre_deploy.backups.wal-backlog",), ("pre_deploy.backups.size",),
    ("pre_deploy.backups.verified",),
)  # fmt: skip
_TOPOLOGY, _DELAY, _BYTES, _CONTENT = (
    ("data_integrity.replication.topology",), ("data_integrity.replication.delay",),
    ("data_integrity.replication.bytes",), ("data_integrity.replication.content",),
)  # fmt: skip
_SLOTS = ("data_integrity.replication.slots",)
# who cannot tell while there is not one primary, or no standby
_TROUBLED = data_integrity.POSTGRES
_BACKUP, _ARCHIVE, _LAST = "the base backup", "the WAL archive", "the last restore"
_NODES = "PostgreSQL's nodes"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "backup-heap-flipped", "one bit of a table's file in the backup is changed", _MANIFEST, _RESTORE, part=_BACKUP
    ),
    Fault(
        "backup-index-flipped",
        "one bit of an index's file in the backup is changed",
        (*_MANIFEST, *_RESTORE),
        part=_BACKUP,
    ),
    Fault("backup-row-changed", "a row of the backup differs, but all checksums are right", _RESTORE, part=_BACKUP),
    Fault("backup-file-missing", "the file of a table is missing in the backup", _MANIFEST, _RESTORE, part=_BACKUP),
    Fault("backup-unfinished", "the only backup was aborted an hour ago", _AGE, _SIZE, part=_BACKUP),
    Fault("backup-half-size", "the backup contains only one database", _SIZE, part=_BACKUP),
    Fault("backup-late", "the last backup is 29 hours old", _AGE, outcome="warned", part=_BACKUP),
    Fault("backup-old", "the last backup is three days old", _AGE, part=_BACKUP),
    Fault("backup-from-the-future", "the backup is dated tomorrow: a clock is wrong", _AGE, part=_BACKUP),
    Fault(
        "backup-foreign",
        "the newest backup is from another cluster",
        (*_AGE, *_MANIFEST),
        (*_SIZE, *_WAL, *_RESTORE),
        part=_BACKUP,
    ),
    Fault("backups-gone", "there is no backup at all", _AGE, _SIZE, part=_BACKUP),
    Fault("wal-segment-deleted", "a WAL file from after the backup is missing in the archive", _WAL, part=_ARCHIVE),
    Fault(
        "wal-segment-cut", "a WAL file in the archive is only half as long as the others",
        _WAL, _RESTORE, part=_ARCHIVE,
    ),
    Fault(
        "wal-needed-deleted",
        "the WAL file in which a restore ends is missing in the archive",
        (*_WAL, *_RESTORE),
        part=_ARCHIVE,
    ),
    Fault("wal-from-the-future", "the newest WAL file in the archive has tomorrow's date", _WAL, part=_ARCHIVE),
    Fault("archiver-failing", "archiving has failed for ten minutes", (*_WAL, *_BACKLOG), part=_ARCHIVE),
    Fault("content-record-missing", "no record of the source's content was made", _RESTORE),
    Fault("restore-old", "the last restore was 35 days ago", _VERIFIED, part=_LAST),
    Fault("restore-late", "the last restore was 10 days ago", _VERIFIED, outcome="warned", part=_LAST),
    Fault("restore-failed", "the last restore failed", _VERIFIED, part=_LAST),
    Fault("restore-of-another", "the last restore was of another cluster's backup", _VERIFIED, part=_LAST),
    Fault("replay-paused", "replay is paused on the standby", _DELAY, _TROUBLED, part=_NODES),
    Fault("replay-delayed", "the standby applies each transaction an hour late", _DELAY, _CONTENT, part=_NODES),
    Fault("replay-halted", "replay is stuck while 24 MB are written", _BYTES, (*_DELAY, *_CONTENT), part=_NODES),
    Fault("slot-lost", "WAL that a replication slot needs was removed", _SLOTS, part=_NODES),
    Fault("slot-forgotten", "18 WAL files are kept for an unused slot", _SLOTS, part=_NODES),
    Fault("standby-astray", "the standby cannot find its primary", _TOPOLOGY, (*_DELAY, *_CONTENT), part=_NODES),
    Fault("synchronous-missing", "commits wait for a standby that does not exist",
          (*_TOPOLOGY, "smoke.postgres.primary"), (*_CONTENT, "smoke.workflow.order", "smoke.api.endpoint",
           "smoke.service.negotiation"),
          part=_NODES),
    Fault("standby-row-changed", "a row of the standby differs, but all checksums are right", _CONTENT, part=_NODES),
    Fault(
        "standby-row-missing",
        "a row is missing on the standby",
        _CONTENT,
        ("data_integrity.rows.unpaid-orders",),
        part=_NODES,
    ),
    Fault(
        "copy-promoted",
        "the standby was promoted, and a row changed on it",
        (*_TOPOLOGY, *_CONTENT),
        _TROUBLED,
        part=_NODES,
    ),
    Fault("restore-never", "no restore was ever recorded", _VERIFIED, part=_LAST),
)

_BOTH = ("data_integrity", "pre_deploy")
BENIGN: tuple[Fault, ...] = (
    Fault("base-backup-running", "a base backup is being taken", part=_BACKUP, suites=_BOTH),
    Fault("archive-idle", "nothing was written for two days, so no WAL was archived", part=_ARCHIVE, suites=_BOTH),
    Fault("archive-packed", "the archived WAL is compressed", part=_ARCHIVE, suites=_BOTH),
    Fault("slot-resting", "an unused slot keeps two WAL files", part=_NODES, suites=_BOTH),
    Fault("standby-restarted", "the standby was restarted a moment ago", part=_NODES, suites=_BOTH),
    Fault("writes-all-the-time", "rows are written fifty times a second", part=_NODES, suites=_BOTH),
    Fault("query-cancelled", "replay cancelled a query on the standby", part=_NODES, suites=_BOTH),
    Fault("recovery-failed-over", "a failover just happened: WAL has a new timeline", part=_NODES, suites=_BOTH),
)
