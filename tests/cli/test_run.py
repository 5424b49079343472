"""`prodcheck run` with real runs of pytest in a small project: it opens only on the verdict of that very run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.project import Project

FAST = ("--", "-q", "-p", "no:randomly", "-p", "no:cacheprovider")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path)


def run_smoke(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    return project.prodcheck("run", *(words or ("smoke",)), "--env", "dev", *FAST)


def test_open_and_the_report(project: Project) -> None:
    done = run_smoke(project, "smoke", "--report", "r.txt")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("OPEN  smoke of dev") == 1
    assert (project.folder / "r.txt").stat().st_size > 0
    assert project.gate("--revision", "r1") == 0


@pytest.mark.parametrize("words", [("--suite", "smoke"), ("smoke",), ("--wait", "0", "smoke", "--strict")])
def test_blocked(project: Project, words: tuple[str, ...]) -> None:
    project.edit("value = 1.0", "value = 11.0")
    assert run_smoke(project, *words).returncode == 1


def test_quiet_and_the_files(project: Project) -> None:
    done = run_smoke(project, "smoke", "--quiet", "--junit-xml", "junit.xml", "--json", "run.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert "test_one" in (project.folder / "junit.xml").read_text(encoding="utf-8")
    assert (project.folder / "run.json").stat().st_size > 0


def test_all_suites(project: Project) -> None:
    """Each is judged by its own gate; one for which nothing is declared has no evidence, and so stays closed."""
    done = run_smoke(project, "--revision", "r7")
    assert done.returncode == 3
    assert "CANNOT TELL  performance of dev" in done.stdout
    assert "no positive evidence" in done.stdout
    assert project.gate("--revision", "r7") == 0
    assert project.gate("--revision", "r7", name="performance") == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nope",), "nope"),
        (("../x",), "is not a valid name"),
        (("smoke", "--suite", "smoke"), "not both"),
        (("smoke", "--allow-load", "browse"), ""),
    ],
)
def test_usage(project: Project, words: tuple[str, ...], said: str) -> None:
    done = run_smoke(project, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "spoil",
    [
        "import os\ndef pytest_runtest_call(item): os._exit(0)\n",
        "import os, signal\ndef pytest_runtest_call(item): os.kill(os.getpid(), signal.SIGKILL)\n",
        "import os\ndef pytest_sessionfinish(session): os._exit(0)\n",
        "import os\ndef pytest_unconfigure(config): os._exit(0)\n",
        "import pytest\ndef pytest_collection_finish(session): pytest.exit('enough', returncode=0)\n",
        "raise RuntimeError('broken conftest')\n",
    ],
    ids=["os._exit(0)", "SIGKILL", "at the finish", "at the very end", "pytest.exit", "conftest"],
)
def test_a_run_that_did_not_end_in_order(project: Project, spoil: str) -> None:
    """Rows 6 and 41, also with an open verdict of an earlier run."""
    assert run_smoke(project).returncode == 0
    project.write("checks/conftest.py", spoil)
    done = run_smoke(project)
    assert done.returncode in (2, 3)
    assert project.gate() != 0


@pytest.mark.parametrize("words", [("--collect-only",), ("--no-gate",), ("-k", "one"), ("--help",)])
def test_arguments_for_pytest_that_leave_no_verdict_behind(project: Project, words: tuple[str, ...]) -> None:
    """Rows 5 and 41: an earlier verdict is not that of this run."""
    assert run_smoke(project).returncode == 0
    done = project.prodcheck("run", "smoke", "--env", "dev", *FAST, *words)
    assert done.returncode == 3, done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(project: Project, number: signal.Signals) -> None:
    project.write("checks/conftest.py", "import pathlib, time\ndef pytest_runtest_call(item):\n"
                  "    pathlib.Path('running').touch()\n    time.sleep(60)\n")  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_prodcheck.cli", "run", "smoke", "--env", "dev", *FAST],
        cwd=project.folder, env=project.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        project.await_file("running")
        begin = time.monotonic()
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 3, out
    assert time.monotonic() - begin < 8
    assert "interrupted by signal" in out
    assert project.gate() == 3


def test_another_run_that_started_meanwhile(project: Project) -> None:
    """Row 33: the verdict that lies there is open, and not this run's."""
    other = f"{sys.executable} -m pytest --env dev -m smoke -q -p no:randomly -p no:cacheprovider"
    project.write("checks/conftest.py", "import os, pathlib, subprocess\ndef pytest_sessionfinish(session):\n"
                  "    if not pathlib.Path('once').exists():\n        pathlib.Path('once').touch()\n"
                  f"        subprocess.run({other!r}.split(), check=True)\n")  # fmt: skip
    done = run_smoke(project)
    assert (project.folder / "once").exists()
    assert done.returncode == 3, done.stdout
    assert project.gate() == 0


def test_a_conftest_that_forges_the_exit_code(project: Project) -> None:
    project.edit("value = 1.0", "value = 11.0")
    hook = "import pytest\n@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(session):\n"
    project.write("checks/conftest.py", hook + "    session.exitstatus = 0\n")
    assert run_smoke(project).returncode in (1, 3)
    assert project.gate() != 0


def test_an_override_holds_for_a_run(project: Project) -> None:
    project.edit("value = 1.0", "value = 11.0")
    words = ("--reason", "burns", "--ticket", "I-1", "--for", "5m")
    assert project.prodcheck("override", "smoke", "--env", "dev", *words).returncode == 0
    done = run_smoke(project)
    assert done.returncode == 0, done.stdout
    assert "OVERRIDE" in done.stdout
    assert project.verdict()["overrides"]


def test_no_pytest_at_all(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pytest_prodcheck.cli import main

    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(sys, "executable", os.path.join(os.curdir, "no-python"))
    assert main(["run", "smoke", "--env", "dev"]) == 3
    assert "cannot be started" in capsys.readouterr().err
