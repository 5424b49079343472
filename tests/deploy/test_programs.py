"""Programs end with the deployer: an orphan acts no more once a successor has the lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_prodcheck.deploy import programs, shim
from pytest_prodcheck.deploy.journal import Busy, Store
from pytest_prodcheck.deploy.programs import Runner, StillRunning

ENV = {"PATH": os.environ["PATH"]}
DEPLOYER = """\
import sys
from pathlib import Path
from pytest_prodcheck.deploy.journal import Store
from pytest_prodcheck.deploy.programs import Runner
with Store(sys.argv[1], "e", "").locked() as lock:
    Runner(Path(sys.argv[1]), lock).run(["sh", "-c", sys.argv[2]], 60, {"PATH": sys.argv[3]})
"""


def test_codes_output_and_time(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    assert runner.run(["sh", "-c", "echo out; echo err >&2; exit 7"], 20, ENV).code == 7
    assert runner.run(["sh", "-c", "echo out; echo err >&2"], 20, ENV).text == "out\nerr\n"
    assert runner.run(["sh", "-c", "kill -9 $$"], 20, ENV).code == 137
    missing = runner.run(["./not-there"], 20, ENV)
    assert (missing.code, "cannot be started" in missing.text) == (127, True)
    began = time.monotonic()
    late = runner.run(["sh", "-c", "trap '' TERM INT HUP; sleep 300 & sleep 300"], 0.5, ENV)
    assert late.code is None
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("server", ["sleep 60 >/dev/null 2>&1", "setsid sleep 60"])
def test_a_server_that_a_program_leaves_behind_lives_on_and_holds_no_lock(server: str, tmp_path: Path) -> None:
    """Also one that keeps the program's output."""
    store = Store(str(tmp_path), "e", "")
    with store.locked() as lock:
        done = Runner(tmp_path, lock).run(["sh", "-c", f"{server} & echo $!"], 20, ENV)
    pid = int(done.text)
    try:
        os.kill(pid, 0)
        with store.locked():
            pass
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("before", ["", "trap '' TERM HUP;"])
def test_an_orphan_cannot_act_after_its_deployer_was_replaced(before: str, tmp_path: Path) -> None:
    script = f"{before} touch began; (sleep 3; touch forward) & wait"
    words = [sys.executable, "-c", DEPLOYER, str(tmp_path), script, os.environ["PATH"]]
    deployer = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    end = time.monotonic() + 60
    while not (tmp_path / "began").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    store = Store(str(tmp_path), "e", "")
    assert store.busy
    deployer.kill()
    deployer.wait()
    until = time.monotonic() + 60
    while True:
        try:
            with store.locked():
                break
        except Busy:
            assert time.monotonic() < until
    time.sleep(4)
    assert not (tmp_path / "forward").exists()


def test_a_second_deployer_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "e", "")
    with store.locked():
        assert store.busy
        with pytest.raises(Busy), Store(str(tmp_path), "e", "").locked():
            pass
        with Store(str(tmp_path), "e", "other").locked():  # another unit is another deployment
            pass
    assert not store.busy


def test_what_may_not_be_killed_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As what sudo started; the kernel's answers are played, for no program of another user is at hand here."""
    answers = [PermissionError, PermissionError, None, PermissionError, ProcessLookupError]

    def killpg(group: int, number: int) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    monkeypatch.setattr(os, "killpg", killpg)
    monkeypatch.setattr(shim, "_LOOK", 0.0)
    shim._end(1)
    assert answers == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody waits for it
def test_nothing_is_done_beside_a_program_that_cannot_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = tmp_path / "keeper.py"  # one whose program may not be killed
    keeper.write_text("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3)\n")
    monkeypatch.setattr(programs, "_SHIM", str(keeper))
    monkeypatch.setattr(programs, "_GRACE", 0.2)
    with pytest.raises(StillRunning, match="sudo cannot be ended"):
        Runner(tmp_path).run(["sudo"], 1.0, ENV)
