"""What a deployment writes into the event log."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.deploy import deployment_events
from tests.deploy.model import NEW, OLD, Killed
from tests.deploy.model_project import Here


def git(folder: Path, *words: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_COMMITTER_DATE": "1700000000 +0200"}
    names = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *names, *words], cwd=folder, env=env, capture_output=True, text=True, check=True
    ).stdout


def test_the_commit_time_of_a_revision_is_noted(here: Here) -> None:
    git(here.folder, "init", "-q")
    git(here.folder, "commit", "-q", "--allow-empty", "-m", "one")
    commit = git(here.folder, "rev-parse", "HEAD").strip()
    for revision in (commit, commit[:10]):
        assert deployment_events.commit_time(here.folder, revision) == 1700000000
    for revision in ("r2", "0" * 40, "--output=x", "-1", commit + ":x", "a b"):
        assert deployment_events.commit_time(here.folder, revision) is None
    assert here.deploy(commit) == 0
    connection = sqlite3.connect(here.folder / ".prodcheck" / "events.db")
    body = json.loads(connection.execute("select body from events").fetchone()[0])
    connection.close()
    assert (body["committed_at"], body["old"]) == (1700000000, OLD)


def test_a_call_that_is_killed_before_it_noted_is_made_up_for(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*words: Any) -> str:
        raise Killed

    true = deployment_events.record_event
    monkeypatch.setattr(deployment_events, "record_event", killed)
    assert here.deploy() == 21
    monkeypatch.setattr(deployment_events, "record_event", true)
    assert here.events() == []
    for _ in range(2):
        assert here.call("--resume") == 4  # it is done
        assert here.events() == [("deployed", NEW)]


def test_an_event_that_cannot_be_noted_changes_no_code(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*words: Any) -> None:
        raise ValueError("no secret EVENTS_DSN")

    monkeypatch.setattr("pytest_prodcheck.events.configured_log.open_log", fails)
    assert here.deploy() == 0
    assert "the event log was not updated: no secret EVENTS_DSN" in capsys.readouterr().out
