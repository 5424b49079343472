"""A backup tool that is asked reads what others wrote: whatever it is brought to do, it writes nowhere else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.environments.sections.backups import Backups
from pytest_prodcheck.evidence.backups import pgbackrest_barman
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.tools import landlock, write_guard
from pytest_prodcheck.evidence.tools.confinement import why_unavailable

# the environment of who started it is seen by root behind Landlock, which shuts in ordinary users' tools
TOOL = """#!/bin/sh
mkdir -p "{locks}"
case "$*" in *show-servers*) cat {folder}/told; exit;; esac
cd {others}
(echo x > new) 2>/dev/null
(: > victim) 2>/dev/null
mv victim moved 2>/dev/null; ln -s /etc/passwd link 2>/dev/null; ln victim hard 2>/dev/null
rm victim 2>/dev/null; mkdir made 2>/dev/null; mkfifo pipe 2>/dev/null
(echo x > {locks}/lock) 2>/dev/null
[ -z "$CANARY" ] || echo seen > {locks}/canary
[ {root} = 1 ] || [ ! -r /proc/{pid}/environ ] || cat /proc/{pid}/environ > {locks}/environ 2>/dev/null
cat {folder}/told
"""
INFO = [{"name": "shop", "backup": [], "db": [], "status": {"code": 0}, "repo": [], "archive": [
    {"database": {"id": 1}, "id": "17-1"}]}]  # fmt: skip
OF = {"id": 1}


def _pgbackrest(settings: Backups, root: Path, deadline: Deadline) -> None:
    info = pgbackrest_barman.pgbackrest_info(settings, root, deadline)
    pgbackrest_barman.pgbackrest_wal(settings, info, OF, root, deadline)
    pgbackrest_barman.pgbackrest_file(settings, info, OF, "x", root, deadline)
    with pytest.raises(Exception, match="verify"):
        pgbackrest_barman.pgbackrest_verify(settings, info, root, deadline)


def _barman(settings: Backups, root: Path, deadline: Deadline) -> None:
    pgbackrest_barman.barman(settings, root, deadline)
    pgbackrest_barman.barman_complaints(settings, root, deadline)
    pgbackrest_barman.barman_segments(settings, "1", root, deadline)
    pgbackrest_barman.barman_wal(settings, "00000002.history", root, deadline)
    pgbackrest_barman.barman_verify(settings, "1", root, deadline)


@pytest.mark.skipif(bool(why_unavailable()), reason=f"nothing can be shut in here: {why_unavailable()}")
@pytest.mark.parametrize("by", ["bwrap", "unshare", "landlock"])
@pytest.mark.parametrize(("kind", "ask"), [("pgbackrest", _pgbackrest), ("barman", _barman)])
def test_a_tool_that_is_asked_writes_nowhere_else(
    kind: str, ask: Callable[..., Any], by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (landlock.usable() if by == "landlock" else shutil.which(by)):
        pytest.skip(f"no {by} here")
    monkeypatch.setattr(write_guard, "guarded_by", lambda: by)
    monkeypatch.setenv("CANARY", "canary-of-the-environment")
    monkeypatch.setattr(pgbackrest_barman, "_FOLDERS", {})
    locks, others = tmp_path / "locks", tmp_path / "others"
    for each in (locks, others):
        each.mkdir()
    (others / "victim").write_text("whole")
    server = {"barman_lock_directory": str(locks)}
    (tmp_path / "told").write_text(json.dumps(INFO if kind == "pgbackrest" else {"shop": server}))
    tool = tmp_path / kind
    tool.write_text(TOOL.format(
        folder=tmp_path, others=others, locks=locks, pid=os.getpid(), root=int(os.geteuid() == 0 and by == "landlock")
    ))  # fmt: skip
    tool.chmod(0o755)
    settings = Backups.model_validate({"kind": kind, "tool": [str(tool)], "stanza": "shop", "server": "shop"})
    answers = {"list-backups": [], "show-servers": server}
    told: dict[str, Any] = {"shop": {}}
    monkeypatch.setattr(pgbackrest_barman, "_json_object", lambda done: next(
        ({"shop": answer} for word, answer in answers.items() if word in done.words), told
    ))  # fmt: skip
    ask(settings, tmp_path, Deadline(60))
    assert [each.name for each in others.iterdir()] == ["victim"]
    assert (others / "victim").read_text() == "whole"
    assert sorted(each.name for each in locks.iterdir()) == (["lock"] if kind == "barman" else [])
