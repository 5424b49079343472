"""`postgres-backup-verification`: a backup's bytes, read whole by the program that knows what they should be."""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pytest_prodcheck.evidence.backups.base_backups import MANIFEST, chain_of, major_version, unreadable_archive
from pytest_prodcheck.evidence.backups.inventory import (
    backup_named,
    backups_host,
    catalogue,
    folder_of,
    settings_of,
    source_of,
)
from pytest_prodcheck.evidence.backups.pgbackrest_barman import barman_verify, pgbackrest_info, pgbackrest_verify
from pytest_prodcheck.evidence.backups.wal_names import name_of, position
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.postgres.programs import programs
from pytest_prodcheck.evidence.tools.compressed_files import BROKEN, SUFFIXES, opened
from pytest_prodcheck.evidence.tools.confinement import bare_environment
from pytest_prodcheck.evidence.tools.program_words import without_rows
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.subprocesses import run
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.backups import Verification, VerifiedBackup

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_RANGE = re.compile(rb'"Timeline": (\d+), "Start-LSN": "([0-9A-F/]+)", "End-LSN": "([0-9A-F/]+)"')
_LARGEST_SEGMENT = 1 << 30  # bytes (initdb --wal-segsize=1024)
_ENDING = (b"-- PostgreSQL database dump complete", b"-- PostgreSQL database cluster dump complete")


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target].backups
    if settings is None:
        return ()
    what = {
        "pgbackrest": "runs pgbackrest verify: reads the whole repository",
        "barman": "runs barman verify-backup: reads the newest backup whole",
        "basebackup": "runs pg_verifybackup: reads the newest backup whole",
        "dump": "runs pg_restore without a database: reads the newest dump whole",
    }[settings.kind]
    return (Sending("this machine", what),)


def _seconds(target: str, environment: Environment) -> float:
    settings = environment.postgres[target].backups
    return settings.verify_timeout if settings else 60.0


@evidence(
    "postgres-backup-verification", axis="postgres", feature="readable", seconds=_seconds, host=backups_host,
    sends=_sends,
)  # fmt: skip
def postgres_backup_verification(target: str, context: Context, deadline: Deadline) -> Verification:
    """Reads the newest backup, or all that pgBackRest has; raises EvidenceProblem where the program cannot."""
    settings, root = settings_of(target, context), context.root
    began = time.monotonic()
    if settings.kind == "pgbackrest":
        info = pgbackrest_info(settings, root, deadline)
        program, found = "pgbackrest verify", pgbackrest_verify(settings, info, root, deadline)[0]
        return Verification(program, tuple(found), time.monotonic() - began)
    label = backup_named("newest", catalogue(target, context, deadline)[0], source_of(settings)).label
    if settings.kind == "barman":
        program, one = "barman verify-backup", barman_verify(settings, label, root, deadline)
    elif settings.kind == "basebackup":
        program = "pg_verifybackup"
        chain = chain_of(folder_of(settings, root), label)
        verified = tuple(_base_backup(settings, each, root, deadline) for each in chain)
        return Verification(program, verified, time.monotonic() - began)
    else:
        program, one = "pg_restore", _dump(settings, label, root, deadline)
    return Verification(program, (one,), time.monotonic() - began)


def _base_backup(settings: Backups, data: Path, root: Path, deadline: Deadline) -> VerifiedBackup:
    """pg_verifybackup with the WAL that the backup needs: its own, or the archive's."""
    label, archive = data.name, root / (settings.archive or "")
    program = programs("pg_verifybackup", major_version(data), settings.programs, root) / "pg_verifybackup"
    with tempfile.TemporaryDirectory(prefix="prodcheck-wal-") as scratch:
        wal = _wal_for(data, archive, Path(scratch), deadline)
        words = (str(program), "--wal-directory", str(wal), str(data))
        done = run(words, deadline, folder=root, only=bare_environment())
    if done.code and re.search(r"is needed by|not found in the same directory|same version", done.errors):
        raise EvidenceProblem(Problem("configuration", f"pg_verifybackup: {done.said}", "install postgresql"))
    return VerifiedBackup(label, done.code == 0, "" if done.code == 0 else _first(done.errors))


