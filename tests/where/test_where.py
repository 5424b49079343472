"""Where it runs: another user, no home, no UTF-8, a terminal and none, odd paths, time zones, warnings, umasks."""

from __future__ import annotations

import json
import os
import pty
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hostile.support import is_readable
from tests.project import CHECKS, Project

MIXED = (
    CHECKS
    + '''

@check("t.smoke.four", suite="smoke", severity="low", needs={"fact": "fact"})
def test_four(fact):
    """Naïve Prüfung ✅ 注文."""
    judge("größe 注文", fact.value, at_most=Limit(warn="0.5", fail=10))
'''
)
SYMBOLS = "✅❌⚠⏭❓🟢⛔🔧🚫"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path / "p", checks=MIXED)


def opens(project: Project, *arguments: str) -> str:
    """A run that ends open, and its gate; what both said."""
    done = project.pytest(*arguments)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    asked = project.prodcheck("gate", "smoke", "--env", "dev")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert is_readable(done.stdout + done.stderr + asked.stdout + asked.stderr)
    return done.stdout + asked.stdout


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    ],
)
def test_without_utf_8_there_are_letters(project: Project, environ: dict[str, str]) -> None:
    project.environ |= environ
    reports = ("--prodcheck-report", "r.txt", "--prodcheck-json", "r.json", "--junit-xml", "r.xml", "--html", "r.html")
    text = opens(project, *reports)
    assert not set(SYMBOLS) & set(text)
    assert "WARN" in text
    assert "OPEN" in text
    for name in ("r.txt", "r.html", "r.xml"):
        assert "größe" in (project.folder / name).read_text(encoding="utf-8"), name
    assert json.loads((project.folder / "r.json").read_text(encoding="utf-8"))["counts"]["warned"] == 1
    project.edit("value = 1.0", "value = 11.0")
    for words in (("run", "smoke", "--env", "dev"), ("gate", "smoke", "--env", "dev", "--explain"), ("env", "dev"),
                  ("gate", "smoke", "--env", "dev", "--format", "json"), ("checks",), ("--help",)):  # fmt: skip
        done = project.prodcheck(*words)
        assert done.returncode in (0, 1), words
        assert is_readable(done.stdout + done.stderr), words


@pytest.mark.parametrize("home", ["", "/nonexistent/home"])
def test_without_a_home(project: Project, home: str) -> None:
    project.environ["HOME"] = home
    project.environ["XDG_CONFIG_HOME"] = project.environ["XDG_CACHE_HOME"] = home
    opens(project)


def test_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    opens(Project.make(tmp_path / 'a b\'s "x" é 注文 %s {y}', checks=MIXED))


def test_in_a_folder_that_is_a_link(project: Project, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project.folder, target_is_directory=True)
    opens(project)
    assert Project(tmp_path / "link").gate() == 0
    opens(Project(tmp_path / "link"))


def test_in_other_time_zones(project: Project) -> None:
    """A verdict is as old as it is, wherever it was made."""
    project.environ["TZ"] = "XXX-24"
    opens(project)
    project.environ["TZ"] = "YYY+24"
    assert project.gate("--max-age", "60s") == 0
    time.sleep(1.1)
    assert project.gate("--max-age", "1s") == 4


