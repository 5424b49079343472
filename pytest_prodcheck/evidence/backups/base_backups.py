"""Base backups in a folder: one folder a backup, plain format, as pg_basebackup writes it."""

from __future__ import annotations

import datetime
import re
import struct
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pytest_prodcheck import resource_exhaustion
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.backups import Backup
from pytest_prodcheck.trusted_files import read_regular

LABEL, MANIFEST, CONTROL = "backup_label", "backup_manifest", "global/pg_control"
_LARGEST_MANIFEST, _LARGEST_TEXT = 1 << 30, 1 << 20  # bytes; a file takes up about 150 of a manifest
STILL = 60.0  # seconds: a folder without a manifest that changed since then is a backup being taken
_SIZE = re.compile(rb'"Size": (\d+)')
# the label is made when the backup begins, the copy of pg_control when it ends; both lines say so in GMT
_TIME = re.compile(
    rb'"Path": "(?:backup_label|global/pg_control)"[^}]{0,100}?"Last-Modified": "(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT"'
)
_START = re.compile(r"^START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+) \(file ([0-9A-F]{24})\)$", re.MULTILINE)

# PostgreSQL 17 and newer: where the backup begins that this one is the difference to
_PRIOR = re.compile(r"^INCREMENTAL FROM LSN: ([0-9A-F]+/[0-9A-F]+)$", re.MULTILINE)


def base_backups(folder: Path) -> tuple[list[Backup], int]:
    """All backups below a folder, or the folder itself as one, oldest first; and how many are being taken now.

    Raises EvidenceProblem where the folder cannot be read.
    """
    try:
        if (folder / "PG_VERSION").is_file() or (folder / MANIFEST).is_file():
            places = [folder]
        else:
            places = [each for each in folder.iterdir() if each.is_dir() and _looks_like_one(each)]
        read = [_read(each) for each in places]
    except OSError as error:
        hint = "is `folder` right, is it mounted, and may this user read it?"
        raise EvidenceProblem(Problem("configuration", f"{folder}: {error.strerror}", hint)) from None
    found = [each for each in read if each is not None]
    found.sort(key=lambda each: (each.ended_at, each.modified_at or 0.0))  # manifests tell whole seconds
    starts = {wal_start_of(each) for each in places}
    found = [_with_its_base(each, folder_of_backup(folder, each.label), starts) for each in found]
    return found, len(read) - len(found)


def _with_its_base(backup: Backup, place: Path, starts: set[str]) -> Backup:
    prior = prior_of(place)
    if not prior or prior in starts or backup.problem:
        return backup
    return replace(
        backup,
        problem=f"it is incremental, and the backup that it depends on is missing (the one that begins at {prior})",
    )


def wal_start_of(place: Path) -> str:
    """Where a backup begins in WAL, "" where it does not say."""
    found = _START.search(_text(place / LABEL))
    return found[1] if found else ""


def prior_of(place: Path) -> str:
    """Where the backup begins that this one is the difference to, "" for a full one."""
    found = _PRIOR.search(_text(place / LABEL))
    return found[1] if found else ""


def chain_of(folder: Path, label: str) -> list[Path]:
    """The backups that a restore of one needs, the full one first; raises EvidenceProblem where one is not there."""
    chain = [folder_of_backup(folder, label)]
    by_start = {wal_start_of(each): each for each in folder.iterdir() if each.is_dir()} if prior_of(chain[0]) else {}
    while prior := prior_of(chain[0]):
        if prior not in by_start or by_start[prior] in chain:
            what = (
                f"{label}: it is incremental, and the backup that it depends on (begins at {prior}) is not in {folder}"
            )
            raise EvidenceProblem(
                Problem(
                    "configuration",
                    what,
                    "an incremental backup cannot be restored without the backup that it depends on",
                )
            )
        chain.insert(0, by_start[prior])
    return chain


def _looks_like_one(folder: Path) -> bool:
    return any((folder / name).exists() for name in (LABEL, MANIFEST, "PG_VERSION", "base.tar", "base.tar.gz"))


def _read(folder: Path) -> Backup | None:
    """One backup; None where it is being taken now: no manifest yet (it is written last), and files that change."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        changed = max((each.stat().st_mtime for each in (folder, *folder.iterdir())), default=0.0)
        if time.time() - changed < STILL:
            return None
        return Backup(
            folder.name, "full", changed, None, problem="it has no backup_manifest, so the backup never finished"
        )
    if not (folder / "PG_VERSION").is_file():
        what = "it is in tar format, which cannot be inspected: use pg_basebackup --format=plain"
        return Backup(folder.name, "full", manifest.stat().st_mtime, None, problem=what)
    written, changed = manifest_of(folder), manifest.stat().st_mtime
    size = sum(int(each) for each in _SIZE.findall(written))
    times = [_epoch_seconds(each.decode()) for each in _TIME.findall(written)]
    problem = ""
    if not _START.search(_text(folder / LABEL)):
        problem = "it has no backup_label: the server would start without recovery, with corrupt data"
    elif not size or not times:
        problem = "its manifest lists no files"
    # a copied or touched file looks new: what the server wrote into the manifest does not
    ended = max(times, default=changed)
    kind: Literal["full", "incremental"] = "incremental" if prior_of(folder) else "full"
    return Backup(folder.name, kind, ended, size, system_identifier(folder), modified_at=changed, problem=problem)


def _epoch_seconds(text: str) -> float:
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=datetime.UTC).timestamp()


def _text(path: Path) -> str:
    try:
        return read_regular(str(path), _LARGEST_TEXT).decode(errors="replace")
    except OSError:
        resource_exhaustion.note_handled_shortage()
        return ""


def manifest_of(folder: Path) -> bytes:
    """A backup's manifest; raises OSError."""
    return read_regular(str(folder / MANIFEST), _LARGEST_MANIFEST)


def first_segment(folder: Path) -> str:
    """The name of the WAL file that a restore begins in; raises EvidenceProblem."""
    found = _START.search(_text(folder / LABEL))
    if found is None:
        raise EvidenceProblem(Problem("protocol", f"{folder / LABEL}: does not say where the backup begins"))
    return found[2]


def system_identifier(data: Path) -> str:
    """The first 8 bytes of pg_control (src/include/catalog/pg_control.h), "" where it cannot be read."""
    try:
        with (data / CONTROL).open("rb") as file:
            return str(struct.unpack("=Q", file.read(8))[0])
    except (OSError, struct.error):
        return ""


def major_version(data: Path) -> int | None:
    """The major version of a data folder, None where it does not say."""
    said = _text(data / "PG_VERSION").strip()
    return int(said) if said.isdigit() else None


def folder_of_backup(folder: Path, label: str) -> Path:
    """Where the backup of a label lies below the declared folder."""
    return folder if folder.name == label and (folder / MANIFEST).is_file() else folder / label


def unreadable_archive(archive: Path, error: OSError) -> EvidenceProblem:
    """The problem of a folder of archived WAL that cannot be listed."""
    hint = "is `archive` right, is it mounted, and may this user read it?"
    return EvidenceProblem(Problem("configuration", f"{archive}: {error.strerror}", hint))
