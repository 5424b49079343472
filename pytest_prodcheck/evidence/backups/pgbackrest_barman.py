"""What pgBackRest and Barman tell as JSON. Both end with 0 while the text says that something is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.backups.wal_names import HISTORY, SEGMENT
from pytest_prodcheck.evidence.tools import program_errors
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.subprocesses import CompletedProgram, environment, run
from pytest_prodcheck.evidence.tools.write_guard import reading_only
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.backups import Backup, VerifiedBackup

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.deadlines import Deadline

# "0000000100000000/000000010000000000000011-SHA1.gz", "00000002.history"
_IN_REPOSITORY = re.compile(r"[0-9A-F]{16}/([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?|([0-9A-F]{8}\.history)")
RECEIVER = "barman_receive_wal"  # Barman's own default of streaming_archiver_name
_FOLDERS: dict[tuple[str, ...], tuple[Path, ...]] = {}  # of Barman's, by how it is run and for which server
Found = tuple[list[Backup], int, tuple[str, ...]]  # backups, how many are being taken, complaints

_MORE = r"(?:\n[^\S\n]{4,}+\S[^\n]*)*"  # further lines of an entry


def pgbackrest_info(settings: Backups, root: Path, deadline: Deadline) -> dict[str, Any]:
    """The stanza's part of `pgbackrest info --output=json`; raises EvidenceProblem."""
    words = settings.info.command if settings.info else (
        *settings.tool_words, f"--stanza={settings.stanza}", "info", "--output=json",
    )  # fmt: skip
    done = _ask(words, root, deadline)
    stanzas = _json(done)
    named = [each for each in stanzas if isinstance(each, dict) and each.get("name") == settings.stanza]
    if done.code or len(named) != 1:
        what = (
            f"{words[0]}: {done.error_text}"
            if done.code
            else f"{words[0]}: its output does not contain stanza {settings.stanza}"
        )
        raise EvidenceProblem(Problem("protocol", what, "run it by hand: `info --output=json`"))
    return dict(named[0])


def pgbackrest(info: dict[str, Any]) -> Found:
    """The backups of a stanza."""
    status = info.get("status", {})
    complaints = () if status.get("code") == 0 else (f"status {status.get('code')}: {status.get('message')}",)
    systems = {(each["repo-key"], each["id"]): str(each["system-id"]) for each in info.get("db", ())}
    found = []
    for each in info.get("backup", ()):
        database = each.get("database", {})
        found.append(Backup(
            str(each["label"]), "full" if each["type"] == "full" else "incremental", float(each["timestamp"]["stop"]),
            int(each["info"]["size"]), systems.get((database.get("repo-key", 1), database.get("id")), ""),
            problem="pgBackRest found damaged pages in it" if each.get("error") else "",
        ))  # fmt: skip
    held = status.get("lock", {}).get("backup", {}).get("held")
    return sorted(found, key=lambda one: one.ended_at), int(bool(held)), complaints


def pgbackrest_verify(
    settings: Backups, info: dict[str, Any], root: Path, deadline: Deadline
) -> tuple[list[VerifiedBackup], str]:
    """What `pgbackrest verify` says of each backup and of the archive: (backups, what is wrong with the archive).

    info: the stanza's. Of several repositories it looks at the first alone where it is not told which.
    """
    keys = [each.get("key") for each in info.get("repo", ())]
    found: list[VerifiedBackup] = []
    wrong: list[str] = []
    for which in [(f"--repo={key}",) for key in keys] if len(keys) > 1 else [()]:
        backups, archive = _verify(settings, which, root, deadline)
        found += backups
        wrong += [f"{which[0].removeprefix('--')}: {archive}" if which else archive] if archive else []
    return found, "; ".join(wrong)


def _verify(
    settings: Backups, which: tuple[str, ...], root: Path, deadline: Deadline
) -> tuple[list[VerifiedBackup], str]:
    words = (*settings.tool_words, f"--stanza={settings.stanza}", *which, "--log-level-file=off",
             "verify", "--output=text", "--verbose")
    done = _ask(words, root, deadline)
    status = re.search(r"^[^\S\n]*+status: (\S+)", done.output, re.MULTILINE)
    if done.code or status is None:
        raise EvidenceProblem(Problem("protocol", f"{words[0]} verify: {done.error_text}", "run it by hand"))
    blocks = re.findall(rf"^[^\S\n]++backup: (\S+), status: (\S+?),([^\n]*)({_MORE})", done.output, re.MULTILINE)
    found = [VerifiedBackup(label, said == "valid", "" if said == "valid" else plain(said + tail + rest))
             for label, said, tail, rest in blocks]  # fmt: skip
    archives = re.findall(rf"^[^\S\n]++archiveId: (\S+?), ([^\n]*)({_MORE})", done.output, re.MULTILINE)
    wrong = [plain(f"{name}: {rest}") for name, _, rest in archives if re.search(r": [1-9]", rest)]
    if status[1] != "ok" and all(each.good for each in found) and not wrong:
        wrong.append(plain(done.output, 600))
    return found, "; ".join(wrong)


