"""What has to fit together in the section of a cluster's backups and of its content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.rules.common import file
from pytest_prodcheck.environments.toml.error_collector import Complaint

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups, Restore
    from pytest_prodcheck.environments.sections.postgres import Postgres

# key -> the kinds that it goes with
_GOES_WITH = {
    "folder": ("basebackup", "dump"), "archive": ("basebackup",), "pattern": ("dump",), "listing": ("dump",),
    "stanza": ("pgbackrest",), "server": ("barman",), "tool": ("pgbackrest", "barman"), "info": ("pgbackrest",),
}  # fmt: skip
_OURS = {  # settings that decide what the scratch server could do to others
    "port", "listen_addresses", "unix_socket_directories", "data_directory", "config_file", "hba_file", "archive_mode",
    "archive_command", "archive_library", "restore_command", "primary_conninfo", "primary_slot_name",
    "max_logical_replication_workers", "recovery_target_action", "external_pid_file", "hot_standby",
}  # fmt: skip


def backup_complaints(path: tuple[str, ...], postgres: Postgres, root: Path) -> Iterator[Complaint]:
    """Everything about `backups` and `content` of one cluster."""
    if postgres.content is not None and not postgres.expect.standbys:
        yield (*path, "content"), "content is compared with standbys, but no standby is expected", "set expect.standbys"
    backups = postgres.backups
    if backups is None:
        return
    path = (*path, "backups")
    for key, kinds in _GOES_WITH.items():
        if key in backups.model_fields_set and backups.kind not in kinds:
            yield (*path, key), f"is allowed with kind {' or '.join(kinds)} only, not with {backups.kind}", ""
    yield from _kind(path, backups)
    yield from _store(path, backups, root)
    if backups.restore is not None:
        yield from _restore((*path, "restore"), backups, backups.restore)


def _kind(path: tuple[str, ...], backups: Backups) -> Iterator[Complaint]:
    needed = {
        "basebackup": ("folder", "archive"), "pgbackrest": ("stanza",), "barman": ("server",), "dump": (),
    }[backups.kind]  # fmt: skip
    for key in needed:
        if getattr(backups, key) is None:
            yield path, f"kind {backups.kind} needs `{key}`", ""
    if backups.kind == "dump" and backups.folder is None and backups.listing is None:
        yield path, "kind dump needs `folder` or `listing`", ""
    if backups.unpack is not None and backups.kind != "basebackup":
        yield (
            (*path, "unpack"),
            f"is allowed with kind basebackup only, not with {backups.kind}: that tool unpacks its WAL itself",
            "",
        )
    elif backups.unpack is not None and not any("{file}" in word for word in backups.unpack):
        yield (*path, "unpack"), "does not receive the file to unpack", "add {file} as an argument"
    if backups.kind == "basebackup" and _remote(backups.folder):
        yield (*path, "folder"), "base backups are read from a folder on this machine", "mount it"


def _restore(path: tuple[str, ...], backups: Backups, restore: Restore) -> Iterator[Complaint]:
    if backups.kind == "dump":
        if _remote(backups.folder):
            yield path, "dumps are restored from a `folder` on this machine", "mount or copy them"
        if restore.target.model_fields_set:
            yield (*path, "target"), "a dump has no write-ahead log, so it has no recovery target", ""
        if restore.sample < 1:
            yield (
                (*path, "sample"),
                "a restored dump stores rows at other positions than the source, so parts cannot be compared",
                "leave it out",
            )
    for name in sorted(_OURS & set(restore.settings)):
        yield (*path, "settings", name), "separates the scratch server from the live one, so it cannot be set", ""
    if restore.sample < 1 and restore.record is None:
        yield (*path, "sample"), "without a `record`, nothing is compared", "declare `record` too"
    if restore.command is not None:
        if backups.kind not in ("pgbackrest", "barman"):
            yield (*path, "command"), f"is allowed with kind pgbackrest or barman only, not with {backups.kind}", ""
        elif not any("{folder}" in word for word in restore.command):
            yield (*path, "command"), "does not receive the folder to restore into", "add {folder} as an argument"


def _store(path: tuple[str, ...], backups: Backups, root: Path) -> Iterator[Complaint]:
    remote = [key for key in ("folder", "restore_record") if _remote(getattr(backups, key))]
    if "s3" in backups.model_fields_set:
        yield from file((*path, "s3", "ca"), backups.s3.ca, root)
        if not backups.s3.endpoint.startswith(("http://", "https://")):
            yield (*path, "s3", "endpoint"), 'expected an address such as "https://s3.example"', ""
        if not remote:
            yield (*path, "s3"), "no value begins with s3://", "declare `folder` or `restore_record` as s3://BUCKET/…"


def _remote(location: str | None) -> bool:
    return location is not None and location.startswith("s3://")
