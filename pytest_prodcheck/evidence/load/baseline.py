"""The accepted runs of each load scenario, and `load-baseline`, which reads them. One JSON line a run, newest last."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.load.fingerprint import fingerprint
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.load import AcceptedEndpoint, AcceptedRun, Baseline, LoadEndpoint, LoadRun, ResponseTimes
from pytest_prodcheck.sealed_lines import SealedLines
from pytest_prodcheck.trusted_files import open_own, read_regular, refuse_links

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

KEPT = 20  # runs in a file
COMPARED = 10  # of them, how many a run is compared with
LARGEST = 32 * 1024 * 1024  # bytes of a file


@evidence(
    "load-baseline", axis="load", feature="run",
    host=lambda target, environment: f"history {target}", sends=lambda target, environment: (),
)  # fmt: skip
def load_baseline(target: str, context: Context, deadline: Deadline) -> Baseline:
    """The last accepted runs of a scenario; none of one that was declared otherwise then."""
    load = context.environment.load[target]
    required = load.baseline == "required"
    if context.state is None:
        raise EvidenceProblem(Problem("internal", "there is no folder for the history"))
    file = file_of(context.state, context.environment, target)
    sent = fingerprint(target, context.environment, context.root, context.vantage)
    lines = _lines(file, _sealed(context.key, context.environment, target))
    runs = tuple(run for digest, run in _read(file, lines) if digest == sent)[-COMPARED:]
    if not runs:
        deadline.note(
            "no accepted run of this scenario with this declaration exists yet: this "
            "run becomes the first to compare with"
        )
    return Baseline(runs, required, load.compare.p95, load.compare.p99, load.compare.errors)


def file_of(state: Path, environment: Environment, name: str) -> Path:
    """Where the accepted runs of a scenario are."""
    slot = f"@{environment.slot}" if environment.slot else ""
    return state / "history" / f"{environment.name}{slot}" / f"{name}.jsonl"


def _sealed(key: bytes, environment: Environment, name: str) -> SealedLines:
    return SealedLines(key, f"{environment.name}@{environment.slot} {name}")


def accept(
    state: Path, key: bytes, environment: Environment, run: LoadRun, run_id: str, at: float, revision: str
) -> None:  # fmt: skip
    """Adds a run to the accepted ones; raises OSError, and EvidenceProblem for a file that cannot be read."""
    file, sealed = file_of(state, environment, run.name), _sealed(key, environment, run.name)
    kept = _lines(file, sealed)[-(KEPT - 1) :]
    line = {
        "digest": run.sent, "run": run_id, "at": at, "revision": revision,
        "overall": _to_plain_data(run.overall), "endpoints": [_to_plain_data(each) for each in run.endpoints],
    }  # fmt: skip
    added = sealed.line(json.dumps(line), *kept[-1:])
    if not added:
        return
    refuse_links(str(state), str(file.parent))
    for folder in (state, file.parent.parent, file.parent):
        folder.mkdir(exist_ok=True, mode=0o700)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(open_own(str(temporary), os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as stream:
        stream.write("\n".join([*kept, added]) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)


def _to_plain_data(endpoint: LoadEndpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name, "good": endpoint.good, "failed": endpoint.failed, "times": endpoint.times.histogram
    }  # fmt: skip


def _lines(file: Path, sealed: SealedLines) -> list[str]:
    """The lines as they were written; raises EvidenceProblem where somebody else had a hand in it."""
    try:
        content = read_regular(str(file), LARGEST, follow=False)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EvidenceProblem(Problem("configuration", f"{file}: cannot be read: {error.strerror}")) from None
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if line.strip()]
    if not sealed.chained(lines):
        what = f"{file}: its seals are not valid: the file was changed, or the key is another one"
        raise EvidenceProblem(Problem("protocol", what, "remove the file to start again"))
    return lines


def _read(file: Path, lines: list[str]) -> list[tuple[str, AcceptedRun]]:
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(_run(json.loads(line.split(" ", 2)[2])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"{file}:{number}: this line is not an accepted run ({type(error).__name__})"
            hint = "remove the line, or the file to start again"
            raise EvidenceProblem(Problem("protocol", what, hint)) from None
    return found


def _run(plain: dict[str, Any]) -> tuple[str, AcceptedRun]:
    endpoints = tuple(_endpoint(each) for each in plain["endpoints"])
    run = AcceptedRun(
        str(plain["run"]), float(plain["at"]), str(plain["revision"]), _endpoint(plain["overall"]), endpoints
    )
    return str(plain["digest"]), run


def _endpoint(plain: dict[str, Any]) -> AcceptedEndpoint:
    times = tuple((int(value), int(number)) for value, number in plain["times"])
    if list(times) != sorted(times) or any(number < 1 for _, number in times):
        raise ValueError("no histogram")
    return AcceptedEndpoint(str(plain["name"]), int(plain["good"]), int(plain["failed"]), ResponseTimes(times))
