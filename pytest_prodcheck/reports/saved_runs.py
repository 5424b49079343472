"""Runs as they were saved in `.prodcheck/runs`: found, read, and compared with the last one that opened its gates.

What is read here is only shown: no gate asks it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_prodcheck.outcomes import RunRecord, counts
from pytest_prodcheck.reports.json_report import read_run
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, View
from pytest_prodcheck.trusted_files import read_regular

SUMMARY = "summary.json"
LATEST = "latest"
_LARGEST_RUN = 256 * 1024 * 1024
_LARGEST_SUMMARY = 64 * 1024 * 1024


class NoSuchRun(ValueError):
    """A run that is not there or cannot be read; the message says which ones are."""


def summary(run: RunRecord, verdicts: Sequence[AnyVerdict]) -> str:
    """What a list of runs shows of one, and its verdicts, as JSON text."""
    documents = [dict(each) if isinstance(each, Mapping) else each.to_document() for each in verdicts]
    about = {
        name: getattr(run, name)
        for name in ("environment", "unit", "slot", "revision", "started_at", "ended_at", "replay_of")
    }
    told = {str(outcome): number for outcome, number in counts(run.results).items()}
    return json.dumps({**about, "counts": told, "verdicts": documents}) + "\n"


@dataclass(frozen=True)
class SavedRun:
    """One saved run; `about` is its summary, empty where it cannot be read."""

    folder: Path
    about: View

    @property
    def id(self) -> str:
        """Its name, which begins with the time at which it began."""
        return self.folder.name

    @property
    def verdicts(self) -> list[Mapping[str, object]]:
        """The documents of its verdicts, none for a run that touched no gate."""
        return [each.data for each in self.about.views("verdicts")]

    def is_open(self) -> bool:
        """Whether it opened every gate that it was about, and at least one."""
        found = self.about.views("verdicts")
        return bool(found) and all(each.number("code") == 0 for each in found)

    def is_about(self, other: Mapping[str, object]) -> bool:
        """Whether it judged the same environment, unit and slot."""
        return all(self.about.data.get(name) == other.get(name) for name in ("environment", "unit", "slot"))

    def record(self) -> RunRecord:
        """The whole record; raises NoSuchRun."""
        try:
            return read_run(read_regular(str(self.folder / "run.json"), _LARGEST_RUN, follow=False))
        except (OSError, ValueError) as error:
            raise NoSuchRun(f"run {self.id} cannot be read: {error}") from None


def saved_runs(state: Path) -> Iterator[SavedRun]:
    """All runs that ended, the newest first."""
    folders = state / "runs"
    names = sorted((each.name for each in folders.iterdir()), reverse=True) if folders.is_dir() else []
    for name in names:
        if (folders / name / "run.json").is_file():
            yield SavedRun(folders / name, View(_summary(folders / name / SUMMARY)))


def unfinished(state: Path, environment: str = "") -> str:
    """The id of the newest run, where it opened gates and has not ended, or never will; "" where it ended."""
    folders = state / "runs"
    for name in sorted((each.name for each in folders.iterdir()), reverse=True) if folders.is_dir() else []:
        if (folders / name / "run.json").is_file():
            return ""
        if any(not environment or key[0] == environment for key in _opened(folders / name / "gates.json")):
            return name
    return ""


def find_run(state: Path, wanted: str, environment: str = "") -> SavedRun:
    """The run of that id or folder, of the only id that begins so, or the newest ("latest"); raises NoSuchRun."""
    if "/" in wanted and (Path(wanted) / "run.json").is_file():  # of another machine
        return SavedRun(Path(wanted), View(_summary(Path(wanted) / SUMMARY)))
    found = [each for each in saved_runs(state) if not environment or each.about.raw("environment") == environment]
    if not found:
        where = f" of {environment}" if environment else ""
        raise NoSuchRun(f"there is no saved run{where} in {state / 'runs'}")
    if wanted == LATEST:
        return found[0]
    fitting = [each for each in found if each.id == wanted] or [each for each in found if each.id.startswith(wanted)]
    if len(fitting) == 1 and wanted:
        return fitting[0]
    some = ", ".join(each.id for each in (fitting or found)[:3])
    raise NoSuchRun(f"{len(fitting) or 'no'} saved runs have an id that begins with {wanted!r}; the newest are {some}")


def last_open(state: Path, run: RunRecord) -> RunRecord | None:
    """The newest earlier run of the same environment, unit and slot that opened its gates and can be read."""
    about = {"environment": run.environment, "unit": run.unit, "slot": run.slot}
    for each in saved_runs(state):
        if each.id < run.id and each.is_open() and each.is_about(about):
            try:
                return each.record()
            except NoSuchRun:
                continue
    return None


def _opened(file: Path) -> list[list[str]]:
    try:
        found = json.loads(read_regular(str(file), _LARGEST_SUMMARY, follow=False))
    except (OSError, ValueError, RecursionError):
        return []
    return [each for each in found if isinstance(each, list) and each] if isinstance(found, list) else []


def _summary(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_regular(str(file), _LARGEST_SUMMARY, follow=False))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