def test_with_strict_warnings(project: Project) -> None:
    """Nothing of ours warns, neither from Python nor from pytest."""
    words = [sys.executable, "-W", "error", "-X", "dev", "-m"]
    done = project.command(*words, "pytest", "--env", "dev", "-m", "smoke", "-p", "no:randomly", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    asked = project.command(*words, "pytest_prodcheck.cli", "gate", "smoke", "--env", "dev")
    assert asked.returncode == 0
    assert not asked.stderr


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_key_and_evidence_are_private_whatever_the_umask(project: Project, umask: int) -> None:
    old = os.umask(umask)
    try:
        opens(project)
    finally:
        os.umask(old)
    state = project.folder / ".prodcheck"
    private = [state, state / "key", *state.glob("runs/*/evidence"), *state.glob("runs/*/evidence/*")]
    assert len(private) >= 4
    for path in private:
        assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path


def on_a_terminal(project: Project, *words: str, term: str = "xterm-256color") -> tuple[int, str]:
    """Exit code and output of a command whose three streams are a terminal."""
    ours, theirs = pty.openpty()
    environ = {**project.env(), "TERM": term, "COLUMNS": "80"}
    process = subprocess.Popen(words, cwd=project.folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    try:
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the terminal is closed at the other end
                break
            if not piece:
                break
            output += piece
        return process.wait(30), output.decode(errors="replace")
    finally:
        process.kill()
        process.wait(10)
        os.close(ours)


def test_on_a_terminal(project: Project) -> None:
    words = (sys.executable, "-m", "pytest", "--env", "dev", "-m", "smoke", "-p", "no:randomly")
    code, text = on_a_terminal(project, *words)
    assert code == 0, text
    assert "OPEN" in text
    assert is_readable(text)
    code, text = on_a_terminal(project, sys.executable, "-m", "pytest_prodcheck.cli", "gate", "smoke", "--env", "dev")
    assert code == 0
    assert "OPEN" in text
    code, text = on_a_terminal(project, *words, "--color=no", term="dumb")
    assert code == 0
    assert "\x1b[3" not in text


def test_without_streams(project: Project) -> None:
    """As cron or a daemon may start it; with the streams closed, a run may not succeed, but the gate stays true."""
    begin = (sys.executable, "-m", "pytest_prodcheck.cli")
    nowhere = ("sh", "-c", 'exec "$0" "$@" < /dev/null > /dev/null 2>&1', *begin)
    closed = ("sh", "-c", 'exec <&- >&- 2>&-; exec "$0" "$@"', *begin)
    assert project.command(*nowhere, "run", "smoke", "--env", "dev").returncode == 0
    assert project.command(*closed, "gate", "smoke", "--env", "dev").returncode == 0
    project.edit("value = 1.0", "value = 11.0")
    assert project.command(*closed, "run", "smoke", "--env", "dev").returncode in (1, 3)
    assert project.gate() in (1, 3)


def test_output_that_nobody_reads(project: Project) -> None:
    """A reader that went away, a full disk behind stdout: the exit code stays true."""
    opens(project)
    gate = f"{sys.executable} -m pytest_prodcheck.cli gate smoke --env dev"
    done = project.command(
        "bash", "-c", f"set -o pipefail; {gate} --explain --format json | true; exit ${{PIPESTATUS[0]}}"
    )
    assert done.returncode == 0
    assert not done.stderr
    if Path("/dev/full").exists():
        done = project.command("sh", "-c", f"{gate} > /dev/full")
        assert done.returncode == 0
        assert is_readable(done.stderr)


@contextmanager
def for_everybody(project: Project) -> Iterator[Project]:
    """A copy of the project below /tmp that any user can read and, but for its files, write."""
    folder = Path("/tmp") / f"prodcheck-where-{os.getpid()}"
    shutil.copytree(project.folder, folder)
    try:
        folder.chmod(0o777)
        yield Project(folder, project.environ)
    finally:
        for each in (folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())):
            each.chmod(0o700)
        shutil.rmtree(folder)


DROP = "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); os.execv(sys.argv[1], sys.argv[1:])"
PROBE = (
    "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', 'import pytest, pytest_prodcheck.cli']))"
)


def as_nobody() -> list[str]:
    """The words before a command that make it run as a normal user; [] where we are one."""
    if os.geteuid() != 0:
        return []
    words = [sys.executable, "-c", DROP]
    probe = subprocess.run([*words, sys.executable, "-c", PROBE], capture_output=True, check=False, cwd="/")
    if probe.returncode != 0:
        pytest.skip("another user cannot read this Python or its packages")
    return words


def test_as_a_normal_user(project: Project) -> None:
    words = as_nobody()
    with for_everybody(project) as shared:
        shared.environ["HOME"] = "/nonexistent"
        run = [*words, sys.executable, "-m", "pytest_prodcheck.cli", "run", "smoke", "--env", "dev"]
        done = shared.command(*run)
        assert done.returncode == 0, done.stdout + done.stderr
        assert is_readable(done.stdout + done.stderr)


def test_in_a_read_only_checkout(project: Project) -> None:
    """There a gate cannot be kept: told in words, closed; judging alone works."""
    words = as_nobody()
    with for_everybody(project) as shared:
        for each in (shared.folder / "checks", shared.folder):
            each.chmod(0o555)
        begin = [*words, sys.executable, "-m", "pytest", "--env", "dev", "-m", "smoke", "-p", "no:randomly"]
        done = shared.command(*begin)
        assert done.returncode not in (0, 1), done.stdout + done.stderr
        assert is_readable(done.stdout + done.stderr)
        assert ".prodcheck" in done.stdout + done.stderr
        asked = shared.command(*words, sys.executable, "-m", "pytest_prodcheck.cli", "gate", "smoke", "--env", "dev")
        assert asked.returncode == 3
        done = shared.command(*begin, "--no-gate")
        print(done.returncode, done.stdout[-1500:], done.stderr[-500:])
        assert is_readable(done.stdout + done.stderr)
        assert "passed" in done.stdout
