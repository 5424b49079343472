"""`prodcheck exec` and `prodcheck override`: only an open gate runs the command, and everything is recorded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.cli import main
from pytest_prodcheck.outcomes import Outcome
from tests.cli.test_gate import publish
from tests.gates.samples import result


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PRODCHECK_KEY", raising=False)
    monkeypatch.setenv("PRODCHECK_REVISION", "r1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def execute(*command: str, scope: tuple[str, ...] = ()) -> int:
    return main(["exec", "smoke", "--env", "staging", *scope, "--", *command])


def log(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / ".prodcheck" / "actions.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("code", [0, 1, 7])
def test_an_open_gate_runs_the_command(root: Path, code: int) -> None:
    publish(root, at=time.time())
    assert execute("sh", "-c", f"touch ran; exit {code}", scope=("--revision", "r1")) == code
    assert (root / "ran").exists()
    started, ended = log(root)
    assert (started["event"], ended["event"], ended["code"]) == ("started", "ended", code)
    assert (ended["gate"], ended["revision"], ended["run"]) == ("smoke", "r1", "run-1")
    assert (ended["command"], ended["arguments"]) == ("sh", 2)
    assert "touch" not in (root / ".prodcheck" / "actions.jsonl").read_text()


@pytest.mark.parametrize(
    ("outcome", "scope", "code"),
    [(Outcome.FAILED, (), 1), (Outcome.ERRORED, (), 3), (Outcome.PASSED, ("--revision", "r2"), 4)],
)
def test_a_closed_gate_does_not(root: Path, outcome: Outcome, scope: tuple[str, ...], code: int) -> None:
    publish(root, result(outcome=outcome), at=time.time())
    assert execute("touch", "ran", scope=scope) == code
    assert not (root / "ran").exists()
    assert not (root / ".prodcheck" / "actions.jsonl").exists()


def test_an_answer_that_was_told_slowly_is_asked_for_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads our output, or a stopped process, makes minutes of the moment between answer and command."""
    import pytest_prodcheck.cli.exec as module

    publish(root, at=time.time())
    told: list[int] = []

    def slowly(decision: Any, ask: Any, now: float) -> None:
        told.append(decision.code)
        if len(told) == 1:
            monkeypatch.setattr("time.time", lambda: now + 7200)

    monkeypatch.setattr(module, "print_answer", slowly)
    assert execute("touch", "made") == 4
    assert told == [0, 4]
    assert not (root / "made").exists()


def test_commands_that_cannot_start_or_are_not_given(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(root, at=time.time())
    assert execute("./no-such-command") == 127
    assert "cannot be started" in capsys.readouterr().err
    assert log(root)[-1]["code"] == 127
    assert main(["exec", "smoke", "--env", "staging"]) == 2
    assert main(["exec", "smoke", "--env", "staging", "--"]) == 2


def test_a_log_that_cannot_be_written_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(root, at=time.time())
    (root / ".prodcheck" / "actions.jsonl").mkdir()
    assert execute("true") == 0
    assert "NOT RECORDED" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on(root: Path, number: signal.Signals) -> None:
    publish(root, at=time.time())
    script = "trap 'echo got; exit 5' TERM INT; touch ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_prodcheck.cli", "exec", "smoke", "--env", "staging", "--", "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 20
        while not (root / "ready").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 5
    assert "got" in out


def test_override(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(root, result(outcome=Outcome.FAILED), at=time.time())
    words = ["override", "smoke", "--env", "staging", "--reason", "prod burns", "--ticket", "INC-7", "--for", "30m"]
    assert main(words) == 0
    assert "INC-7" in capsys.readouterr().out
    assert main(["gate", "smoke", "--env", "staging"]) == 0
    out = capsys.readouterr().out
    assert "BLOCKED" in out
    assert "OVERRIDE" in out
    assert "prod burns (INC-7)" in out
    assert execute("true") == 0
    assert "prod burns" in log(root)[0]["overrides"][0]


def test_override_where_nothing_was_ever_run(root: Path) -> None:
    """While production burns there may be no key and no verdict yet."""
    (root / "prodcheck.toml").write_text(
        'version = 1\n[environments.live.services.shop]\nurl = "http://127.0.0.1:9"\n'
        '[gates.rollback]\nselect = ["smoke.*"]\n'
    )
    words = ["--reason", "r", "--ticket", "t", "--for", "1h"]
    assert main(["override", "rollback", "--env", "live", "--revision", "r9", *words]) == 0
    assert os.stat(root / ".prodcheck" / "key").st_mode & 0o777 == 0o600
    assert main(["gate", "rollback", "--env", "live", "--revision", "r9", "--quiet"]) == 0
    assert main(["gate", "smoke", "--env", "live", "--revision", "r9", "--quiet"]) == 3
    assert main(["gate", "other", "--env", "live", "--revision", "r9", "--quiet"]) == 2


@pytest.mark.parametrize(
    "changes",
    [
        ["--env", "stagin"],
        ["--unit", "x"],
        ["--for", "25h"],
        ["--for", "soon"],
        ["--reason", " "],
        ["--ticket", ""],
        ["--env", "../x"],
    ],
)
def test_override_mistakes(root: Path, changes: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["override", "smoke", "--env", "staging", "--reason", "r", "--ticket", "t", "--for", "30m", *changes]
    assert main(words) == 2
    assert "prodcheck override" in capsys.readouterr().err
    assert not (root / ".prodcheck" / "overrides.jsonl").exists()


def test_nothing_to_override(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt gate or environment must not be let open; a protected one asks for the revision."""
    monkeypatch.delenv("PRODCHECK_REVISION")
    words = ["--reason", "r", "--ticket", "t", "--for", "30m"]
    assert main(["override", "smoke", "--env", "live", *words]) == 2
    (root / "prodcheck.toml").write_text(
        "version = 1\n[environments.live]\nprotected = true\n"
        'absent = ["auth", "workflows", "postgres", "redis"]\n'
        '[environments.live.services.shop]\nurl = "http://127.0.0.1:9"\n'
    )
    assert main(["override", "smok", "--env", "live", "--revision", "r1", *words]) == 2
    assert main(["override", "smoke", "--env", "life", "--revision", "r1", *words]) == 2
    assert main(["override", "smoke", "--env", "live", *words]) == 2
    assert "protected" in capsys.readouterr().err
    assert main(["override", "smoke", "--env", "live", "--revision", "r1", *words]) == 0


def test_two_processes_that_append_at_once(root: Path) -> None:
    publish(root, at=time.time())
    words = [sys.executable, "-m", "pytest_prodcheck.cli", "exec", "smoke", "--env", "staging", "--", "true"]
    running = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [each.wait(30) for each in running] == [0] * 4
    assert len(log(root)) == 8