def _wal_for(data: Path, archive: Path, scratch: Path, deadline: Deadline) -> Path:
    """A folder with the WAL that the manifest names: the backup's own, the archive, or unpacked copies of it."""
    ranges = [(int(on), position(start.decode()), position(end.decode()))
              for on, start, end in _RANGE.findall((data / MANIFEST).read_bytes())]  # fmt: skip
    own = data / "pg_wal"
    if any(len(each.name) == 24 and each.is_file() for each in own.iterdir()) if own.is_dir() else False:
        return own
    try:
        names = list(archive.iterdir())
    except OSError as error:
        raise unreadable_archive(archive, error) from None
    packed = {each.name[:24]: each for each in names if each.suffix in SUFFIXES and len(each.stem) == 24}
    if not packed:
        return archive
    with open(os.devnull, "wb") as nowhere:
        size = _unpack(next(iter(packed.values())), nowhere, deadline)
    if size < 1 << 20 or size & (size - 1):
        what = f"{archive}: its first file unpacks to {size} bytes, which is the size of no WAL file"
        raise EvidenceProblem(Problem("protocol", what))
    for on, start, end in ranges:
        for count in range(start // size, (max(end - 1, start)) // size + 1):
            deadline.seconds_left()
            name = name_of(on, count, size)
            if name in packed:
                with (scratch / name).open("wb") as copy:
                    _unpack(packed[name], copy, deadline)
            elif (archive / name).is_file():
                (scratch / name).symlink_to(archive / name)
    return scratch


def _unpack(path: Path, copy: IO[bytes], deadline: Deadline) -> int:
    """Unpacks a WAL file, which has at most 1 GB; its size. Raises EvidenceProblem for more, or where it is broken."""
    size = 0
    try:
        with opened(path) as file:
            while part := file.read(1 << 20):
                deadline.seconds_left()
                size += len(part)
                if size > _LARGEST_SEGMENT:
                    raise EvidenceProblem(Problem("too-large", f"{path}: unpacks to more than 1 GB"))
                copy.write(part)
    except BROKEN as error:
        raise EvidenceProblem(Problem("protocol", f"{path}: it cannot be unpacked: {plain(str(error))}")) from None
    return size


def _dump(settings: Backups, label: str, root: Path, deadline: Deadline) -> VerifiedBackup:
    """pg_restore to nowhere, which unpacks every row: `--list` reads the head alone and passes half a dump."""
    path = folder_of(settings, root) / label
    if not path.is_dir() and not is_archive(path):
        return _plain(path, deadline)
    program = programs("pg_restore", None, settings.programs, root) / "pg_restore"
    done = run((str(program), "--file", "/dev/null", str(path)), deadline, folder=root, only=bare_environment())
    return VerifiedBackup(label, done.code == 0, "" if done.code == 0 else _first(done.errors))


def is_archive(path: Path) -> bool:
    """Whether a file is in one of pg_dump's archive formats (custom, or tar with toc.dat first) and no SQL text."""
    with path.open("rb") as file:
        head = file.read(512)
    return head.startswith((b"PGDMP", b"toc.dat"))


def _plain(path: Path, deadline: Deadline) -> VerifiedBackup:
    """A dump as SQL text: whole where pg_dump's last line is its end. Packed files are unpacked on the way."""
    tail = b""
    try:
        with opened(path) as file:
            for part in iter(lambda: file.read(1 << 20), b""):
                deadline.seconds_left()
                tail = (tail + part)[-4096:]
    except BROKEN as error:
        return VerifiedBackup(path.name, False, plain(f"it cannot be read: {error}"))
    good = any(ending in tail for ending in _ENDING)
    return VerifiedBackup(path.name, good, "" if good else "it does not end as pg_dump ends a dump: it is cut off")


def _first(errors: str) -> str:
    told = without_rows(errors)
    lines = [line for line in told if "error:" in line] or told
    more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
    return plain("; ".join(lines[:3]), 600) + more
