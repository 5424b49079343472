from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pytest_prodcheck.evidence.gathering import known_secrets
from tests.evidence.contexts import context_for


def test_learns_what_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of `env` and `file`, those of own collectors too; no command is run; what is missing is passed over."""
    monkeypatch.setenv("A_SECRET", "first-secret")
    monkeypatch.setenv("OWN_SECRET", "second-secret")
    (tmp_path / "password").write_text("third-secret\n")
    context = context_for(
        tmp_path,
        services={"a": {"url": "http://a.test", "authentication": {"bearer": {"env": "A_SECRET"}}}},
        own={"fact": {"password": {"env": "OWN_SECRET"}, "value": 1}},
        redis={"r": {"nodes": ["r.test:1"], "password": {"file": "password"}}},
        postgres={
            "p": {"nodes": ["p.test:1"], "password": {"command": ["touch", "ran"]}},
            "q": {"nodes": ["q.test:1"], "password": {"env": "NOT_SET_ANYWHERE"}},
        },
    )
    known_secrets.learn_secrets(context)
    assert context.redactor.redact("first-secret SECOND-SECRET third-secret") == "[redacted] [redacted] [redacted]"
    assert not (tmp_path / "ran").exists()


def test_a_pipe_that_nobody_writes_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_secrets, "PATIENCE", 0.1)
    os.mkfifo(tmp_path / "pipe")
    context = context_for(tmp_path, redis={"r": {"nodes": ["r.test:1"], "password": {"file": "pipe"}}})
    began = time.monotonic()
    known_secrets.learn_secrets(context)
    assert time.monotonic() - began < 2
    (tmp_path / "pipe").open("w").close()  # lets the thread end
