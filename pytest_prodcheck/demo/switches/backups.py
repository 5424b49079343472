"""Faults and benign events of backups and archived WAL, by real means."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.demo.postgres import backup_manifest, heap_page
from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.runtime.processes import end
from pytest_prodcheck.demo.runtime.waiting import until

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

Act = Callable[["System"], None]
HOUR, DAY = 3600.0, 86400.0
_FAILING = "select last_failed_time > coalesce(last_archived_time, '-infinity') from pg_stat_archiver"
_WAITING = "select count(*) from pg_ls_archive_statusdir() where name like '%.ready'"


def _path_of(cluster: Cluster, relation: str) -> str:
    return str(cluster.primary.ask("select pg_relation_filepath(%s)", relation))


def _changed_backup(change: Callable[[Cluster, Path], None]) -> tuple[Act, Act]:
    """A fault inside the newest backup: a copy is changed, the good one comes back afterwards."""

    def on(system: System) -> None:
        cluster = system.postgres
        cluster.base.rename(cluster.folder / "good")
        cluster.spawner.run(["cp", "-a", cluster.folder / "good", cluster.base], system.place / "backup.log")
        change(cluster, cluster.base)

    def off(system: System) -> None:
        cluster = system.postgres
        shutil.rmtree(cluster.base, ignore_errors=True)
        (cluster.folder / "good").rename(cluster.base)

    return on, off


def _flip(relation: str) -> tuple[Act, Act]:
    # 40 bytes from the end of the first page: inside the rows of a heap, the special space's neighbour of an index
    return _changed_backup(lambda cluster, base: heap_page.flip(base / _path_of(cluster, relation), 8192 - 40))


def _row_changed(cluster: Cluster, base: Path) -> None:
    """As if the server had read a page wrongly while the backup was taken: every checksum is right, the row is not."""
    path = _path_of(cluster, "payments")
    heap_page.change(base / path, b"test-visa", b"test-vasa")
    backup_manifest.measured_again(base, path)


def _file_missing(cluster: Cluster, base: Path) -> None:
    (base / _path_of(cluster, "payments")).unlink()


def _without_end(cluster: Cluster, base: Path) -> None:
    (base / backup_manifest.MANIFEST).unlink()
    then = time.time() - HOUR
    for each in (base, *base.iterdir()):
        os.utime(each, (then, then))


def _one_database_only(cluster: Cluster, base: Path) -> None:
    """Only one database is in it, and its manifest knows nothing of the others."""
    databases = ("shop", "postgres", "template0")
    oids = [cluster.primary.ask("select oid from pg_database where datname = %s", each) for each in databases]
    backup_manifest.remove_files(base, *(f"base/{oid}/" for oid in oids))


def _older(days: float) -> tuple[Act, Act]:
    return _changed_backup(lambda cluster, base: backup_manifest.earlier(base, days))


def _from_the_future(cluster: Cluster, base: Path) -> None:
    then = time.time() + DAY
    os.utime(base / backup_manifest.MANIFEST, (then, then))


def _foreign(cluster: Cluster, base: Path) -> None:
    """The backup is of a cluster with another identifier: pg_control begins with it, and ends its data with a CRC."""
    control = base / "global" / "pg_control"
    data = bytearray(control.read_bytes())
    ends = next(at for at in range(200, 512) if backup_manifest.crc32c(bytes(data[:at])) == _number(data, at))
    struct.pack_into("=Q", data, 0, 7_000_000_000_000_000_001)
    struct.pack_into("=I", data, ends, backup_manifest.crc32c(bytes(data[:ends])))
    with control.open("r+b") as stream:
        stream.write(data)
    backup_manifest.measured_again(base, "global/pg_control")


def _number(data: bytearray, at: int) -> int:
    return int(struct.unpack_from("=I", data, at)[0])


def _remove_backup(system: System) -> None:
    system.postgres.base.rename(system.postgres.folder / "good")


def _restore_backup(system: System) -> None:
    (system.postgres.folder / "good").rename(system.postgres.base)


# -- archived WAL


def _segments(cluster: Cluster) -> list[Path]:
    return sorted(each for each in cluster.archive.iterdir() if len(each.name) == 24)


def finish_segments(cluster: Cluster, count: int) -> None:
    """Finishes so many WAL files and waits until they are archived."""
    names = [
        cluster.primary.ask(
            "select pg_walfile_name(pg_switch_wal()) from (select pg_logical_emit_message(false, 'demo', 'x')) as m"
        )
        for _ in range(count)
    ]
    until(lambda: all((cluster.archive / name).is_file() for name in names), "WAL is archived")
    until(lambda: not cluster.primary.ask(_WAITING), "the archiver has nothing left")


class SegmentDamage:
    """Something happens to an archived segment; its good bytes come back afterwards.

    needed: the first that a restore to the record asks for; else one after it, that leads on.
    """

    def __init__(self, act: Callable[[Path], None], needed: bool = False) -> None:
        self._act, self._needed = act, needed
        self._kept: tuple[Path, bytes, float] | None = None

    def on(self, system: System) -> None:
        """Does it."""
        cluster = system.postgres
        if self._needed:
            chosen = _segments(cluster)[-1]
            for each in _segments(cluster):
                if each.name == self._recorded(cluster):
                    chosen = each
        else:
            finish_segments(cluster, 3)
            chosen = _segments(cluster)[-2]
        self._kept = chosen, chosen.read_bytes(), chosen.stat().st_mtime
        self._act(chosen)

    def _recorded(self, cluster: Cluster) -> str:
        import json

        lsn = json.loads((cluster.records / "base-1.json").read_text())["lsn"]
        timeline = "00000001"
        high, low = lsn.split("/")
        return f"{timeline}{int(high, 16):08X}{int(low, 16) >> 20:08X}"  # segments of 1 MB

    def off(self, system: System) -> None:
        """Puts the bytes back."""
        if self._kept is not None:
            path, content, moment = self._kept
            path.write_bytes(content)
            system.postgres.spawner.own(path)
            os.utime(path, (moment, moment))


def _truncate(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)


def _date_in_future(path: Path) -> None:
    newest = sorted(path.parent.glob("????????????????????????"))[-1]
    os.utime(newest, (time.time() + DAY, time.time() + DAY))


def _date_now(system: System) -> None:
    now = time.time()
    for each in _segments(system.postgres):
        os.utime(each, (now, now))


def _archiver_fails(system: System) -> None:
    cluster = system.postgres
    cluster.primary.configure(archive_command="false")
    cluster.primary.ask("select pg_switch_wal() from (select pg_logical_emit_message(false, 'demo', 'x')) as m")
    until(lambda: cluster.primary.ask(_FAILING), "the archiver fails")
    then = time.time() - 600  # for ten minutes
    for each in (cluster.primary.data / "pg_wal" / "archive_status").glob("*.ready"):
        os.utime(each, (then, then))


def _archiver_works(system: System) -> None:
    cluster = system.postgres
    # the standby has the same command and is not asked for it: only primaries archive
    cluster.primary.configure(archive_command=cluster.standby.settings["archive_command"])
    finish_segments(cluster, 1)
    until(lambda: not cluster.primary.ask(_FAILING), "the archiver works again")


# -- what was written down


def _record(change: Callable[[Cluster, Path], None]) -> tuple[Act, Act]:
    """A fault of the content record that lies beside the backup."""

    def on(system: System) -> None:
        path = system.postgres.records / "base-1.json"
        shutil.copy2(path, path.with_suffix(".good"))
        change(system.postgres, path)

    def off(system: System) -> None:
        path = system.postgres.records / "base-1.json"
        path.with_suffix(".good").replace(path)

    return on, off


def _restored(**how: Any) -> tuple[Act, Act]:
    return (
        lambda system: system.postgres.restored(**how),
        lambda system: system.postgres.restored(days=1),
    )


def _rename(old: Callable[[Cluster], Path]) -> tuple[Act, Act]:
    """Something is not where it should be."""

    def aside(path: Path) -> Path:
        return path.with_name(f"{path.name}.aside")

    def on(system: System) -> None:
        old(system.postgres).rename(aside(old(system.postgres)))

    def off(system: System) -> None:
        aside(old(system.postgres)).rename(old(system.postgres))

    return on, off


# -- benign


class RunningBackup:
    """A base backup that is being taken, into the folder of backups."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def on(self, system: System) -> None:
        """Starts it; returns when it copies."""
        cluster = system.postgres
        options = cluster.primary.backup_options()
        self._child = cluster.spawner.spawn(
            [cluster.programs / "pg_basebackup", *options, "-D", cluster.backups / "base-2", "-c", "fast",
             "--max-rate=32"], system.place / "backup.log",
        )  # fmt: skip
        until((cluster.backups / "base-2" / "backup_label").exists, "the base backup copies")

    def off(self, system: System) -> None:
        """Ends it and removes what it copied."""
        end(self._child, signal.SIGTERM)
        system.postgres.primary.end_backups()
        shutil.rmtree(system.postgres.backups / "base-2", ignore_errors=True)


