"""`--wait`, Ctrl-C on the demo, and what is said while a run goes on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tests.project import Project

TOML = """\
version = 1
[environments.dev]
revision = "r1"
[environments.dev.dependencies]
queue = {{ tcp = "127.0.0.1:{port}" }}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_waits_for_a_system_that_is_still_starting(tmp_path: Path) -> None:
    port = free_port()
    project = Project.make(tmp_path, TOML.format(port=port), "")
    assert project.pytest().returncode == 1
    listeners: list[socket.socket] = []

    def later() -> None:
        time.sleep(6)
        listeners.append(socket.create_server(("127.0.0.1", port)))

    threading.Thread(target=later, daemon=True).start()
    done = project.pytest("--wait", "30")
    assert done.returncode == 0, done.stdout
    assert "queue" in done.stdout
    assert project.gate() == 0
    listeners[0].close()


def test_a_system_that_never_comes_up_is_judged_when_the_time_is_up(tmp_path: Path) -> None:
    project = Project.make(tmp_path, TOML.format(port=free_port()), "")
    began = time.monotonic()
    assert project.pytest("--wait", "2s").returncode == 1
    assert time.monotonic() - began < 15
    assert project.gate() == 1


@pytest.mark.parametrize("moment", [0.3, 0.8, 1.6])
def test_ctrl_c_on_the_demo_ends_soon_and_leaves_nothing(tmp_path: Path, moment: float) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PRODCHECK"))}
    short = Path(tempfile.mkdtemp(dir="/tmp"))  # sockets have short paths
    short.chmod(0o755)  # where root runs this, the servers' unprivileged user has to get in
    kept["TMPDIR"] = str(short)
    words = [sys.executable, "-m", "pytest", "-m", "smoke", "--env", "demo", "-p", "no:randomly"]
    process = subprocess.Popen(words, cwd=tmp_path, env=kept, stdout=subprocess.DEVNULL, start_new_session=True)
    time.sleep(moment)
    assert process.poll() is None, "the run was over before it could be interrupted"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    code = process.wait(20)
    assert time.monotonic() - began < 4  # a second on a quiet machine
    assert code in (2, 130, -signal.SIGINT), code
    until = time.monotonic() + 10
    while list(short.glob("prodcheck-demo-*/*-*")) and time.monotonic() < until:
        time.sleep(0.1)
    assert not list(short.glob("prodcheck-demo-*/*-*"))
    gate = Project(tmp_path).prodcheck("gate", "smoke", "--env", "demo")
    assert gate.returncode == 3
    shutil.rmtree(short)
