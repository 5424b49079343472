"""Backups before a deployment: there is one, it is recent, and it was tried."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

from ..clocks import AHEAD, FROM_THE_FUTURE
from ..streamed import STREAMED, judge_streaming

if TYPE_CHECKING:
    from pytest_prodcheck.records import Archiving, Backup, Backups, RestoreRecord

LATE, MISSED = 1.5, 2.0  # intervals of a declared schedule: half an interval late, one left out
ENOUGH = 3  # earlier backups that a median is taken of


def _good(backups: Backups, archiving: Archiving) -> list[Backup]:
    """The backups that could be restored here, oldest first."""
    running = archiving.system_identifier
    return [each for each in backups.found if not each.problem
            and (not running or each.system_identifier in ("", running))
            and each.database in ("", backups.database)]  # fmt: skip


@check("pre_deploy.backups.age", severity="critical", limit=Limit(warn="26h", fail="50h"), runbook="backups-age",
       fixed={"age, as a multiple of the declared interval": Limit(warn=LATE, fail=MISSED),
              **FROM_THE_FUTURE})  # fmt: skip
def test_the_last_backup_is_recent(postgres_backups: Backups, postgres_archiving: Archiving, limit: Limit) -> None:
    """The age of the last usable backup; if declared, also of the last full one, and the number kept."""
    backups, good = postgres_backups, _good(postgres_backups, postgres_archiving)
    if not judge("backups that could be restored", bool(good), of=backups.source, reason=_why_none(backups, good)):
        return
    newest = good[-1]
    for each in backups.found:
        moment = max(each.ended_at, each.modified_at or 0.0)
        if moment > backups.now + AHEAD:
            judge("backup is not dated in the future", False, of=each.label,
                  reason=f"it is dated {moment - backups.now:.0f} s in the future: a clock is wrong")  # fmt: skip
    age = backups.now - newest.ended_at
    judge("age", max(age, 0.0), at_most=limit, unit="s", of=newest.label)
    full = [each for each in good if each.kind != "incremental"]
    _on_time("age of the newest backup", age, backups.expected_any, newest.label)
    if full:
        _on_time(
            "age of the newest full backup", backups.now - full[-1].ended_at, backups.expected_full, full[-1].label
        )
    elif backups.expected_full is not None:
        judge("full backups", False, reason="there is none")
    if backups.expected_retained is not None:
        judge("full backups kept", len(full), at_least=backups.expected_retained)
    for said in backups.complaints:
        judge("backup tool reports no problem", False, reason=said)


def _on_time(what: str, age: float, every: float | None, label: str) -> None:
    if every is not None:
        judge(what, max(age, 0.0), at_most=Limit(warn=every * LATE, fail=every * MISSED), unit="s", of=label)


def _why_none(backups: Backups, good: list[Backup]) -> str:
    if not backups.found:
        return "there is none"
    newest = backups.found[-1]
    of_another = f"{newest.label} is a backup of another cluster or database" if not newest.problem else ""
    return (newest.problem and f"{newest.label}: {newest.problem}") or of_another


@check(
    "pre_deploy.backups.wal-backlog", severity="critical", limit=Limit(warn="60s", fail="300s"),
    runbook="backups-wal-backlog", fixed=STREAMED,
)  # fmt: skip
def test_finished_wal_is_archived(postgres_archiving: Archiving, limit: Limit) -> None:
    """The time that the oldest finished WAL file waits for its archive, or since its receiver was last heard."""
    archiving = postgres_archiving
    if not archiving.archives and archiving.receiver:
        judge_streaming(archiving, limit)
        return
    if judge("archiving is on", archiving.archives, of=archiving.node, reason=archiving.why_not):
        said = f"{archiving.waiting} files wait, last failure: {archiving.last_failed or 'never'}"
        oldest = 0.0 if archiving.waiting == 0 else archiving.oldest_waiting
        judge("oldest file waits", oldest, at_most=limit, unit="s", of=archiving.node, reason=said)


@check("pre_deploy.backups.size", severity="medium", limit=Limit(fail="50%"), runbook="backups-size")
def test_the_last_backup_has_its_usual_size(
    postgres_backups: Backups, postgres_archiving: Archiving, limit: Limit
) -> None:
    """The size of the last backup, compared with the median of its kind and with the databases."""
    good = [each for each in _good(postgres_backups, postgres_archiving) if each.size is not None]
    for kind in ("full", "incremental", "dump"):
        own = [each for each in good if each.kind == kind]
        if not own:
            continue
        newest, before = own[-1], [each.size or 0 for each in own[:-1]]
        size = newest.size or 0
        judge("is not empty", size > 0, of=newest.label)
        if len(before) >= ENOUGH:
            _close(f"size against the median of {len(before)}", size, median(before), newest.label, limit)
        if kind == "full":
            # smaller by far than what runs: something was left out, or much has grown since
            share = 100 * size / max(postgres_archiving.database_size, 1)
            judge("size against the databases'", share, at_least=limit, unit="%", of=newest.label)
    if not good:
        judge("backups with a size", False, reason="no backup can be restored")


def _close(what: str, size: float, usual: float, label: str, limit: Limit) -> None:
    """The smaller of the two in percent of the larger: 50 % is half or double."""
    share = 100 * min(size, usual) / max(size, usual, 1)
    judge(what, share, at_least=limit, unit="%", of=label, reason=f"{size} B, usually {usual:.0f} B")


@check("pre_deploy.backups.verified", severity="high", limit=Limit(warn="7d", fail="30d"), runbook="backups-verified")
def test_a_backup_was_restored_lately(
    postgres_restore_record: RestoreRecord, postgres_archiving: Archiving, limit: Limit
) -> None:
    """The age of the last good restore of a backup of this cluster."""
    record, running = postgres_restore_record, postgres_archiving.system_identifier
    if not judge("a restore was recorded", record.problem is None, of=record.source, reason=str(record.problem or "")):
        return
    why = "; ".join(record.wrong[:3]) or "the record gives no reason"
    some = f", {record.share:.2%} of their rows" if record.share < 1 else ""
    compared = f"{record.compared} tables compared{some}"
    judge("it was good", record.good, of=f"{record.label} ({compared})", reason=why)
    if running:
        judge("cluster of the restored backup", record.system_identifier, equals=running, of=record.label)
    age = record.now - record.restored_at
    ahead = f"its time is {-age:.0f} s ahead: a clock is wrong"
    judge("record is not dated in the future", age >= -AHEAD, of=record.label, reason=ahead)
    judge("restored ago", max(age, 0.0), at_most=limit, unit="s", of=record.label)
