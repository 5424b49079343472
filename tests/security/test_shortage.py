"""Our own want of files, memory and room: cannot tell (3), never proven bad (1), never a mistake of the user (2)."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck import resource_exhaustion
from pytest_prodcheck.evidence.network.resolving import ResolvedAddress
from pytest_prodcheck.evidence.network.transport import connect
from pytest_prodcheck.records import EvidenceProblem, Problem
from tests.evidence.http.servers import ok, web
from tests.hostile.support import bare
from tests.project import Project

TOML = """\
version = 1
[environments.dev]
revision = "r1"
[environments.dev.services.shop]
url = "http://localhost:{port}"
health = "/healthz"
{endpoints}
"""


def limited(project: Project, files: int, *words: str) -> subprocess.CompletedProcess[str]:
    """`prodcheck …` with so many open files, hard and soft."""
    command = ["prlimit", f"--nofile={files}:{files}", sys.executable, "-m", "pytest_prodcheck.cli", *words]
    return subprocess.run(
        command, cwd=project.folder, env=project.env(), capture_output=True, text=True, timeout=120, check=False
    )


def test_too_few_open_files_prove_nothing_against_a_healthy_service(tmp_path: Path) -> None:
    """They looked like connections that the service reset: gate 1, for which people undo."""
    pages = "\n".join(f'endpoints.p{n} = {{ request = "GET /{n}", status = 200 }}' for n in range(40))
    codes = {}
    with web(ok) as server:
        project = bare(tmp_path, TOML.format(port=server.port, endpoints=pages))
        for files in (64, 24, 18, 14, 10):
            done = limited(project, files, "run", "smoke", "--env", "dev", "--", "-p", "no:cacheprovider")
            codes[files] = done.returncode
            if done.returncode == 3:
                assert "failed" not in done.stdout.splitlines()[-1]
            assert limited(project, files, "gate", "smoke", "--env", "dev").returncode in (0, 3)
    assert set(codes.values()) <= {0, 3}, codes
    assert 3 in codes.values(), codes


def test_connect_without_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(resource_exhaustion.shortages_since())

    def no_socket(*_: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", no_socket)
    with pytest.raises(EvidenceProblem):
        connect(ResolvedAddress("IPv4", "127.0.0.1", 1), 1)
    assert resource_exhaustion.shortages_since(before) == ["open files (ulimit -n)"]


def raises(error: BaseException) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.ENOBUFS]
)
def test_a_problem_made_of_our_own_shortage_is_noted(number: int) -> None:
    before = len(resource_exhaustion.shortages_since())
    try:
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            raise ValueError("wrapped") from error
    except ValueError:
        Problem("reset", "the connection broke")
    assert len(resource_exhaustion.shortages_since(before)) == 1


THEIRS = (
    ConnectionResetError(errno.ECONNRESET, "reset"), BlockingIOError(errno.EAGAIN, "later"), TimeoutError(),
    OSError(errno.EACCES, "no"),
)  # fmt: skip


@pytest.mark.parametrize("error", THEIRS)
def test_what_others_do_is_no_shortage(error: BaseException) -> None:
    before = len(resource_exhaustion.shortages_since())
    try:
        raise error
    except OSError:
        Problem("reset", "the connection broke")
    assert resource_exhaustion.shortages_since(before) == []


def test_no_process_and_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fork(*_: Any, **__: Any) -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("_posixsubprocess.fork_exec", no_fork)
    monkeypatch.setattr("subprocess._fork_exec", no_fork, raising=False)
    with pytest.raises(OSError, match="unavailable") as caught:
        subprocess.run(["true"], check=True)
    assert resource_exhaustion.shortage_of(caught.value) == "processes or threads (ulimit -u)"
    assert resource_exhaustion.shortage_of(RuntimeError("can't start new thread")) == "processes or threads (ulimit -u)"
    assert resource_exhaustion.shortage_of(MemoryError()) == "memory"
    assert threading.active_count() > 0


def test_the_soft_limit_is_raised() -> None:
    code = (
        "import resource\nfrom pytest_prodcheck import resource_exhaustion\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))\n"
        "resource_exhaustion.allow_many_files()\nprint(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(512, 512)"


@pytest.mark.parametrize("files", [3, 4, 5, 6, 8])
def test_a_gate_without_descriptors(tmp_path: Path, files: int) -> None:
    """Open (it is), or cannot tell: never a usage error, never refused."""
    project = Project.make(tmp_path)
    project.edit("version = 1", 'version = 1\ninclude = ["conf/*.toml"]')
    project.write("conf/more.toml", "")
    assert project.pytest().returncode == 0
    code = (
        "import glob, hashlib, getopt, os, resource, sys\n"
        "import pytest_prodcheck.cli.gate, pytest_prodcheck.gates.toml_values\n"
        "import pytest_prodcheck.cli.declared_names, pytest_prodcheck.environments.loading\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\n"
        "from pytest_prodcheck.cli import main\nsys.exit(main(['gate', 'smoke', '--env', 'dev']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=project.env(), capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    if files == 3:
        assert done.returncode == 3, done.stdout
