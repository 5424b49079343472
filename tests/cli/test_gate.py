"""`prodcheck gate` as a process: exit codes, what it prints, and how little it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from pytest_prodcheck.cli import main
from pytest_prodcheck.cli.gate_answer import safe
from pytest_prodcheck.gates.run_gates import RunGates, run_key
from pytest_prodcheck.gates.store import Key
from pytest_prodcheck.outcomes import Outcome, Result
from tests.gates.samples import NOW, configuration, gate, result, run

HEAVY = "argparse dataclasses tomllib pydantic typing pathlib datetime inspect glob pytest subprocess"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with prodcheck.toml; time stands still at NOW."""
    for name in ("PRODCHECK_KEY", "PRODCHECK_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PRODCHECK_REVISION", "r1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.time", lambda: NOW + 60)
    return tmp_path


def publish(root: Path, *results: Result, at: float = NOW) -> None:
    run_gates = RunGates(root / ".prodcheck", run_key(root / ".prodcheck", root))
    moved = [
        replace(each, gathered_at=None if each.gathered_at is None else each.gathered_at + at - NOW)
        for each in results or (result(),)
    ]
    record = replace(run(*moved, configuration=configuration(root)))
    run_gates.open_run(record.id, [Key("staging", "", "", "smoke")])
    assert run_gates.publish(run_gates.settle(record, [gate()], at)) == []


def ask(*words: str) -> int:
    return main(["gate", "smoke", "--env", "staging", *words])


def test_open(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(root, result(), result("smoke.dns", "-", Outcome.SKIPPED), result("smoke.login", "shop", Outcome.WARNED))
    assert ask("--revision", "r1", "--max-age", "15m") == 0
    out = capsys.readouterr().out
    for words in (
        "OPEN  smoke of staging, revision r1",
        "1 passed, 1 warned, 1 skipped",
        "oldest evidence 70 s old",
        "warning: smoke.login on shop: 0.7 s is more than 0.5 s",
        "skipped: 1 not declared (prodcheck doctor --env staging lists them)",
    ):
        assert words in out
    assert ask("--revision", "r1", "--max-age", "2m") == 0
    assert "valid for another 50 s" in capsys.readouterr().out  # not what the gate's own 15 min would be


def test_blocked_says_what_against_which_limit_and_how_to_mend(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(root, result(outcome=Outcome.FAILED))
    assert ask() == 1
    out = capsys.readouterr().out
    assert all(words in out for words in ("BLOCKED", "smoke.api", "3 s is more than 1 s", "http://rb", "team-shop"))


def test_cannot_tell_and_refused_say_how_to_judge_anew(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("--revision", "r1") == 3
    assert "prodcheck run smoke --env staging --revision r1" in capsys.readouterr().out
    publish(root)
    assert ask("--revision", "r2") == 4
    assert "revision r1, but you asked about r2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gate", "smoke"], "--env"),
        (["gate", "--env", "staging"], "NAME"),
        (["gate", "smoke", "more", "--env", "staging"], "more"),
        (["gate", "smoke", "--env", "staging", "--max-age", "soon"], "expected a duration"),
        (["gate", "smoke", "--env", "staging", "--format", "xml"], "xml"),
        (["gate", "smoke", "--env", "staging", "--what"], "--what"),
        (["gate", "../smoke", "--env", "staging"], "expected letters"),
        (["gate", "smoke", "--env", "staging", "--", "x"], "no arguments after --"),
        (["gaet"], "did you mean `gate`?"),
        ([], ""),
    ],
)
def test_usage_errors(root: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    publish(root)
    assert main(words) == 2
    captured = capsys.readouterr()
    assert said in captured.err or not words


def test_json_quiet_explain(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(root)
    assert ask("--format", "json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["code"], answer["verdict"]["run"]) == (0, "run-1")
    assert ask("--quiet") == 0
    assert capsys.readouterr().out == ""
    assert ask("--explain") == 0
    assert "run-1" in capsys.readouterr().out
    assert ask("--format", "json", "--revision", "r2") == 4
    assert json.loads(capsys.readouterr().out)["reasons"][0]["code"] == 4


def test_the_slow_way_answers_the_same(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pytest_prodcheck.cli.parsing import dispatch

    publish(root)
    words = ["gate", "smoke", "--env", "staging", "--max-age", "15m", "--revision"]
    for revision, code in (("r1", 0), ("r2", 4)):
        assert main([*words, revision]) == code
        fast = capsys.readouterr().out
        assert dispatch([*words, revision]) == code
        assert capsys.readouterr().out == fast


def test_help_and_version(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert main(["--version"]) == 0
    for name in ("gate", "run", "exec", "override"):
        assert main([name, "--help"]) == 0
        assert "examples:" in capsys.readouterr().out


def test_an_edited_verdict_is_not_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(root, result(outcome=Outcome.FAILED))
    file = Key("staging", "", "", "smoke").file(root / ".prodcheck")
    file.write_text(file.read_text().replace("3 s is more than 1 s", "all is well"))
    assert ask() == 4
    assert "all is well" not in capsys.readouterr().out


def test_nothing_from_elsewhere_reaches_the_terminal(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert safe("a\x1b[31m\r\n\u202eb") == "a\\x1b[31m\\x0d\\x0a\\x202eb"
    slow = result("smoke.login", "sh\x1bop", Outcome.WARNED, judgements=(), reason="\x1b[2Jx")
    publish(root, result(), slow)
    ask()
    assert "\x1b" not in capsys.readouterr().out


def test_an_unforeseen_error_is_3_without_a_traceback(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("boo")

    monkeypatch.setattr("pytest_prodcheck.cli.gate.decide", broken)
    assert ask() == 3
    err = capsys.readouterr().err
    assert "RuntimeError: boo" in err
    assert "Traceback" not in err
    monkeypatch.setenv("PRODCHECK_DEBUG", "1")
    assert ask() == 3
    assert "Traceback" in capsys.readouterr().err


def process(root: Path, *words: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PRODCHECK_")}
    return subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env=environment,
        text=True,
        check=False,
        timeout=30,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


def test_start_up_imports(tmp_path: Path) -> None:
    import time

    publish(tmp_path, at=time.time())
    code = (
        "import sys; from pytest_prodcheck.cli import main\n"
        "code = main(['gate', 'smoke', '--env', 'staging', '--revision', 'r1', '--max-age', '15m'])\n"
        f"print(code, sorted(set('{HEAVY}'.split()) & set(sys.modules)))"
    )
    done = process(tmp_path, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}")
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_a_reader_who_went_away_or_a_full_disk_does_not_change_the_answer(tmp_path: Path) -> None:
    import time

    publish(tmp_path, at=time.time())
    words = ("-m", "pytest_prodcheck.cli", "gate", "smoke", "--env", "staging", "--revision", "r1")
    with open("/dev/full", "w") as full:
        assert process(tmp_path, *words, stdout=full).returncode == 0
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert process(tmp_path, *words, stdout=writing).returncode == 0
    finally:
        os.close(writing)