def pgbackrest_wal(
    settings: Backups, info: dict[str, Any], database: dict[str, Any], root: Path, deadline: Deadline
) -> dict[str, str]:
    """WAL and history files in the repository, of a backup's cluster: name -> path, by `pgbackrest repo-ls`.

    info: the stanza's. database: the backup's. Names are without the checksum and ending that pgBackRest adds.
    """
    found = {}
    for each in info.get("archive", ()):
        if each["database"] != database:
            continue
        place = f"archive/{settings.stanza}/{each['id']}"
        words = (*settings.tool_words, *_repository(info, database), "repo-ls", "--recurse", place)
        done = _ask(words, root, deadline)
        if done.code:
            raise EvidenceProblem(Problem("protocol", f"{words[0]} repo-ls: {done.error_text}", "run it by hand"))
        for line in done.output.splitlines():
            if name := _IN_REPOSITORY.fullmatch(line.strip()):
                found[name[1] or name[2]] = f"{place}/{line.strip()}"
    return found


def _repository(info: dict[str, Any], database: dict[str, Any]) -> tuple[str, ...]:
    """Which of several repositories is asked."""
    return (f"--repo={database['repo-key']}",) if len(info.get("repo", ())) > 1 else ()


def pgbackrest_file(
    settings: Backups, info: dict[str, Any], database: dict[str, Any], path: str, root: Path,
    deadline: Deadline,
) -> str:  # fmt: skip
    """The text of a file in the repository; raises ValueError where it cannot be read."""
    words = (*settings.tool_words, f"--stanza={settings.stanza}", *_repository(info, database), "repo-get", path)
    done = _ask(words, root, deadline)
    if done.code:
        raise ValueError(done.error_text)
    return done.output


def barman_wal(settings: Backups, name: str, root: Path, deadline: Deadline) -> str:
    """The text of a history file in Barman's archive; raises ValueError where it cannot be read."""
    done = _ask_barman(settings, ("get-wal", settings.server or "", name), root, deadline)
    if done.code:
        raise ValueError(done.error_text)
    return done.output


def barman(settings: Backups, root: Path, deadline: Deadline) -> tuple[Found, str]:
    """The backups of a server, what `barman check` complains of; and the first segment of the newest good one."""
    server = settings.server or ""
    rows = _barman(settings, ("list-backups", server), root, deadline).get(server)
    if not isinstance(rows, list):
        raise EvidenceProblem(Problem("protocol", f"barman list-backups: its output does not contain server {server}"))
    found, running, first = [], 0, ""
    for each in rows:
        status = each.get("status", "")
        if status in ("STARTED", "SYNCING", "EMPTY", "WAITING_FOR_WALS") and not each.get("end_time_timestamp"):
            running += 1
            continue
        problem = "" if status in ("DONE", "WAITING_FOR_WALS") else f"Barman says {status}"
        ended = float(each.get("end_time_timestamp") or 0.0)
        size = each.get("size_bytes")
        # of which cluster they are is told by `barman check` (systemid_coherence), not by the list
        found.append(Backup(str(each["backup_id"]), "full", ended, size, problem=problem))
    found.sort(key=lambda one: one.ended_at)
    newest = next((one for one in reversed(found) if not one.problem), None)
    if newest is not None:
        shown = _barman(settings, ("show-backup", server, newest.label), root, deadline).get(server, {})
        first = str(shown.get("base_backup_information", {}).get("begin_wal") or "")
    return (found, running, ()), first


def barman_complaints(settings: Backups, root: Path, deadline: Deadline) -> tuple[str, ...]:
    """The points of `barman check` that failed; how old and how many backups are is judged by checks of ours."""
    points = _barman(settings, ("check", settings.server or ""), root, deadline).get(settings.server or "", {})
    ours = ("backup_maximum_age", "minimum_redundancy_requirements", "backup_minimum_size")
    failed = {name: each for name, each in points.items() if each.get("status") != "OK" and name not in ours}
    said = (f"{name}: {each.get('hint') or each.get('status')}" for name, each in failed.items())
    return tuple(program_errors.last_words(each) or program_errors.REFUSED for each in said)


def barman_receiver(settings: Backups, root: Path, deadline: Deadline) -> str:
    """The slot, else the application name, by which Barman streams WAL; "" where it is configured not to."""
    shown = _barman_server(settings, root, deadline)
    if str(shown.get("streaming_archiver")).lower() not in ("true", "on", "1"):
        return ""
    slot = shown.get("slot_name")
    return plain(str(slot)) if slot and str(slot) != "None" else str(shown.get("streaming_archiver_name") or RECEIVER)


