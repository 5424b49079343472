"""The end of a run: its record, the verdicts, the files of the run and the reports that were asked for."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_prodcheck import catalogue
from pytest_prodcheck.outcomes import NO_TARGET, Judgement, Planned, Result, RunRecord, Severity

if TYPE_CHECKING:
    from pytest_prodcheck.gates.verdict import Verdict
    from pytest_prodcheck.plugin.gathering import Gathering
    from pytest_prodcheck.plugin.opening import Opened

Record = TypeVar("Record", Result, Judgement)


def make_record(
    opened: Opened,
    gathering: Gathering,
    results: Iterable[Result],
    collected: dict[tuple[str, str], Planned],
    problems: Iterable[str],
    interrupted: str,
) -> RunRecord:
    """The run's record: what was judged beside what its gates should have had judged."""
    planned = {(each.check, each.target): each for each in catalogue.planned(opened.scope)} | collected
    seen = {check for check, _ in planned}
    for own in opened.own_checks:
        stem = own.id.removesuffix(".*")
        if own.id not in seen and not any(check == stem or check.startswith(f"{stem}.") for check in seen):
            planned[(own.id, NO_TARGET)] = Planned(own.id, NO_TARGET, Severity.HIGH, own.suite)
    known = opened.known() | {check for check, _ in planned}
    wanted = [
        planned[key]
        for key in sorted(planned)
        if any(policy.selects(planned[key].check, planned[key].suite) for policy in opened.policies)
    ]
    return replace(
        opened.blank_record(),
        ended_at=time.time(),
        results=tuple(clean(result, gathering) for result in results),
        planned=tuple(wanted),
        known=tuple(sorted(known)),
        problems=tuple(dict.fromkeys(gathering.redactor.redact(each) for each in problems)),
        interrupted=interrupted,
        waited=gathering.waited,
    )


def clean(result: Result, gathering: Gathering) -> Result:
    """A result without secrets, whatever a check wrote into it."""
    redact = gathering.redactor.redact
    return _changed(
        result,
        reason=redact(result.reason),
        judgements=tuple(
            _changed(
                each,
                what=redact(each.what),
                of=redact(each.of),
                reason=redact(each.reason),
                value=redact(each.value) if isinstance(each.value, str) else each.value,
            )
            for each in result.judgements
        ),
        notes=tuple(redact(note) for note in result.notes),
    )


def _changed(record: Record, **parts: Any) -> Record:
    """The record itself where the parts say the same: most do, and making another takes ten times as long."""
    return record if all(getattr(record, name) == value for name, value in parts.items()) else replace(record, **parts)


def save(opened: Opened, gathering: Gathering, run: RunRecord, verdicts: Sequence[Verdict]) -> str:
    """Writes the run, its evidence and the reports; returns what went wrong, "" where all is written."""
    from pytest_prodcheck.gates.files import make_folder, make_private
    from pytest_prodcheck.reports import write
    from pytest_prodcheck.reports.json_report import dump_run

    options = opened.options
    try:
        folder = opened.state / "runs" / run.id
        make_private(opened.state)
        make_folder(folder)
        _ignored(opened.state)
        _write(folder / "run.json", dump_run(run), 0o600)
        gathering.save(folder)
        _forget_old(opened.state / "runs", opened.environment.evidence.keep)
        if options.prodcheck_json:
            _write(Path(options.prodcheck_json), write("json", run, verdicts))
        if options.prodcheck_sarif:
            _write(Path(options.prodcheck_sarif), write("sarif", run, verdicts))
        if options.prodcheck_report:
            _write(Path(options.prodcheck_report), write("text", run, verdicts))
    except OSError as error:
        return f"the run could not be saved: {error}"
    return ""


def _write(path: Path, text: str, mode: int = 0o666) -> None:
    """Whole or not at all: a full disk raises and leaves what was there. mode: less what the umask takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _ignored(state: Path) -> None:
    """Keeps the state out of version control: it holds the key."""
    file = state / ".gitignore"
    if not file.exists():
        _write(file, "*\n", 0o600)


def _forget_old(runs: Path, keep: float) -> None:
    """Removes the runs that are older than the environment's `evidence.keep` seconds."""
    for folder in runs.iterdir():
        with suppress(FileNotFoundError):  # another run tidies up at the same time
            if folder.is_dir() and folder.stat().st_mtime < time.time() - keep:
                shutil.rmtree(folder, ignore_errors=True)
