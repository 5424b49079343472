"""A backup's files brought into a folder of their own, and where WAL comes from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.backups.archived_wal import archive_of
from pytest_prodcheck.evidence.backups.base_backups import CONTROL, chain_of, folder_of_backup, major_version
from pytest_prodcheck.evidence.backups.pgbackrest_barman import barman_folders, barman_tablespaces
from pytest_prodcheck.evidence.restore.incremental import combine
from pytest_prodcheck.evidence.restore.source_files import Source, give_to, refuse_odd_files
from pytest_prodcheck.evidence.restore.wal_feed import Bring, from_archive, from_tool
from pytest_prodcheck.evidence.tools.subprocesses import environment, run, servers_user
from pytest_prodcheck.evidence.tools.write_guard import guarded, why_unguarded
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.deadlines import Deadline

# what would start it in another way, or is of the server that was copied
_FORGOTTEN = ("standby.signal", "recovery.signal", "recovery.conf", "postmaster.pid", "postmaster.opts",
              "postgresql.auto.conf")  # fmt: skip


def source_of_backup(settings: Backups, label: str, root: Path) -> Source | None:
    """The backup's files where they can be looked at: not where a tool keeps them. Raises EvidenceProblem."""
    assert settings.restore is not None
    folder = root / (settings.folder or "")
    if settings.kind == "dump":
        return Source(folder / label, ())
    if settings.kind != "basebackup":
        return None
    found = folder_of_backup(folder, label)
    if (found / "tablespace_map").is_file() and (found / "tablespace_map").stat().st_size:
        what = f"{found}: has a tablespace_map, by which the server would write into the live tablespaces"
        raise EvidenceProblem(Problem("configuration", what, "take base backups with --tablespace-mapping"))
    return Source(found, (folder, *(root / each for each in settings.restore.links)))


def fetch(
    settings: Backups, label: str, source: Source | None, scratch: Path, root: Path, deadline: Deadline
) -> Path:
    """Fills `scratch`/data from a backup with WAL; raises EvidenceProblem where that does not work."""
    data = scratch / "data"
    if settings.kind == "basebackup" and len(chain := chain_of(root / (settings.folder or ""), label)) > 1:
        return combine(settings, chain, scratch, root, deadline)
    if source is not None:
        source.copy(data, scratch / "tablespaces", deadline)
        return data
    spaces, own = scratch / "tablespaces", scratch / "own"  # what the tool notes for itself
    for each in (data, spaces, own):
        each.mkdir(mode=0o700, exist_ok=True)
        give_to(each, servers_user())  # where we are root the tool may be run as another
    declared = settings.restore.command if settings.restore and settings.restore.command else ()
    words = declared or _default(settings, scratch)
    words = tuple(word.replace("{folder}", str(data)).replace("{label}", label) for word in words)
    if not declared and settings.kind == "barman" and barman_tablespaces(settings, label, root, deadline):
        what = "the backup has tablespaces, and Barman puts them where the live ones are"
        raise EvidenceProblem(Problem("configuration", what, "say with restore.command where each goes"))
    program, environ = words[0], environment(words[0])  # its own settings, by its name
    if not declared:
        more = barman_folders(settings, root, deadline) if settings.kind == "barman" else ()
        accepted = settings.restore is not None and settings.restore.unconfined
        words, environ = guarded(words, (data, spaces, own, *more), accepted), environ | {"TMPDIR": str(own)}
    done = run(words, deadline, folder=root, only=environ)
    shutil.rmtree(own)
    if done.code or major_version(data) is None:
        raise EvidenceProblem(Problem("protocol", f"{program}: the backup was not restored: {done.error_text}"))
    refuse_odd_files(data, except_in=data / "pg_tblspc")
    return data


def _default(settings: Backups, scratch: Path) -> tuple[str, ...]:
    """How the tool restores into a folder without touching what is outside of it."""
    if settings.kind == "pgbackrest":
        return (
            *settings.tool_words, f"--stanza={settings.stanza}", "--pg1-path={folder}", "--set={label}", "--type=none",
            "--archive-mode=off", f"--tablespace-map-all={scratch / 'tablespaces'}", "--log-level-file=off",
            f"--lock-path={scratch / 'own'}", "restore",
        )  # fmt: skip
    return (*settings.tool_words, "recover", "--get-wal", settings.server or "", "{label}", "{folder}")


def tool_guarded(settings: Backups) -> bool:
    """Whether what brings files and WAL of a backup is kept from writing elsewhere; without a tool it is we."""
    return settings.kind not in ("pgbackrest", "barman") or not why_unguarded(settings.tool_words)


def wal_source(settings: Backups, scratch: Path, root: Path, deadline: Deadline) -> Bring:
    """How WAL comes to the scratch server."""
    if settings.kind == "basebackup":
        return from_archive(archive_of(settings, root), deadline)
    folder = scratch / "tool"
    folder.mkdir(mode=0o700)
    (folder / "pg1" / "global").mkdir(parents=True)
    shutil.copyfile(scratch / "data" / CONTROL, folder / "pg1" / CONTROL)
    return from_tool(settings, folder, root, deadline)


def forget_settings(data: Path) -> None:
    """Takes away what of the source's settings the server would still read, and the signs of another start.

    The folder is ours alone and has no links any more: nothing is written through one.
    """
    for name in _FORGOTTEN:
        (data / name).unlink(missing_ok=True)
    for name in ("postgresql.auto.conf", "recovery.signal"):
        with (data / name).open("x"):
            pass
    shutil.rmtree(data / "log", ignore_errors=True)