def barman_tablespaces(settings: Backups, label: str, root: Path, deadline: Deadline) -> list[Any]:
    """The tablespaces of a backup."""
    shown = _barman(settings, ("show-backup", settings.server or "", label), root, deadline)
    return list(shown.get(settings.server or "", {}).get("tablespaces") or ())


def barman_folders(settings: Backups, root: Path, deadline: Deadline) -> tuple[Path, ...]:
    """Where Barman writes: its locks, and what has come in that it archives first. Asked once."""
    asked = (*settings.tool_words, "in", str(root), settings.server or "")
    if asked not in _FOLDERS:
        shown = _barman_server(settings, root, deadline)
        named = (shown.get(key) for key in ("barman_lock_directory", "backup_directory", "incoming_wals_directory",
                                            "streaming_wals_directory", "wals_directory"))  # fmt: skip
        _FOLDERS[asked] = tuple(dict.fromkeys(Path(each) for each in named if isinstance(each, str)))
    return tuple(path for path in _FOLDERS[asked] if path.is_dir())


def _barman_server(settings: Backups, root: Path, deadline: Deadline) -> dict[str, Any]:
    """Barman's settings of a server and how it stands.

    Not shut in: it writes locks into a folder that only it knows. Of what others wrote it reads nothing but names.
    """
    words = (*settings.tool_words, "-f", "json", "show-servers", settings.server or "")
    return dict(_json_object(run(words, deadline, folder=root)).get(settings.server or "") or {})


def barman_segments(settings: Backups, label: str, root: Path, deadline: Deadline) -> list[str]:
    """Names of the WAL files from the beginning of a backup to the newest.

    Barman tells what its list (xlog.db) names, also where the file is gone: where its folder is here, we look.
    """
    done = _ask_barman(settings, ("list-files", "--target", "wal", settings.server or "", label), root, deadline)
    if done.code:
        raise EvidenceProblem(Problem("protocol", f"{done.words[0]} list-files: {done.error_text}", "run it by hand"))
    paths = [Path(line) for line in done.output.splitlines()]
    names = [path.name for path in paths if path.is_file() or not path.parent.is_dir()]
    return [name for name in names if SEGMENT.fullmatch(name) or HISTORY.fullmatch(name)]


def barman_verify(settings: Backups, label: str, root: Path, deadline: Deadline) -> VerifiedBackup:
    """What `barman verify-backup` says of one backup."""
    done = _ask_barman(settings, ("-f", "json", "verify-backup", settings.server or "", label), root, deadline)
    told = _json(done)
    wrong = told.get("_ERROR") or told.get("_EXCEPTION") or [] if isinstance(told, dict) else ["it did not answer"]
    confirmed = any("successfully verified" in str(each) for each in told.get("_INFO", [])) if not wrong else False
    said = program_errors.last_words("\n".join(map(str, wrong))) or ("" if confirmed else done.error_text)
    return VerifiedBackup(label, done.code == 0 and confirmed, said)


def _ask(words: Sequence[str], root: Path, deadline: Deadline, writable: Iterable[Path] = ()) -> CompletedProgram:
    """Runs a tool that only tells: it can write nowhere but in folders of its own. Its settings go by its own name."""
    shut_in = reading_only(words, writable, deadline)
    return replace(run(shut_in, deadline, folder=root, only=environment(words[0])), words=tuple(words))


def _ask_barman(settings: Backups, what: Sequence[str], root: Path, deadline: Deadline) -> CompletedProgram:
    return _ask((*settings.tool_words, *what), root, deadline, barman_folders(settings, root, deadline))


def _barman(settings: Backups, what: Sequence[str], root: Path, deadline: Deadline) -> dict[str, Any]:
    return _json_object(_ask_barman(settings, ("-f", "json", *what), root, deadline))


def _json_object(done: CompletedProgram) -> dict[str, Any]:
    """What Barman tells; raises EvidenceProblem with what it complains of."""
    told = _json(done)
    wrong = told.get("_ERROR") or told.get("_EXCEPTION") if isinstance(told, dict) else ["no object"]
    if wrong:
        said = program_errors.last_words("\n".join(map(str, wrong)))
        what = done.words[done.words.index("json") + 1]
        raise EvidenceProblem(Problem("protocol", f"barman {what}: {said}", "run it by hand"))
    return dict(told)


def _json(done: CompletedProgram) -> Any:
    try:
        return json.loads(done.output)
    except ValueError:
        hint = "run it by hand, as the same user as prodcheck"
        raise EvidenceProblem(Problem("protocol", f"{done.words[0]}: {done.error_text}", hint)) from None
