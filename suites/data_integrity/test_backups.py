"""Backups: their bytes are whole, WAL leads on from them without a gap, and a server comes up from one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

from ..clocks import AHEAD, FROM_THE_FUTURE
from ..streamed import STREAMED, judge_streaming

if TYPE_CHECKING:
    from pytest_prodcheck.records import Archiving, Backups, RestoreRun, Verification, WalArchive

HEARD = Limit(warn="60s", fail="300s")


@check("data_integrity.backups.manifest", severity="critical", runbook="backups-manifest")
def test_the_newest_backup_is_whole(
    postgres_backups: Backups, postgres_backup_verification: Verification, postgres_archiving: Archiving
) -> None:
    """The newest backup is complete, every byte matches its manifest, and it belongs to this cluster."""
    newest = postgres_backups.found[-1]
    others = f" ({postgres_backups.running} more not finished)" if postgres_backups.running else ""
    judge("newest backup can be used", not newest.problem, of=f"{newest.label}{others}", reason=newest.problem)
    for each in postgres_backup_verification.backups:
        judge(postgres_backup_verification.program, each.good, of=each.label, reason=each.said)
    running = postgres_archiving.system_identifier
    if newest.system_identifier and running:
        judge("cluster it was taken from", newest.system_identifier, equals=running, of=newest.label,
              reason=(f"the backup is of cluster {newest.system_identifier}, but "
                  f"the running cluster is {running}"))  # fmt: skip
    for said in postgres_backups.complaints:
        judge("backup tool reports no problem", False, reason=said)


@check("data_integrity.backups.wal", severity="critical", runbook="backups-wal",
       fixed={"last message of the WAL receiver": HEARD, **STREAMED, **FROM_THE_FUTURE})  # fmt: skip
def test_wal_leads_on_without_a_gap(postgres_wal_archive: WalArchive, postgres_archiving: Archiving) -> None:
    """No WAL is missing between the newest backup and the newest segment, and the archiver does not fail."""
    archive = postgres_wal_archive
    shown = ", ".join(archive.missing) + (", …" if archive.missing_count > len(archive.missing) else "")
    judge("segments missing", archive.missing_count, equals=0, of=archive.source,
          reason=f"{shown} (of {archive.needed} from {archive.first} on)")  # fmt: skip
    judge("segments of another size", len(archive.broken), equals=0, reason=", ".join(archive.broken))
    for said in archive.complaints:
        judge("archive has no damage", False, reason=said)
    if archive.newest_at is not None:
        judge("newest segment is not dated in the future", archive.newest_at <= archive.now + AHEAD,
              reason=f"{archive.newest} is dated {archive.newest_at - archive.now:.0f} s in the future")  # fmt: skip
    if not postgres_archiving.archives and postgres_archiving.receiver:
        judge_streaming(postgres_archiving, HEARD)
        return
    judge("archiving is on", postgres_archiving.archives, of=postgres_archiving.node, reason=postgres_archiving.why_not)
    judge("the archiver works", not postgres_archiving.failing, of=postgres_archiving.node,
          reason=(f"it fails to archive {postgres_archiving.last_failed} "
              f"({postgres_archiving.failed} times)"))  # fmt: skip


@check(
    "data_integrity.backups.restore", severity="critical", limit=Limit(warn="1h", fail="4h"), runbook="backups-restore",
    opt_in="restores a backup into a scratch server on this machine: disk, CPU, and bandwidth of the archive",
)  # fmt: skip
def test_a_backup_comes_up(postgres_restore: RestoreRun, limit: Limit) -> None:
    """A restored backup is consistent and has the recorded rows; the recovery time is within its limit."""
    run = postgres_restore
    if not run.recovered:
        judge("recovered", False, of=run.label, reason="; ".join(run.wrong))
        return
    for said in run.wrong:
        judge("restored data is as recorded", False, of=run.label, reason=said)
    if run.record_problem:
        judge(
            "restored data is as recorded",
            None,
            equals=True,
            of=run.label,
            reason=f"not compared: {run.record_problem}",
        )
    if not run.confined:
        said = (
            "restored without a sandbox, with the permissions of this user "
            "(backups.restore.unconfined): code in the backup can run with them"
        )
        judge("restored in a sandbox", False, of=run.label, warn_only=True, reason=said)
    judge("recovery time", run.recovery_time, at_most=limit, unit="s", of=f"{run.label}: {run.seen}")