def _idle(system: System) -> None:
    """Nothing was written for two days: the newest archived file is as old."""
    then = time.time() - 2 * DAY
    for each in _segments(system.postgres):
        os.utime(each, (then, then))


def _pack(system: System) -> None:
    for each in _segments(system.postgres):
        packed = each.with_name(f"{each.name}.gz")
        packed.write_bytes(gzip.compress(each.read_bytes(), 1))
        system.postgres.spawner.own(packed)
        each.unlink()


def _unpack(system: System) -> None:
    for each in system.postgres.archive.glob("*.gz"):
        plain = each.with_suffix("")
        plain.write_bytes(gzip.decompress(each.read_bytes()))
        system.postgres.spawner.own(plain)
        each.unlink()


def _switch_over(system: System) -> None:
    system.postgres.switch_over()


def _with_a_good_restore(off: Act) -> Act:
    """A restore that a fault spoilt was written down: the next one would meet it."""

    def act(system: System) -> None:
        off(system)
        system.postgres.restored(days=1)

    return act


def _on_and_off(thing: SegmentDamage | RunningBackup) -> tuple[Act, Act]:
    return thing.on, thing.off


_FUTURE = SegmentDamage(_date_in_future)

ACTS: dict[str, tuple[Act, Act]] = {
    "backup-heap-flipped": _flip("payments"),
    "backup-index-flipped": _flip("orders_customer"),
    "backup-row-changed": _changed_backup(_row_changed),
    "backup-file-missing": _changed_backup(_file_missing),
    "backup-unfinished": _changed_backup(_without_end),
    "backup-half-size": _changed_backup(_one_database_only),
    "backup-late": _older(1.2),
    "backup-old": _older(3),
    "backup-from-the-future": _changed_backup(_from_the_future),
    "backup-foreign": _changed_backup(_foreign),
    "backups-gone": (_remove_backup, _restore_backup),
    "wal-segment-deleted": _on_and_off(SegmentDamage(Path.unlink)),
    "wal-segment-cut": _on_and_off(SegmentDamage(_truncate)),
    "wal-needed-deleted": _on_and_off(SegmentDamage(Path.unlink, needed=True)),
    "wal-from-the-future": (_FUTURE.on, _date_now),
    "archiver-failing": (_archiver_fails, _archiver_works),
    "content-record-missing": _rename(lambda cluster: cluster.records / "base-1.json"),
    "restore-old": _restored(days=35),
    "restore-late": _restored(days=10),
    "restore-failed": _restored(days=1, good=False),
    "restore-of-another": _restored(days=1, system="7000000000000000001"),
    "restore-never": _rename(lambda cluster: cluster.restore_record),
    "base-backup-running": _on_and_off(RunningBackup()),
    "archive-idle": (_idle, _date_now),
    "archive-packed": (_pack, _unpack),
    "recovery-failed-over": (_switch_over, _switch_over),
}
ACTS = {name: (on, _with_a_good_restore(off)) for name, (on, off) in ACTS.items()}
