"""Rows 118, 120, 121: threads that judge for others, die or never end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.project import CHECKS, Project

TEST = (
    "import threading, time, multiprocessing\nfrom pytest_prodcheck import check, judge\n"
    '@check("t.smoke.threads", suite="smoke", severity="critical")\n'
    "def test_threads():\n    judge('starts', True)\n"
)
AFTER = (
    '@check("t.smoke.zz", suite="smoke", severity="critical")\n'
    "def test_zz():\n    judge('waits', True)\n    time.sleep(1)\n"
)
LATE = "    threading.Timer({}, judge, ('late', {})).start()\n"
SPOILT = {
    "late": (LATE.format(0.3, "True") + AFTER, "judge('late')"),
    "late, at the end": (LATE.format(2, "False"), "thread"),
    "dies": ("    def f(): raise OSError('node b is down')\n    t = threading.Thread(target=f); t.start(); t.join()\n",
             "node b is down"),
    "dies at the end": ("    threading.Timer(2, int, ('x',)).start()\n", "thread"),
    "a child": ("    p = multiprocessing.get_context('fork').Process(target=judge, args=('in a child', False))\n"
                "    p.start(); p.join()\n", "judge('in a child')"),
    "a new one": ("    p = multiprocessing.get_context('spawn').Process(target=judge, args=('in a new one', False))\n"
                  "    p.start(); p.join()\n", "judge('in a new one')"),
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path)


@pytest.mark.parametrize(("code", "said"), SPOILT.values(), ids=SPOILT.keys())
def test_what_no_check_could_see(project: Project, code: str, said: str) -> None:
    """Row 118."""
    project.environ["PYTHONUTF8"] = "1"  # an interpreter of its own: how it ends is what this is about
    project.write("checks/test_zz.py", TEST + code)
    done = project.pytest()
    assert done.returncode == 13, done.stdout + done.stderr
    assert said in " ".join((done.stdout + done.stderr).split())
    assert project.gate() == 3


@pytest.mark.parametrize("hook", ["pytest_unconfigure", "pytest_sessionfinish"])
def test_between_the_last_check_and_the_verdict(project: Project, hook: str) -> None:
    """Row 118: nothing is published that did not take it into account."""
    project.write("checks/test_zz.py", TEST)
    project.write(
        "conftest.py",
        "import pytest, threading\nfrom pytest_prodcheck import judge\n"
        f"@pytest.hookimpl(trylast=True)\ndef {hook}():\n"
        "    t = threading.Thread(target=judge, args=('late', False)); t.start(); t.join()\n",
    )
    done = project.pytest()
    assert done.returncode == 13, done.stdout + done.stderr
    assert project.gate() == 3


@pytest.mark.parametrize("name", ["late", "dies"])
def test_what_no_check_of_a_worker_could_see(project: Project, name: str) -> None:
    """Row 118, under xdist."""
    code, said = SPOILT[name]
    project.write("checks/test_zz.py", TEST + code)
    done = project.pytest("-n", "1")
    assert done.returncode == 13, done.stdout + done.stderr
    assert said in " ".join(done.stdout.split())
    assert project.gate() == 3


def test_a_thread_that_never_ends(project: Project) -> None:
    """Row 121: a collector's pool hangs; the run ends with the verdict that it published."""
    project.environ["PYTHONUTF8"] = "1"
    pool = (
        "    import concurrent.futures, time\n    pool = concurrent.futures.ThreadPoolExecutor(1)\n"
        "    pool.submit(time.sleep, 3600)\n    return Fact("
    )
    project.write("checks/test_facts.py", CHECKS.replace("    return Fact(", pool))
    began = time.monotonic()
    done = project.pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 45
    assert "some threads did not end" in done.stderr
    assert project.gate() == 0


def test_python_without_assertions(project: Project) -> None:
    """Row 120."""
    project.environ["PYTHONOPTIMIZE"] = "1"
    done = project.pytest()
    assert done.returncode == 4, done.stdout
    assert "PYTHONOPTIMIZE" in done.stderr + done.stdout
    assert project.prodcheck("run", "smoke", "--env", "dev").returncode == 2
    assert project.gate() == 3
