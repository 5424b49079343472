"""`postgres-backup-verification`: a backup's bytes, read whole by the program that knows what they should be."""

from __future__ import annotations

import os
import re
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL
from typing import IO, TYPE_CHECKING

from pytest_prodcheck.evidence.backups.archived_wal import Archive, archive_of
from pytest_prodcheck.evidence.backups.base_backups import chain_of, major_version, manifest_of, unreadable_archive
from pytest_prodcheck.evidence.backups.inventory import (
    backup_named,
    backups_host,
    catalogue,
    folder_of,
    settings_of,
    source_of,
)
from pytest_prodcheck.evidence.backups.pgbackrest_barman import barman_verify, pgbackrest_info, pgbackrest_verify
from pytest_prodcheck.evidence.backups.wal_names import SEGMENT, name_of, position
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.postgres.programs import library_path, needed_by, programs
from pytest_prodcheck.evidence.tools.compressed_files import BROKEN, opened, packing, regular
from pytest_prodcheck.evidence.tools.confinement import RunAsUser, Sandbox, sandbox, why_unavailable
from pytest_prodcheck.evidence.tools.program_errors import without_rows
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.backups import Verification, VerifiedBackup

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_RANGE = re.compile(rb'"Timeline": (\d+), "Start-LSN": "([0-9A-F/]+)", "End-LSN": "([0-9A-F/]+)"')
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
    label, data = data.name, data.resolve()
    folder = programs("pg_verifybackup", major_version(data), settings.programs, root)
    with tempfile.TemporaryDirectory(prefix="prodcheck-verify-") as scratch:
        private, wal = Path(scratch, "place"), Path(scratch, "wal")
        private.mkdir(mode=0o755)
        wal.mkdir(mode=0o755)
        owner = _owner(data)
        found = _wal_for(data, archive_of(settings, root), wal, owner, deadline)
        links = [each.resolve() for each in (data / "pg_tblspc").glob("*") if each.is_symlink()]
        names = ("pg_verifybackup", "pg_waldump")
        confined = reading_place(private, (data, found, *links), folder, names, owner, deadline)
        words = (str(folder / "pg_verifybackup"), "--wal-directory", str(found), str(data))
        done = confined.run(words, deadline)
    if done.code and re.search(r"is needed by|not found in the same directory|same version", done.errors):
        raise EvidenceProblem(Problem("configuration", f"pg_verifybackup: {done.error_text}", "install postgresql"))
    if done.code and "Permission denied" in done.errors:
        hint = "let one user own all files of the backup, or run prodcheck as a user who may read them"
        raise EvidenceProblem(Problem("denied", f"pg_verifybackup: {done.error_text}", hint))
    return VerifiedBackup(label, done.code == 0, "" if done.code == 0 else _first_lines(done.errors))


def reading_place(
    private: Path, sources: tuple[Path, ...], folder: Path, names: tuple[str, ...], owner: RunAsUser, deadline: Deadline
) -> Sandbox:
    """Where programs of a folder read what others wrote: nothing can be written in it. owner: of the sources.

    Where no place can be made they are run all the same, for they run nothing of what they read; a note says so.
    """
    found = sandbox(private, accepted=True, user=owner)
    if not found.confined:
        deadline.note(f"{names[0]} did not run in a sandbox: {why_unavailable()}")
        return replace(found, user=None)
    shell = Path(os.path.realpath("/bin/sh"))  # by which pg_verifybackup starts pg_waldump
    readable = (*needed_by(folder, names), *dict.fromkeys(sources))
    return replace(found, readable=readable, seen={shell: Path("/bin/sh")}, variables=library_path(folder))


def _owner(path: Path) -> RunAsUser:
    about = path.stat()
    return RunAsUser(about.st_uid, about.st_gid)


def _wal_for(data: Path, archive: Archive, scratch: Path, reader: RunAsUser, deadline: Deadline) -> Path:
    """A folder with the WAL that the manifest names: the backup's own, the archive, or copies of what is packed there.

    reader: who is to read it, where we are root. Another user's archive is copied.
    """
    ranges = [(int(on), position(start.decode()), position(end.decode()))
              for on, start, end in _RANGE.findall(manifest_of(data))]  # fmt: skip
    own = (data / "pg_wal").resolve()
    if any(len(each.name) == 24 and each.is_file() for each in own.iterdir()) if own.is_dir() else False:
        return own
    try:
        names = [each.name for each in archive.folder.iterdir()]
        foreign = os.geteuid() == 0 and _owner(archive.folder) != reader
    except OSError as error:
        raise unreadable_archive(archive.folder, error) from None
    held = sorted(name for name in names if (found := SEGMENT.fullmatch(name)) and not found[2])
    packed = [name for name in held if len(name) > 24 or (not foreign and packing(archive.folder / name))]
    if not held or not (foreign or packed):
        return archive.folder
    name = (packed or held)[0][:24]
    size = (scratch / name).stat().st_size if archive.copy_to(name, scratch / name, deadline) else 0
    if size < 1 << 20 or size & (size - 1):
        what = f"{archive.folder}: {name} unpacks to {size} bytes, which is not the size of a WAL file"
        raise EvidenceProblem(Problem("protocol", what))
    (scratch / name).unlink()
    for on, start, end in ranges:
        for count in range(start // size, (max(end - 1, start)) // size + 1):
            deadline.seconds_left()
            name = name_of(on, count, size)
            if not (scratch / name).exists() and archive.copy_to(name, scratch / name, deadline):
                (scratch / name).chmod(0o644)  # its folder is closed to others
    return scratch


def _dump(settings: Backups, label: str, root: Path, deadline: Deadline) -> VerifiedBackup:
    """pg_restore to nowhere, which unpacks every row: `--list` reads the head alone and passes half a dump."""
    path = folder_of(settings, root) / label
    if not path.is_dir() and not is_archive(path):
        return _verify_sql_text(path, deadline)
    folder = programs("pg_restore", None, settings.programs, root)
    words = [str(folder / "pg_restore"), "--file", "/dev/null"]
    with tempfile.TemporaryDirectory(prefix="prodcheck-verify-") as scratch, ExitStack() as stack:
        given: int | IO[bytes] = DEVNULL
        sources: tuple[Path, ...] = ()
        if path.is_dir():
            sources = (path.resolve(),)
            words.append(str(sources[0]))
        else:
            given = stack.enter_context(regular(path))
        confined = reading_place(Path(scratch), sources, folder, ("pg_restore",), _owner(path), deadline)
        done = confined.run(words, deadline, given=given)
    return VerifiedBackup(label, done.code == 0, "" if done.code == 0 else _first_lines(done.errors))


def is_archive(path: Path) -> bool:
    """Whether a file is in one of pg_dump's archive formats (custom, or tar with toc.dat first) and no SQL text."""
    with regular(path) as file:
        head = file.read(512)
    return head.startswith((b"PGDMP", b"toc.dat"))


def _verify_sql_text(path: Path, deadline: Deadline) -> VerifiedBackup:
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
    return VerifiedBackup(path.name, good, "" if good else "it does not end like a pg_dump file: it is truncated")


def _first_lines(errors: str) -> str:
    told = without_rows(errors)
    lines = [line for line in told if "error:" in line] or told
    more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
    return plain("; ".join(lines[:3]), 600) + more
