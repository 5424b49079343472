"""Files of the state folder as pipes, devices, links, hard links: nothing hangs, grows without end or is written to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_prodcheck.deploy.journal import Journal, Store
from pytest_prodcheck.deploy.plan import PlanProblem
from pytest_prodcheck.evidence.content import record_file
from pytest_prodcheck.evidence.content.progress import Progress
from pytest_prodcheck.evidence.restore.scratch_folder import LOCK, PREFIX, sweep
from pytest_prodcheck.gates import overrides
from pytest_prodcheck.gates.decision import decide
from pytest_prodcheck.gates.files import append_line, locked, make_folder_in, replace_file
from pytest_prodcheck.gates.verdict_files import VerdictQuery
from pytest_prodcheck.plugin.outputs import write_whole
from pytest_prodcheck.records import EvidenceProblem
from tests.project import Project

ASK = VerdictQuery("smoke", "dev", revision="r1")
OLD = time.time() - 400 * 86400


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of ours elsewhere."""
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


def zero(place: Path, _: Path) -> None:
    place.symlink_to("/dev/zero")


def huge(place: Path, _: Path) -> None:
    with place.open("wb") as file:
        file.truncate(1 << 40)


ODD: dict[str, Callable[[Path, Path], None]] = {
    "pipe": lambda place, _: os.mkfifo(place), "device": zero, "huge": huge,
    "link": lambda place, victim: place.symlink_to(victim),
    "dangling": lambda place, victim: place.symlink_to(victim.parent / "made"),
    "hard-link": lambda place, victim: os.link(victim, place), "folder": lambda place, _: place.mkdir(),
}  # fmt: skip
WRITES = {
    "append": lambda place: append_line(place, b"x"),
    "replace": lambda place: replace_file(place.with_name("other"), b"x"),
    "whole": lambda place: write_whole(place.with_name("other"), "x"),
    "journal": lambda place: Journal(place, b"k" * 32).add("begun"),
}  # fmt: skip


@pytest.mark.parametrize("odd", sorted(ODD.keys() - {"huge"}))
@pytest.mark.parametrize("write", WRITES)
def test_writing(write: str, odd: str, tmp_path: Path, victim: Path) -> None:
    """To the file itself, or to a new one beside it whose temporary name was guessed."""
    (tmp_path / "state").mkdir()
    names = {"append": "log", "journal": "a.jsonl", "replace": f".other.{os.getpid()}.tmp",
             "whole": f".other.{os.getpid()}"}  # fmt: skip
    place = tmp_path / "state" / names[write]
    ODD[odd](place, victim)
    refused = ""
    try:
        WRITES[write](place)
    except (OSError, ValueError) as error:
        refused = str(error)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "made").exists()
    other = place.with_name("other")
    assert bool(refused) is (write in ("append", "journal") or odd == "folder")
    assert refused or (other.read_text() == "x" and not other.is_symlink())


@pytest.mark.parametrize("odd", ODD)
def test_the_log_of_overrides(odd: str, tmp_path: Path, victim: Path) -> None:
    """`prodcheck gate` reads it for every answer: it hung on a pipe, and read a device without end."""
    (tmp_path / ".prodcheck").mkdir()
    (tmp_path / "prodcheck.toml").write_text("version = 1\n")
    ODD[odd](tmp_path / ".prodcheck" / "overrides.jsonl", victim)
    began = time.monotonic()
    assert overrides.active(str(tmp_path / ".prodcheck"), b"k" * 32, ASK, time.time(), None) == []
    assert decide(ASK, time.time(), str(tmp_path)).code == 3
    assert time.monotonic() - began < 10


def test_folders_that_are_links(tmp_path: Path, victim: Path) -> None:
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (state / "verdicts").mkdir(parents=True)
    (state / "verdicts" / "dev").symlink_to(elsewhere)
    (state / "content").symlink_to(elsewhere)
    with pytest.raises(OSError, match="remove it"):
        make_folder_in(state, state / "verdicts" / "dev" / "_" / "_")
    (tmp_path / ".prodcheck").symlink_to(state)
    Progress(tmp_path, b"k" * 32, "subject", 60).equal("chunk", 3)
    assert list(elsewhere.iterdir()) == []


def test_runs_that_lead_elsewhere_take_nothing_away(tmp_path: Path) -> None:
    """Old runs are removed: behind a link that were somebody's folders."""
    project = Project.make(tmp_path / "project")
    mine = tmp_path / "mine" / "thesis"
    mine.mkdir(parents=True)
    os.utime(mine, (OLD, OLD))
    (project.folder / ".prodcheck").mkdir(mode=0o700)
    (project.folder / ".prodcheck" / "runs").symlink_to(mine.parent)
    done = project.pytest("--gate", "smoke")
    assert [each.name for each in mine.parent.iterdir()] == ["thesis"]
    assert done.returncode == 4  # pytest cannot begin
    assert "is a link to another place: remove it" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert project.gate() == 3


def test_a_command_whose_log_is_a_pipe_is_run(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project")
    project.environ["XDG_STATE_HOME"] = str(tmp_path / "home")
    assert project.prodcheck("run", "smoke", "--env", "dev").returncode == 0
    (project.folder / ".prodcheck" / "actions.jsonl").unlink(missing_ok=True)
    os.mkfifo(project.folder / ".prodcheck" / "actions.jsonl")
    done = project.prodcheck("exec", "smoke", "--env", "dev", "--", "true")
    assert done.returncode == 0
    assert "NOT RECORDED" in done.stderr


def test_deployments(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "prodcheck.toml").write_text("version = 1\n")
    store = Store(str(tmp_path), "dev", "")
    store.folder.mkdir(parents=True)
    os.mkfifo(store.folder / "lock")
    assert not store.busy
    with pytest.raises(PlanProblem, match="not a regular file"), store.locked():
        pass
    (store.folder / "lock").unlink()
    with store.locked():
        assert store.busy
    os.mkfifo(store.folder / "000001.jsonl")
    with pytest.raises(OSError, match="not a regular file"):
        store.newest(b"k" * 32)
    os.replace(store.folder, tmp_path / "elsewhere")
    store.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PlanProblem, match="link"), store.locked():
        pass


def test_a_lock_that_is_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with locked(tmp_path / "fifo"):  # it is held as any, and nothing waits for a writer
        pass
    with pytest.raises(IsADirectoryError), locked(tmp_path / "lock"):
        pass


def test_what_is_left_of_a_restore_with_a_pipe_for_a_lock(tmp_path: Path) -> None:
    """Another user may make such a folder in /tmp as the servers' user: the next restore hung."""
    left = tmp_path / f"{PREFIX}x"
    left.mkdir()
    os.mkfifo(left / LOCK)
    sweep(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("odd", ["pipe", "device", "folder"])
def test_a_record_that_is_no_file(odd: str, tmp_path: Path, victim: Path) -> None:
    ODD[odd](tmp_path / "monday.json", victim)
    with pytest.raises(EvidenceProblem):
        record_file.read(tmp_path / "monday.json")
