"""Rows 6, 7, 8, 9, 10, 33: killed, full disk, two at once, tampered and old verdicts, on whole processes."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.project import Project
from tests.soak import SOAK

KILLS = 1000 if SOAK else 25


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path)


def start(project: Project, *arguments: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "pytest", "--env", "dev", "-m", "smoke", "-p", "no:randomly", *arguments]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        words, cwd=project.folder, env=project.env(), stdout=quiet, stderr=quiet, start_new_session=True
    )


def test_killed_at_a_random_moment(project: Project) -> None:
    """Rows 6, 10: after each kill the gate is closed, or open because this very run had published."""
    chance = random.Random(7)
    project.environ["PRODCHECK_REVISION"] = "r1"
    whole = time.monotonic()
    assert start(project).wait(60) == 0
    whole = time.monotonic() - whole
    for number in range(KILLS):
        good = number % 2 == 0
        project.write("prodcheck.toml", (project.folder / "prodcheck.toml").read_text().replace(
            "value = 11.0" if good else "value = 1.0", "value = 1.0" if good else "value = 11.0"))  # fmt: skip
        process = start(project)
        time.sleep(chance.uniform(0, whole * 1.1))
        process.send_signal(chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        process.wait(30)
        code = project.gate()
        if good:
            assert code in (0, 3, 4), number
        else:
            assert code in (1, 3, 4), number


def test_a_second_run_that_starts_later_wins(project: Project) -> None:
    """Row 33: the earlier run cannot open the gate after the later one has started."""
    project.write("checks/conftest.py", (
        "import pathlib, time\n"
        "def pytest_sessionfinish(session):\n"
        "    pathlib.Path('ending').touch()\n"
        "    while not pathlib.Path('go').exists(): time.sleep(0.05)\n"
    ))  # fmt: skip
    first = start(project)
    project.await_file("ending")
    project.write("checks/conftest.py", "")
    project.edit("value = 1.0", "value = 11.0")
    assert project.pytest().returncode == 1
    project.write("go", "")
    first.wait(30)
    assert project.gate() == 1


def test_a_verdict_disappears_when_the_next_run_begins(project: Project) -> None:
    """Row 10."""
    project.write("checks/conftest.py", (
        "import os, time\ndef pytest_collection_finish(session): time.sleep(float(os.environ.get('SLOW', 0)))\n"
    ))  # fmt: skip
    assert project.pytest().returncode == 0
    assert project.gate() == 0
    project.environ["SLOW"] = "20"
    process = start(project)
    try:
        until = time.monotonic() + 15
        while project.gate() == 0:
            assert time.monotonic() < until
        assert project.gate() == 3
    finally:
        process.kill()
        process.wait(10)
    assert project.gate() == 3


@pytest.mark.parametrize(
    "broken", ["def (:\n", "from pytest_prodcheck import check\n@check(name())\ndef test_x(): pass\n"]
)
def test_a_run_that_could_not_begin_leaves_no_old_verdict(project: Project, broken: str) -> None:
    """Row 10: what is found wrong with the team's own checks is not in the configuration's digests."""
    assert project.pytest().returncode == 0
    assert project.gate() == 0
    project.write("checks/test_broken.py", broken)
    assert project.pytest().returncode in (2, 4)
    assert project.gate() == 3


@pytest.mark.parametrize("limit", [100, 2000])
def test_no_room_on_the_disk(project: Project, limit: int) -> None:
    """Row 6: no file may grow beyond so many bytes: as on a full disk, writing fails half way."""
    code = (
        "import resource, signal, sys, pytest\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "sys.exit(pytest.main(['--env', 'dev', '-m', 'smoke', '-p', 'no:randomly', '-p', 'no:cacheprovider']))\n"
    )
    assert project.pytest().returncode == 0
    done = project.command(sys.executable, "-c", code)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert project.gate() == 3


TAMPERINGS = {
    "empty": lambda text: "",
    "truncated": lambda text: text[: len(text) // 2],
    "not JSON": lambda text: "go!",
    "a list": lambda text: "[]",
    "other status": lambda text: re.sub(r'("code": ?)1', r"\g<1>0", text.replace('"blocked"', '"open"')),
    "no seal": lambda text: json.dumps({key: value for key, value in json.loads(text).items() if key != "seal"}),
    "other schema": lambda text: text.replace("prodcheck-verdict/1", "prodcheck-verdict/2"),
    "later": lambda text: json.dumps({**json.loads(text), "expires_at": 4102444800.0}),
}  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_an_edited_verdict(project: Project, tamper: object) -> None:
    """Rows 7, 8: neither a blocked nor an open verdict survives an edit."""
    for value in ("value = 11.0", "value = 1.0"):
        project.write("prodcheck.toml", (project.folder / "prodcheck.toml").read_text()
                      .replace("value = 1.0", value).replace("value = 11.0", value))  # fmt: skip
        project.pytest()
        (file,) = project.verdict_files()
        text = file.read_text(encoding="utf-8")
        tampered = tamper(text)  # type: ignore[operator]
        if tampered == text:
            continue
        file.write_text(tampered, encoding="utf-8")
        done = project.prodcheck("gate", "smoke", "--env", "dev")
        assert done.returncode in (3, 4), done.stdout
        assert "Traceback" not in done.stderr


def test_a_verdict_of_something_else(project: Project) -> None:
    """Row 8: of another environment, unit, slot, revision or configuration."""
    assert project.pytest().returncode == 0
    assert project.gate(env="live") != 0
    assert project.gate("--slot", "green") == 2  # there is none of that name
    assert project.gate("--unit", "shop") == 2
    assert project.gate(name="smok") == 2
    assert project.gate(env="developmnt") == 2
    assert project.gate(name="security") == 3
    assert project.gate("--revision", "r2") == 4
    project.edit("# ", "# ") if False else project.edit("[environments.dev]", "[environments.dev] # a comment")
    assert project.gate() == 4


def test_a_verdict_that_travels_as_a_file(project: Project, tmp_path: Path) -> None:
    project.environ["PRODCHECK_KEY"] = "0123456789abcdef0123456789abcdef"
    assert project.pytest().returncode == 0
    (file,) = project.verdict_files()
    carried = tmp_path / "carried.json"
    carried.write_bytes(file.read_bytes())
    file.unlink()
    assert project.gate() == 3
    assert project.gate("--verdict", str(carried)) == 0
    project.environ["PRODCHECK_KEY"] = "another key of sufficient length 1234"
    assert project.gate("--verdict", str(carried)) == 4


def test_old_evidence_judged_again_opens_nothing(project: Project) -> None:
    """Row 34."""
    assert project.pytest().returncode == 0
    (run,) = (project.folder / ".prodcheck" / "runs").iterdir()
    done = project.pytest("--evidence-from", run.name)
    assert done.returncode == 14, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert project.prodcheck("run", "smoke", "--env", "dev", "--evidence-from", run.name).returncode == 4
    assert project.gate() == 0  # the verdict of the run that really gathered
    for file in project.verdict_files():
        file.unlink()
    project.pytest("--evidence-from", run.name)
    assert project.gate() == 3


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_interrupted_from_the_keyboard(project: Project, workers: tuple[str, ...]) -> None:
    project.write("checks/test_slow.py", (
        "import time\nfrom pytest_prodcheck import check, judge\n"
        '@check("t.smoke.slow", suite="smoke", severity="high")\n'
        "def test_slow():\n    open('begun', 'w').close()\n    time.sleep(60)\n    judge('a', True)\n"
    ))  # fmt: skip
    process = start(project, *workers)
    project.await_file("begun")
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(15) not in (0, 1)
    if not workers:
        assert time.monotonic() - began < 3
    assert project.gate() == 3
