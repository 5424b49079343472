"""An incremental base backup (PostgreSQL 17 and newer) put together with those that it is the difference to."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.backups.base_backups import major_version
from pytest_prodcheck.evidence.postgres.programs import library_path, needed_by, programs
from pytest_prodcheck.evidence.restore.source_files import Source, give_to
from pytest_prodcheck.evidence.tools.confinement import sandbox
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.deadlines import Deadline


def combine(settings: Backups, chain: Sequence[Path], scratch: Path, root: Path, deadline: Deadline) -> Path:
    """Fills `scratch`/data by pg_combinebackup from copies of a chain, the full one first; raises EvidenceProblem.

    The program reads what others wrote, so it is shut in as the server is.
    """
    program = programs("pg_combinebackup", major_version(chain[-1]), settings.programs, root) / "pg_combinebackup"
    parts = []
    for number, each in enumerate(chain):
        if any((each / "pg_tblspc").iterdir()):
            what = f"{each.name}: an incremental backup with tablespaces is not restored here"
            raise EvidenceProblem(Problem("configuration", what, "restore it by hand: pg_combinebackup -T OLD=NEW"))
        parts.append(scratch / f"part-{number}")
        Source(each, ()).copy(parts[-1], scratch / f"none-{number}", deadline)
    data, private = scratch / "data", scratch / "combine"
    for each in (data, private):
        each.mkdir(mode=0o700)
    private.chmod(0o755)
    assert settings.restore is not None
    confined = sandbox(private, settings.restore.unconfined)
    for each in (data, *parts):
        give_to(each, confined.user)
    readable = (*needed_by(program.parent, ("pg_combinebackup",)), *parts)
    confined = replace(
        confined, readable=readable, writable=(data,), variables=library_path(program.parent)
    )
    words = (str(program), *map(str, parts), "--output", str(data), "--no-sync", "--no-manifest")
    done = confined.run(words, deadline)
    if done.code:
        raise EvidenceProblem(Problem("protocol", f"the backups could not be put together: {done.error_text}"))
    for part in parts:
        shutil.rmtree(part)
    return data
