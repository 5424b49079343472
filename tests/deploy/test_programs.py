"""Programs end with the deployer: an orphan acts no more once a successor has the lock."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from pytest_prodcheck.deploy import programs, supervisor, survivors
from pytest_prodcheck.deploy.journal import DeploymentInProgress, Store
from pytest_prodcheck.deploy.plan import PlanProblem
from pytest_prodcheck.deploy.programs import ProgramRunner, StillRunning
from tests.forked import FORKING

ENV = {"PATH": os.environ["PATH"]}
FLAVOURS = {
    "in the background": "{0} &",
    "that ignores signals": "(trap '' TERM INT HUP; {0}) &",
    "by nohup": "nohup {0} >/dev/null 2>&1 &",
    "in a session of its own": "setsid {0} &",
    "forked twice": "(setsid {0} >/dev/null 2>&1 </dev/null &)",
    "of one that goes on": "setsid sh -c 'setsid {0} & sleep 60' &",
}
BLANK = 'setsid env -i PATH="$PATH" {0} &'  # without the environment it was given


def carry_out(folder: str, scripts: list[str]) -> None:
    with Store(folder, "e", "").locked() as lock:
        for script in scripts:
            ProgramRunner(Path(folder), lock).run(["sh", "-c", script], 60, ENV)


def deployer(folder: Path, *scripts: str) -> BaseProcess:
    """One that runs programs, one after the other."""
    process = FORKING.Process(target=carry_out, args=(str(folder), list(scripts)))
    process.start()
    return process


def daemons(folder: Path, flavours: Iterable[str]) -> str:
    """A program that starts an actor in each of these ways, notes its keeper and waits."""
    (folder / "act.sh").write_text("echo $$ > new.$1; mv new.$1 pid.$1; sleep 60; touch forward.$1\n")
    starts = [each.format(f"sh act.sh {number}") for number, each in enumerate(flavours)]
    return "\n".join([*starts, "echo $PPID > new.keeper; mv new.keeper pid.keeper; sleep 60"])


def pids(folder: Path, number: int) -> list[int]:
    """Of the keeper, then of so many actors, when all are there."""
    paths = [folder / f"pid.{each}" for each in ("keeper", *range(number))]
    wait_until(lambda: all(path.exists() for path in paths))
    return [int(path.read_text()) for path in paths]


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def replaced(store: Store) -> None:
    """Until a successor has the lock."""

    def taken() -> bool:
        try:
            with store.locked():
                return True
        except DeploymentInProgress:
            return False

    wait_until(taken)


def test_codes_output_and_time(tmp_path: Path) -> None:
    runner = ProgramRunner(tmp_path)
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
        done = ProgramRunner(tmp_path, lock).run(["sh", "-c", f"{server} & echo $!"], 20, ENV)
    pid = int(done.text)
    try:
        os.kill(pid, 0)
        with store.locked():
            pass
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("also_the_keeper", [False, True])
def test_an_orphan_cannot_act_after_its_deployer_was_replaced(also_the_keeper: bool, tmp_path: Path) -> None:
    """Whatever it did to get away, as real daemons do."""
    flavours = [*FLAVOURS.values(), *([] if also_the_keeper else [BLANK])]
    process, store = deployer(tmp_path, daemons(tmp_path, flavours)), Store(str(tmp_path), "e", "")
    keeper, *actors = pids(tmp_path, len(flavours))
    assert store.busy
    if also_the_keeper:
        os.kill(keeper, signal.SIGKILL)
    process.kill()
    process.join()
    replaced(store)
    assert [name for name, pid in zip([*FLAVOURS, "blank"], actors, strict=False) if lives(pid)] == []


def test_a_program_whose_keeper_is_killed_leaves_nothing_that_acts_beside_the_way_back(tmp_path: Path) -> None:
    """As by the kernel, where memory ran out; and a program whose time is over."""
    store = Store(str(tmp_path), "e", "")
    for number, (seconds, code) in enumerate([(60.0, -signal.SIGKILL), (1.0, None)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        script = daemons(folder, FLAVOURS.values())
        with store.locked() as lock, ThreadPoolExecutor(1) as threads:
            there = threads.submit(pids, folder, len(FLAVOURS))
            if code is not None:
                there.add_done_callback(lambda told: os.kill(told.result()[0], signal.SIGKILL))
            done = ProgramRunner(folder, lock).run(["sh", "-c", script], seconds, ENV)
            assert done.code == code
            assert [each for each in there.result() if lives(each)] == []


def test_a_server_of_a_program_that_has_ended_is_left_alone_by_a_successor(tmp_path: Path) -> None:
    """Also where the deployer was killed later on, with another program running."""
    serve = "setsid sleep 60 >/dev/null 2>&1 & echo $! > server"
    process = deployer(tmp_path, serve, daemons(tmp_path, [FLAVOURS["forked twice"]]))
    keeper, actor = pids(tmp_path, 1)
    server = int((tmp_path / "server").read_text())
    try:
        os.kill(keeper, signal.SIGKILL)
        process.kill()
        process.join()
        replaced(Store(str(tmp_path), "e", ""))
        assert (lives(actor), lives(server)) == (False, True)
    finally:
        os.kill(server, signal.SIGKILL)


def test_where_nobody_can_look_or_end_it_a_successor_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another system, and a process that does not end, are played."""
    store = Store(str(tmp_path), "e", "")
    with store.locked() as lock:
        ticket = survivors.new_ticket(lock)
    monkeypatch.setattr(survivors, "_TIMEOUT", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(survivors, "_processes_with", lambda told: [0] if told == ticket.encode() else [])
        with pytest.raises(DeploymentInProgress), store.locked():
            pass
    with monkeypatch.context() as patch:
        patch.setattr("sys.platform", "darwin")
        with pytest.raises(PlanProblem, match="may still be running") as error, store.locked():
            pass
    assert error.value.code == 21
    for _ in range(2):
        with store.locked():
            pass


def test_a_second_deployer_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "e", "")
    with store.locked():
        assert store.busy
        with pytest.raises(DeploymentInProgress), Store(str(tmp_path), "e", "").locked():
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
    monkeypatch.setattr(supervisor, "_POLL_INTERVAL", 0.0)
    monkeypatch.setattr(supervisor, "_kill_children", lambda: None)
    monkeypatch.setattr(supervisor, "_reap", lambda child: (None, True))
    supervisor._kill_group(1)
    assert answers == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody waits for it
def test_nothing_is_done_beside_a_program_that_cannot_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = tmp_path / "keeper.py"  # one whose program may not be killed
    keeper.write_text("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3)\n")
    monkeypatch.setattr(programs, "_SUPERVISOR", str(keeper))
    monkeypatch.setattr(programs, "_TERMINATION_TIMEOUT", 0.2)
    with pytest.raises(StillRunning, match="sudo could not be ended"):
        ProgramRunner(tmp_path).run(["sudo"], 1.0, ENV)
