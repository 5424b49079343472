"""Row 123: where reports go, and how things end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path)


def test_a_report_to_a_link(project: Project) -> None:
    """The link stays, what it leads to is written."""
    (project.folder / "out").mkdir()
    link = project.folder / "link.json"
    link.symlink_to("out/real.json")
    assert project.pytest("--prodcheck-json", "link.json").returncode == 0
    assert link.is_symlink()
    assert json.loads((project.folder / "out/real.json").read_text())["schema"]


def test_a_report_to_a_fifo(project: Project) -> None:
    fifo = project.folder / "pipe"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()), daemon=True)
    reader.start()
    assert project.pytest("--prodcheck-report", "pipe").returncode == 0
    reader.join(20)
    assert fifo.is_fifo()
    assert "smoke of dev" in read[0]


def test_a_fifo_that_nobody_reads_does_not_hang(project: Project) -> None:
    os.mkfifo(project.folder / "pipe")
    done = project.pytest("--prodcheck-report", "pipe")
    assert done.returncode == 13, done.stdout
    assert "could not be saved" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "command", ["-m pytest -m smoke --prodcheck-json", "-m pytest_prodcheck.cli run smoke --report"]
)
def test_a_report_to_a_process(project: Project, command: str) -> None:
    """`>(…)` of bash."""
    line = f"{sys.executable} {command} >(cat > sub.txt) --env dev"
    done = project.command("bash", "-c", f"{line}; code=$?; sleep 0.5; exit $code")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "t.smoke.one" in (project.folder / "sub.txt").read_text() or "smoke" in (project.folder / "sub.txt").read_text()
    )


def test_a_report_to_standard_output(project: Project) -> None:
    """What stood in a redirected file before stays."""
    words = f"{sys.executable} -m pytest -q -m smoke --env dev --prodcheck-json /dev/stdout"
    done = project.command("bash", "-c", f"echo before > all.txt; {words} >> all.txt")
    assert done.returncode == 0, done.stderr
    text = (project.folder / "all.txt").read_text()
    assert text.startswith("before")
    assert '"schema": "prodcheck-run' in text or '"schema"' in text
    assert "passed" in text


def test_a_second_term_ends_the_child_of_exec(project: Project) -> None:
    assert project.pytest().returncode == 0
    script = "trap 'echo got' TERM; touch ready; while :; do sleep 0.1; done"
    words = [sys.executable, "-m", "pytest_prodcheck.cli", "exec", "smoke", "--env", "dev", "--", "sh", "-c", script]
    process = subprocess.Popen(words, cwd=project.folder, env=project.env(), stdout=subprocess.DEVNULL)
    try:
        project.await_file("ready")
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None, "the first one is the child's to answer"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGKILL
    finally:
        process.kill()


def test_a_configuration_that_is_a_link_to_nowhere(project: Project) -> None:
    """It is not that of the folder above which counts then."""
    assert project.pytest().returncode == 0
    below = project.folder / "below"
    below.mkdir()
    (below / "prodcheck.toml").symlink_to("nowhere.toml")
    for command, rest in {"gate": (), "run": (), "exec": ("--", "true")}.items():
        done = Project(below).prodcheck(command, "smoke", "--env", "dev", *rest)
        assert done.returncode == 2, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    assert project.gate() == 0
