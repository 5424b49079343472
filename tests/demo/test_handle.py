"""Starting, finding and ending demos; nothing stays behind."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo import DemoError, describe, find_running, list_faults, start
from pytest_prodcheck.demo.runtime import folders
from tests.demo.client import Client

STARTER = """
from pytest_prodcheck.demo import start
demo = start()
demo.wait_ready(60)
print(demo.pid, demo.configuration, flush=True)
input()
"""
LIGHT = """
import sys, pytest_prodcheck.demo
print([name for name in ("psycopg", "redis", "dns", "trustme", "asyncio", "ssl") if name in sys.modules])
"""


@pytest.fixture
def own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the test's own, with a short path that the servers' user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="pc"))
    folder.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def _python(code: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that does not outlive the test."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _processes(place: Path) -> list[int]:
    """Live processes that were started from a demo's folder."""
    recorded = (place / folders.PIDS).read_text().split()
    return [int(pid) for pid in recorded if _alive(int(pid))]


def _alive(pid: int) -> bool:
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(shown.strip()) and not shown.startswith("Z")


def _until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def test_two_at_once_and_stop_leaves_nothing() -> None:
    with start(["health-503"]) as one, start() as other:
        one.wait_ready(60)
        other.wait_ready(60)
        first, second = Client(one), Client(other)
        assert first.ask("GET /healthz").status == 503
        second.assert_healthy()
        roots = first.root, second.root
        pids = [pid for folder in roots for pid in _processes(folder)]
        assert len(pids) >= 8
    assert not any(folder.exists() for folder in roots)
    assert not any(_alive(pid) for pid in (one.pid, other.pid, *pids))
    one.stop()


def test_start_returns_while_the_system_comes_up() -> None:
    began = time.monotonic()
    with start() as demo:
        returned = time.monotonic() - began
        assert demo.owned
        assert tomllib.loads(demo.configuration.read_text())["project"] == "demo-shop"
        for name in ("ca.pem", "schemas/product.json", "secrets/admin"):
            assert (demo.configuration.parent / name).is_file()
        demo.wait_ready(60)
        assert returned < (time.monotonic() - began) / 2


def test_a_killed_starter_leaves_nothing() -> None:
    with _python(STARTER) as starter:
        assert starter.stdout
        pid, configuration = starter.stdout.readline().split()
        place = Path(configuration).parent
        children = _processes(place)
        assert len(children) >= 4
        starter.kill()
    _until(lambda: not place.exists() and not _alive(int(pid)))
    assert not any(_alive(child) for child in children)


def test_a_killed_demo_leaves_no_process_and_the_next_start_sweeps() -> None:
    with start() as demo:
        demo.wait_ready(60)
        place = demo.configuration.parent
        children = _processes(place)
        assert len(children) >= 4
        os.kill(demo.pid, signal.SIGKILL)
        if sys.platform == "linux":
            _until(lambda: not any(_alive(child) for child in children))
        with pytest.raises(DemoError, match="not running any more"):
            demo.set_faults([])
    with start():
        assert not place.exists()
    assert not any(_alive(child) for child in children)


def test_faults_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODCHECK_DEMO_FAULTS", "health-503, version-garbge")
    with pytest.raises(DemoError, match=r"'version-garbge': did you mean version-garbage"):
        start()
    monkeypatch.setenv("PRODCHECK_DEMO_FAULTS", "health-503")
    with start() as demo:
        demo.wait_ready(60)
        assert Client(demo).ask("GET /healthz").status == 503


def test_faults_that_exclude_each_other() -> None:
    with pytest.raises(DemoError, match="redis-down and redis-hangs both change"):
        start(["redis-down", "redis-hangs"])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "trustme" else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(DemoError, match=r"needs trustme: .*pip install 'pytest-prodcheck\[demo\]'"):
        start()


def test_foreground_is_found_and_ends_with_ctrl_c(own_folder: Path) -> None:
    assert find_running() is None
    code = "import sys; from pytest_prodcheck.demo import run_foreground; sys.exit(run_foreground(['health-503']))"
    with _python(code) as process:
        assert process.stdout
        assert "up (faults on: health-503)" in process.stdout.readline()
        found = find_running()
        assert found
        assert not found.owned
        assert found.pid == process.pid
        client = Client(found)
        assert client.ask("GET /healthz").status == 503
        found.set_faults([])
        client.assert_healthy()
        found.stop()
        assert client.ask("GET /healthz").status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert find_running() is None
    assert not client.root.exists()


def test_the_configuration_can_be_shown_without_a_system() -> None:
    found = tomllib.loads(describe())
    assert found["environments"]["demo"]["services"]["shop"]["url"] == "https://shop.demo.test:8443"


def test_the_list_names_faults_and_checks() -> None:
    text = list_faults()
    assert "health-says-fail" in text
    assert "smoke.redis.persistence" in text


def test_importing_is_light() -> None:
    run = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def _groups(leaders: set[str]) -> list[str]:
    """Live processes of these process groups."""
    shown = subprocess.run(["ps", "-ewwo", "pgid=,stat=,command="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in shown.splitlines()]
    return [row[-1] for row in rows if row[0] in leaders and not row[1].startswith("Z")]


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_save_in_the_background_ends_too(killed: bool) -> None:
    with start(["redis-saving", "postgres-backup-running"]) as demo:
        demo.wait_ready(60)
        leaders = set((demo.configuration.parent / folders.PIDS).read_text().split())
        assert any("bgsave" in command for command in _groups(leaders))
        assert any("pg_basebackup" in command for command in _groups(leaders))
        if killed:
            os.kill(demo.pid, signal.SIGKILL)
    if killed:
        start().stop()
    _until(lambda: not _groups(leaders))
