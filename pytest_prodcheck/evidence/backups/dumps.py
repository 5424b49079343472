"""Dumps of pg_dump as files, objects of a store, or lines of a listing."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pytest_prodcheck import resource_exhaustion
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.backups import Backup

ZONES = 15 * 3600.0  # seconds
LEAST = 64  # bytes: less than the head of any dump
_KEYS = (("Key", "LastModified", "Size"), ("Path", "ModTime", "Size"), ("key", "lastModified", "size"))


def dump_files(folder: Path, pattern: str) -> list[Path]:
    """The dumps in a folder, oldest first: files, and folders of pg_dump's directory format; raises EvidenceProblem."""
    try:
        found = [each for each in folder.iterdir() if fnmatchcase(each.name, pattern)]
        found = [each for each in found if each.is_file() or (each / "toc.dat").is_file()]
        return sorted(found, key=lambda each: each.stat().st_mtime)
    except OSError as error:
        hint = "is `folder` right, is it mounted, and may this user read it?"
        raise EvidenceProblem(Problem("configuration", f"{folder}: {error.strerror}", hint)) from None


def dumps(folder: Path, pattern: str) -> tuple[list[Backup], int]:
    """All dumps of a folder, oldest first; and how many are being written now."""
    found, running = [], 0
    newest = time.time() - 5.0
    for path in dump_files(folder, pattern):
        if path.suffix in (".part", ".partial", ".tmp"):
            running += path.stat().st_mtime > newest
            continue
        modified = path.stat().st_mtime
        size = path.stat().st_size if path.is_file() else sum(each.stat().st_size for each in path.iterdir())
        head = _head(path)
        began, database = head if head is not None else (modified, "")
        # the head's time is local to where it was dumped; farther apart than any two zones are, the file was touched
        ended = modified if abs(modified - began) < ZONES else min(modified, began)
        problem = "it is empty" if size < LEAST else ""
        found.append(Backup(path.name, "dump", ended, size, database=database, modified_at=modified, problem=problem))
    return found, running


def _head(path: Path) -> tuple[float, str] | None:
    """When a dump in custom, tar or directory format was begun and of which database, as `pg_restore --list` reads it.

    The head of the archive formats (src/bin/pg_dump/pg_backup_archiver.c, ReadHead): "PGDMP", version, sizes of
    integers and offsets, format, compression, then the local time as struct tm's fields and the database's name.
    """
    toc = path / "toc.dat" if path.is_dir() else path
    try:
        with toc.open("rb") as file:
            data = file.read(512)
    except OSError:
        resource_exhaustion.note_handled_shortage()
        return None
    if data[:5] != b"PGDMP" or len(data) < 64:
        return None
    version, width, at = data[5:8], data[8], 11

    def integer() -> int:
        nonlocal at
        sign, raw = data[at], data[at + 1 : at + 1 + width]
        at += 1 + width
        return -int.from_bytes(raw, "little") if sign else int.from_bytes(raw, "little")

    if version >= b"\x01\x0f\x00":  # 1.15: a byte names the compression
        at += 1
    else:
        integer()
    try:
        second, minute, hour, day, month, year, _ = (integer() for _ in range(7))
        length = integer()
        began = datetime.datetime(1900 + year, month + 1, day, hour, minute, second).timestamp()
    except (ValueError, OverflowError, IndexError, OSError):
        return None
    return began, data[at : at + max(length, 0)].decode(errors="replace")


def listed(text: str, pattern: str, where: str) -> list[Backup]:
    """The objects of a listing in JSON, oldest first; raises EvidenceProblem where it is none.

    Understood are `aws s3api list-objects-v2`, `rclone lsjson` and `mc ls --json` (one object a line).
    """
    found = []
    for each in _objects(text, where):
        keys = next((keys for keys in _KEYS if keys[0] in each and keys[1] in each), None)
        if keys is None or each.get("IsDir") or each.get("type") == "folder":
            continue
        name, moment, size = (each.get(key) for key in keys)
        label = str(name).rpartition("/")[2] or str(name)
        if fnmatchcase(label, pattern) and isinstance(size, int):
            found.append(of_object(label, iso_epoch_seconds(str(moment), where), size))
    return sorted(found, key=lambda each: each.ended_at)


def of_object(label: str, modified: float, size: int) -> Backup:
    """A dump of which only the object's time and size are known."""
    return Backup(label, "dump", modified, size, modified_at=modified, problem="it is empty" if size < LEAST else "")


def _objects(text: str, where: str) -> Iterator[dict[str, Any]]:
    try:
        plain = json.loads(text)
    except ValueError:
        try:
            plain = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            plain = None
    if isinstance(plain, dict):
        plain = plain.get("Contents", [] if plain.get("KeyCount") == 0 else [plain])
    if not isinstance(plain, list) or not all(isinstance(each, dict) for each in plain):
        hint = "expected what `aws s3api list-objects-v2`, `rclone lsjson` or `mc ls --json` prints"
        raise EvidenceProblem(Problem("protocol", f"{where}: this is not a listing of objects", hint))
    yield from plain


def iso_epoch_seconds(text: str, where: str) -> float:
    """Seconds since the epoch of a time in ISO 8601, UTC where it has no zone; raises EvidenceProblem."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise EvidenceProblem(Problem("protocol", f"{where}: {text[:60]!r} is not a time")) from None
    return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()
