"""A backup's files brought into a folder of their own, and how WAL comes to them."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.backups.base_backups import major_version, place_of
from pytest_prodcheck.evidence.tools.subprocesses import run, servers_user
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.deadlines import Deadline

_SCRIPT = """\
#!/bin/sh
# $1: name of a WAL file, $2: where it is to lie. Ends with 1 where the archive does not have it.
if [ -f {archive}/"$1" ]; then exec cp {archive}/"$1" "$2"; fi
if [ -f {archive}/"$1".gz ]; then gzip -dc {archive}/"$1".gz > "$2" && exit 0; fi
if [ -f {archive}/"$1".bz2 ]; then bzip2 -dc {archive}/"$1".bz2 > "$2" && exit 0; fi
if [ -f {archive}/"$1".xz ]; then xz -dc {archive}/"$1".xz > "$2" && exit 0; fi
if [ -f {archive}/"$1".zst ]; then zstd -dcq {archive}/"$1".zst > "$2" && exit 0; fi
if [ -f {archive}/"$1".lz4 ]; then lz4 -dcq {archive}/"$1".lz4 > "$2" && exit 0; fi
exit 1
"""


def fetch(settings: Backups, label: str, scratch: Path, root: Path, deadline: Deadline) -> Path:
    """Fills `scratch`/data from a backup with WAL; raises EvidenceProblem where that does not work."""
    data = scratch / "data"
    if settings.kind == "basebackup":
        _copy(place_of(root / (settings.folder or ""), label), data, scratch, root, deadline)
        return data
    data.mkdir(mode=0o700)
    give_away(data, servers_user())  # where we are root the tool may be run as another
    words = settings.restore.command if settings.restore and settings.restore.command else _default(settings, scratch)
    words = tuple(word.replace("{folder}", str(data)).replace("{label}", label) for word in words)
    done = run(words, deadline, folder=root)
    if done.code or major_version(data) is None:
        raise EvidenceProblem(Problem("protocol", f"{words[0]}: the backup was not restored: {done.said}"))
    if settings.kind == "barman" and any((data / "pg_tblspc").iterdir()):
        what = "the backup has tablespaces, and Barman puts them where the live ones are"
        raise EvidenceProblem(Problem("configuration", what, "say with restore.command where each goes"))
    return data


def _default(settings: Backups, scratch: Path) -> tuple[str, ...]:
    """How the tool restores into a folder without touching what is outside of it."""
    if settings.kind == "pgbackrest":
        return (
            *settings.tool_words, f"--stanza={settings.stanza}", "--pg1-path={folder}", "--set={label}", "--type=none",
            "--archive-mode=off", f"--tablespace-map-all={scratch / 'tablespaces'}", "--log-level-file=off", "restore",
        )  # fmt: skip
    return (*settings.tool_words, "recover", "--get-wal", settings.server or "", "{label}", "{folder}")


def _copy(source: Path, data: Path, scratch: Path, root: Path, deadline: Deadline) -> None:
    """Copies a base backup; its tablespaces come along, for their links lead to where the live ones may be."""
    if (source / "tablespace_map").is_file() and (source / "tablespace_map").stat().st_size:
        what = f"{source}: has a tablespace_map, by which the server would write into the live tablespaces"
        raise EvidenceProblem(Problem("configuration", what, "take base backups with --tablespace-mapping"))
    done = run(("cp", "-a", "--reflink=auto", str(source), str(data)), deadline, folder=root)
    if done.code:
        raise EvidenceProblem(Problem("configuration", f"the backup cannot be copied: {done.said}"))
    spaces = data / "pg_tblspc"
    for link in [each for each in spaces.iterdir() if each.is_symlink()] if spaces.is_dir() else []:
        copied = scratch / "tablespaces" / link.name
        copied.parent.mkdir(exist_ok=True)
        done = run(("cp", "-a", "--reflink=auto", os.path.realpath(link), str(copied)), deadline, folder=root)
        if done.code:
            raise EvidenceProblem(Problem("configuration", f"tablespace {link.name} cannot be copied: {done.said}"))
        link.unlink()
        link.symlink_to(copied)


def restore_command(settings: Backups, scratch: Path, data: Path, root: Path) -> str:
    """The command by which the scratch server gets WAL; %f and %p are the server's."""
    if settings.kind == "basebackup":
        script = scratch / "fetch-wal"
        archive = (root / (settings.archive or "")).resolve()
        script.write_text(_SCRIPT.format(archive=shlex.quote(str(archive))))
        script.chmod(0o755)
        return f'{shlex.quote(str(script))} "%f" "%p"'
    tool = shlex.join(settings.tool_words).replace("%", "%%")
    if settings.kind == "pgbackrest":
        place = f"--pg1-path={shlex.quote(str(data))} --log-level-file=off --lock-path={shlex.quote(str(scratch))}"
        return f'{tool} --stanza={shlex.quote(settings.stanza or "")} {place} archive-get "%f" "%p"'
    return f'{tool} get-wal {shlex.quote(settings.server or "")} "%f" > "%p" || {{ rm -f "%p"; false; }}'


def give_away(scratch: Path, user: pwd.struct_passwd | None) -> None:
    """Makes a folder and all below it the server's user's; links are not followed."""
    if user is None:
        return
    for place, folders, files in os.walk(scratch):
        for name in (*folders, *files):
            os.chown(os.path.join(place, name), user.pw_uid, user.pw_gid, follow_symlinks=False)
    os.chown(scratch, user.pw_uid, user.pw_gid)


def forget_settings(data: Path) -> None:
    """Empties what of the source's settings the server would still read, and takes the signs of another start away."""
    for name in ("standby.signal", "recovery.signal", "postmaster.pid", "postmaster.opts"):
        (data / name).unlink(missing_ok=True)
    (data / "postgresql.auto.conf").write_text("")
    (data / "recovery.signal").write_text("")
    shutil.rmtree(data / "log", ignore_errors=True)
