"""An incremental base backup (PostgreSQL 17 and newer) put together with those that it is the difference to."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.backups.base_backups import major_version
from pytest_prodcheck.evidence.postgres.programs import programs
from pytest_prodcheck.evidence.restore.source_files import Source
from pytest_prodcheck.evidence.tools.confinement import bare_environment
from pytest_prodcheck.evidence.tools.subprocesses import run
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.deadlines import Deadline


def combine(settings: Backups, chain: Sequence[Path], scratch: Path, root: Path, deadline: Deadline) -> Path:
    """Fills `scratch`/data by pg_combinebackup from copies of a chain, the full one first; raises EvidenceProblem."""
    program = programs("pg_combinebackup", major_version(chain[-1]), settings.programs, root) / "pg_combinebackup"
    parts = []
    for number, place in enumerate(chain):
        if any((place / "pg_tblspc").iterdir()):
            what = f"{place.name}: an incremental backup with tablespaces is not restored here"
            raise EvidenceProblem(Problem("configuration", what, "restore it by hand: pg_combinebackup -T OLD=NEW"))
        parts.append(scratch / f"part-{number}")
        Source(place, ()).copy(parts[-1], scratch / f"none-{number}", deadline)
    data = scratch / "data"
    words = (str(program), *map(str, parts), "--output", str(data))
    done = run(words, deadline, folder=scratch, only=bare_environment())
    if done.code:
        raise EvidenceProblem(Problem("protocol", f"the backups could not be put together: {done.said}"))
    for part in parts:
        shutil.rmtree(part)
    return data
