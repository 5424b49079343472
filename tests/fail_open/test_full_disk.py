"""Row 6: a really small file system that is full, at different moments; the gate is closed, or truthfully open."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import Project

SIZE = 384 * 1024
PAGE = 4096  # bytes: tmpfs gives room in pages
INSIDE = "PRODCHECK_TEST_IN_NAMESPACE"


@pytest.fixture
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A project whose `.prodcheck` is a file system of 384 KiB."""
    if os.geteuid() != 0:
        _again_as_root_of_a_namespace(request.node.nodeid)
        pytest.skip("passed as root of a namespace of its own")
    project = Project.make(tmp_path / "project")
    state = project.folder / ".prodcheck"
    state.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", str(state)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield project
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)


def _again_as_root_of_a_namespace(node: str) -> None:
    space = ["unshare", "-rm"]
    if os.environ.get(INSIDE) or subprocess.run([*space, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a normal user who may not make a mount namespace (unshare -rm) cannot mount anything")
    words = [*space, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", node]
    done = subprocess.run(words, env={**os.environ, INSIDE: "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    if "1 passed" not in done.stdout:
        pytest.skip(f"not passed as root of a namespace: {done.stdout[-300:]}")


FILL = f"""
import errno, os
def fill(state, left):
    name = os.path.join(state, "filler")
    with open(name, "ab", buffering=0) as file:
        try:
            while file.write(b"x" * {PAGE}):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    os.truncate(name, max(os.path.getsize(name) // {PAGE} - left, 0) * {PAGE})
"""


def fill_disk(project: Project, left: int = 0) -> None:
    """Leaves so many pages of room."""
    made: dict[str, object] = {}
    exec(FILL, made)  # the same code fills from inside a run
    made["fill"](project.folder / ".prodcheck", left)  # type: ignore[operator]


def empty(project: Project) -> None:
    (project.folder / ".prodcheck" / "filler").unlink(missing_ok=True)


def run_on_full_disk(project: Project) -> None:
    """A run on a disk that is or gets full: it opens nothing, or says so and is right; one message, no traceback."""
    done = project.pytest("-p", "no:cacheprovider")
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said
    code = project.gate()
    if done.returncode == 0:
        assert code == 0
    else:
        assert code == 3, said
        assert done.returncode in (4, 13), said  # could not begin, or could not tell
        assert len(complaints(said)) == 1, said


def complaints(said: str) -> set[str]:
    """What is said about the full disk, without the marks in front: as the run's and as the gate's, it is one."""
    return {line.strip().lstrip("!❓ ") for line in said.splitlines() if os.strerror(errno.ENOSPC) in line}


@pytest.mark.parametrize("left", [0, 1, 3])
def test_full_before_a_run(project: Project, left: int) -> None:
    """The old verdict goes first: to remove it needs no room."""
    assert project.pytest("-p", "no:cacheprovider").returncode == 0
    assert project.gate() == 0
    fill_disk(project, left)
    run_on_full_disk(project)
    project.edit("value = 1.0", "value = 11.0")
    assert project.pytest("-p", "no:cacheprovider").returncode in (1, 4, 13)
    assert project.gate() in (1, 3)
    empty(project)
    project.edit("value = 11.0", "value = 1.0")
    assert project.pytest("-p", "no:cacheprovider").returncode == 0
    assert project.gate() == 0


def test_full_before_the_very_first_run(project: Project) -> None:
    """No key can be made."""
    fill_disk(project)
    run_on_full_disk(project)


MOMENTS = {
    "when it has collected": "def pytest_collection_finish(session):",
    "while it judges": "def pytest_runtest_teardown(item):",
    "before its record is saved": "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_sessionfinish(session):",
    "after its record is saved": "@pytest.hookimpl(trylast=True)\ndef pytest_unconfigure(config):",
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
def test_full_during_a_run(project: Project, moment: str) -> None:
    assert project.pytest("-p", "no:cacheprovider").returncode == 0
    wrapper = "    return (yield)\n" if "wrapper" in moment else ""
    text = f"import pytest\n{FILL}\n{moment}\n    fill('.prodcheck', 0)\n{wrapper}"
    project.write("checks/conftest.py", text)
    run_on_full_disk(project)


def test_full_when_somebody_overrides_or_executes(project: Project) -> None:
    """What cannot be recorded does not happen."""
    project.edit("value = 1.0", "value = 11.0")
    assert project.pytest("-p", "no:cacheprovider").returncode == 1
    fill_disk(project)
    words = ("smoke", "--env", "dev", "--reason", "it burns", "--ticket", "OPS-1", "--for", "10m")
    done = project.prodcheck("override", *words)
    assert done.returncode not in (0, 1), done.stdout
    assert "Traceback" not in done.stderr
    assert len(complaints(done.stdout + done.stderr)) == 1
    assert project.gate() == 1
    empty(project)
    project.edit("value = 11.0", "value = 1.0")
    assert project.pytest("-p", "no:cacheprovider").returncode == 0
    fill_disk(project)
    done = project.prodcheck("exec", "smoke", "--env", "dev", "--", "touch", "done")
    assert "Traceback" not in done.stderr
    assert (project.folder / "done").exists() == (done.returncode == 0)


def test_a_state_folder_that_is_read_only(project: Project) -> None:
    """A gate only reads. A run that can withdraw nothing judges nothing: what was judged before is still true."""
    assert project.pytest().returncode == 0
    state = str(project.folder / ".prodcheck")
    subprocess.run(["mount", "-o", "remount,ro", state], check=True)
    try:
        assert project.gate() == 0
        done = project.prodcheck("exec", "smoke", "--env", "dev", "--", "true")
        assert (done.returncode, "NOT RECORDED" in done.stderr) == (0, True)
        done = project.pytest()
        assert (done.returncode, "cannot be withdrawn" in done.stderr) == (4, True), done.stdout + done.stderr
        assert project.gate() == 0
        project.edit("value = 1.0", "value = 11.0")
        assert project.gate() == 4
    finally:
        subprocess.run(["mount", "-o", "remount,rw", state], check=True)
