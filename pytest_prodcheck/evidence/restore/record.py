"""`postgres-restore-record`: what the last restore test wrote down; and how a restore writes it down."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.backups.inventory import backups_host, settings_of
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.backups import RestoreRecord, RestoreRun

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

FORMAT = "prodcheck-restore/1"
LARGEST = 1024 * 1024  # bytes


def temporary() -> Path:
    """The system's folder for temporary files."""
    return Path(tempfile.gettempdir())


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target].backups
    if settings is None or settings.restore_record is None:
        return ()
    if settings.restore_record.startswith("s3://"):
        return (Sending(settings.s3.endpoint, f"GetObject {settings.restore_record}"),)
    return (Sending("this machine", f"reads {settings.restore_record}"),)


@evidence(
    "postgres-restore-record", axis="postgres", feature="restore-record", seconds=20.0, host=backups_host, sends=_sends
)  # fmt: skip
def postgres_restore_record(target: str, context: Context, deadline: Deadline) -> RestoreRecord:
    """The record; one that is not there is told as such. Raises EvidenceProblem where it cannot be read or is none."""
    settings, now = settings_of(target, context), time.time()
    source = settings.restore_record or ""
    try:
        if source.startswith("s3://"):
            from pytest_prodcheck.evidence.backups.object_store import read_object

            content = read_object(settings, source, context, deadline, LARGEST)
        else:
            with (context.root / source).open("rb") as file:
                content = file.read(LARGEST + 1)
    except FileNotFoundError:
        hint = "restore a backup: data_integrity.backups.restore writes it, or a job of yours"
        gone = Problem("configuration", f"there is no {source}: no restore was ever recorded", hint)
        return RestoreRecord(source, "", 0.0, now, False, (), 0.0, 0, 0.0, "", gone)
    except OSError as error:
        raise EvidenceProblem(Problem("configuration", f"{source}: {error.strerror}")) from None
    return _read(content, source, now)


def _read(content: bytes, source: str, now: float) -> RestoreRecord:
    try:
        document: Any = json.loads(content)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        good = document["good"]
        if not isinstance(good, bool):
            raise ValueError("good is neither true nor false")
        share = float(document.get("share", 1.0))
        if not 0 <= share <= 1:
            raise ValueError("share is not between 0 and 1")
        return RestoreRecord(
            source, plain(str(document["label"])), float(document["restored_at"]), now, good,
            tuple(plain(str(each)) for each in document["wrong"])[:50], float(document["recovery_time"]),
            int(document["compared"]), share, str(document["system_identifier"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        hint = "docs/data-integrity.md shows what a job of yours has to write"
        raise EvidenceProblem(Problem("protocol", f"{source}: is no record of a restore ({error})", hint)) from None


def write(settings: Backups, run: RestoreRun, system_identifier: str, root: Path) -> None:
    """Writes the record where one is declared as a file: whole or not at all."""
    if settings.restore_record is None or settings.restore_record.startswith("s3://"):
        return
    wrong = [*run.wrong, *([f"not compared: {run.record_problem}"] if run.record_problem else [])]
    document = {
        "format": FORMAT, "label": run.label, "restored_at": time.time(), "good": not wrong,
        "wrong": wrong, "recovery_time": run.recovery_time, "compared": len(run.compared),
        "share": run.share,
        "system_identifier": run.system_identifier or system_identifier,
    }  # fmt: skip
    path = root / settings.restore_record
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with new.open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        what = f"the backup was restored, but {path} cannot be written: {error.strerror}"
        raise EvidenceProblem(Problem("configuration", what, "pre_deploy.backups.verified would not see it")) from None
