"""A small project with every outcome, whose checks show a secret in every way in which a check can show one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from tests.project import Project

SECRET = "hunter2-correct-horse-battery-staple"
SHOWN = (b"hunter2", b"correct-horse", b"battery-staple")  # pytest shortens what it compares: 'hun...staple'

TOML = """\
version = 1
project = "t"
checks = ["checks"]

[environments.dev]
revision = "r1"
[environments.dev.own.fact]
password = { env = "CANARY" }
"""

GOOD = """\
import logging
import os
import warnings
from dataclasses import dataclass

import pytest

from pytest_prodcheck import Deadline, check, collector, judge


@dataclass(frozen=True)
class Fact:
    page: str


@collector("fact", settings={"password": str})
def gather_fact(settings: dict[str, object], deadline: Deadline) -> Fact:
    warnings.warn("retrying with " + str(settings["password"]))
    return Fact("denied for " + str(settings["password"]))


@pytest.fixture
def told():
    print(os.environ["CANARY"])
    yield os.environ["CANARY"]
    print(os.environ["CANARY"])


@check("t.smoke.passes", suite="smoke", severity="critical", needs={"fact": "fact"})
def test_passes(fact):
    judge("there", True)


@check("t.smoke.warns", suite="smoke", severity="critical", needs={"fact": "fact"})
def test_warns(fact):
    judge(fact.page, False, warn_only=True)


@check("t.smoke.shows", suite="smoke", severity="critical", needs={"fact": "fact"})
def test_shows(fact, told):
    print(fact.page)
    warnings.warn(fact.page)
    logging.getLogger("shop").warning("page: %s", fact.page)
    try:
        raise ConnectionError(fact.page)
    except ConnectionError:
        logging.getLogger("shop").exception("again", stack_info=True)
    judge("shown", True)
"""

BAD = """

@pytest.fixture
def broken():
    raise ConnectionError(os.environ["CANARY"])


@check("t.smoke.fixture", suite="smoke", severity="high", needs={"fact": "fact"})
def test_fixture(fact, broken):
    judge("there", True)


@pytest.fixture
def breaks_later():
    yield
    raise ConnectionError(os.environ["CANARY"])


@check("t.smoke.teardown", suite="smoke", severity="high", needs={"fact": "fact"})
def test_teardown(fact, breaks_later):
    judge("there", True)


@check("t.smoke.fails", suite="smoke", severity="critical", needs={"fact": "fact"})
def test_fails(fact):
    judge("there", True)
    print(fact.page)
    assert fact.page == "welcome"


@check("t.smoke.says", suite="smoke", severity="high", needs={"fact": "fact"})
def test_says(fact):
    judge(f"there: {fact.page}", False)


@check("t.smoke.breaks", suite="smoke", severity="high", needs={"fact": "fact"})
def test_breaks(fact):
    print(fact.page)
    raise ConnectionError(fact.page)


@check("t.smoke.skips", suite="smoke", severity="low", needs={"fact": "fact"})
def test_skips(fact):
    pytest.skip(fact.page)
"""

RETRIED = """

TRIES = []


@check("t.smoke.flaky", suite="smoke", severity="critical")
def test_flaky():
    TRIES.append(1)
    judge("second try", len(TRIES) > 1)
"""

SLOW = """

@check("t.smoke.slow", suite="smoke", severity="critical")
def test_slow():
    import time

    judge("there", True)
    time.sleep(20)
"""

OF_GOOD = {"passes": "passed", "warns": "warned", "shows": "passed"}
OF_ALL = {
    **OF_GOOD,
    "fixture": "errored",
    "teardown": "errored",
    "fails": "failed",
    "says": "failed",
    "breaks": "errored",
    "skips": "skipped",
}
ALWAYS = frozenset({"prodcheck", "html", "metadata"})  # what pytest-prodcheck installs itself; xdist is blocked


@cache
def installed() -> dict[str, tuple[str, ...]]:
    """Distribution -> the names of its pytest plugins, in the interpreter of these tests."""
    found: dict[str, tuple[str, ...]] = {}
    for each in distributions():
        names = tuple(point.name for point in each.entry_points if point.group == "pytest11")
        if names:
            found[each.name.lower()] = names
    return found


def version(distribution: str) -> str:
    """The installed version."""
    from importlib.metadata import version as found

    return found(distribution)


def run(project: Project, plugins: Iterable[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """One run with these distributions' plugins and no others, found by pytest as its users have them found."""
    wanted = {name for each in filter(None, plugins) for name in installed()[each]} | ALWAYS
    others = sorted({name for names in installed().values() for name in names} - wanted)
    off = [word for name in others for word in ("-p", f"no:{name}")]
    words = (sys.executable, "-m", "pytest", "--env", "dev", "-m", "smoke", *off, *arguments)
    return project.command(*words, timeout=300)  # a busy machine takes its time to start workers


def outcomes(project: Project) -> dict[str, str]:
    """Check -> outcome, from the record of the only run."""
    (file,) = (project.folder / ".prodcheck" / "runs").glob("*/run.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    own = [each for each in record["results"] if each["check"].startswith("t.smoke.")]
    return {each["check"].removeprefix("t.smoke."): each["outcome"] for each in own}


def gate(project: Project, *arguments: str) -> int:
    """What a deploy script is told; in a process of its own, which loads no pytest plugin."""
    words = (sys.executable, "-m", "pytest_prodcheck.cli", "gate", "smoke", "--env", "dev", *arguments)
    return project.command(*words, timeout=300).returncode


def leaks(project: Project, done: subprocess.CompletedProcess[str]) -> list[str]:
    """What shows the secret, or half of it: files under the project's folder, the terminal."""
    files = [each for each in project.folder.rglob("*") if each.is_file() and each.suffix != ".pyc"]
    texts = {str(each.relative_to(project.folder)): each.read_bytes() for each in files}
    texts |= {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    return [f"{name}: {_around(text)}" for name, text in texts.items() if any(each in text for each in SHOWN)]


def _around(text: bytes) -> str:
    place = min(text.find(each) for each in SHOWN if each in text)
    return text[max(0, place - 120) : place + 60].decode("utf-8", "replace")


def make(folder: Path, *more: str) -> Project:
    """The good checks and more."""
    project = Project.make(folder, TOML, GOOD + "".join(more))
    project.environ["CANARY"] = SECRET
    return project
