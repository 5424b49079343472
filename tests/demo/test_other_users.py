"""Another user of the machine, who knows where a demo lies: nothing of it can be read, changed or spoken to."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pytest_prodcheck.demo import Demo
from pytest_prodcheck.demo.runtime import folders
from pytest_prodcheck.demo.runtime.errors import DemoError
from tests.demo.client import Client
from tests.evidence.restore.as_user import python_for

OTHER = pwd.getpwnam("nobody")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
LOOK = """
import glob, os, socket, sys
paths = sys.argv[1:]
for path in paths:
    for mode, flags in (("read", os.O_RDONLY), ("written", os.O_WRONLY), ("added to", os.O_WRONLY | os.O_CREAT)):
        there = os.path.join(path, "owned") if mode == "added to" else path
        try:
            os.close(os.open(there, flags | os.O_NONBLOCK))
            print(mode, path)
        except OSError:
            pass
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(socket.AF_UNIX, kind).connect(path)
            print("spoken to", path)
        except OSError:
            pass
for file in glob.glob("/proc/[0-9]*/environ"):
    try:
        if b"PRODCHECK" in open(file, "rb").read():
            print("environment", file)
    except OSError:
        pass
for file in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        sys.stdout.write("argv " + open(file, "rb").read().replace(b"\\0", b" ").decode(errors="replace") + "\\n")
    except OSError:
        pass
"""


def _as_other(*words: str) -> str:
    done = subprocess.run(
        [python_for("nobody"), "-I", "-S", "-c", *words], user=OTHER.pw_uid, group=OTHER.pw_gid, extra_groups=[],
        cwd="/", capture_output=True, text=True, errors="replace", timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _server_user(path: Path) -> bool:
    """PostgreSQL's own sockets are as it makes them: the answer has a password field there."""
    return path.name.startswith(".s.PGSQL") and not path.name.endswith(".lock")


def test_what_another_user_gets(demo: Demo, client: Client) -> None:
    everything = [demo.configuration.parent, *demo.configuration.parent.rglob("*")]
    found = _as_other(LOOK, *map(str, everything), "/tmp").splitlines()
    found.remove("added to /tmp")  # it looks as it should
    processes = {demo.pid, *(each.pid for each in psutil.Process(demo.pid).children(recursive=True))}
    got = [line for line in found if line.startswith(("written", "added", "spoken"))]
    got += [line for line in found if line.startswith("environment") and int(line.split("/")[2]) in processes]
    assert [line for line in got if not _server_user(Path(line.rpartition(" ")[2]))] == []
    secrets = {path.read_text().strip() for path in (client.root / "secrets").iterdir() if path.stat().st_size}
    readable = [Path(line.partition(" ")[2]) for line in found if line.startswith("read ")]
    for path in readable:
        text = path.read_bytes() if path.is_file() else b""
        assert not [each for each in secrets if each.encode() in text], path
    told = "\n".join(line for line in found if line.startswith("argv "))
    assert not [each for each in secrets if each in told]


def test_everything_listens_on_this_machine_alone(demo: Demo) -> None:
    processes = [psutil.Process(demo.pid), *psutil.Process(demo.pid).children(recursive=True)]
    there = {each.laddr.ip for one in processes for each in one.net_connections() if each.status == psutil.CONN_LISTEN}
    assert there
    assert {each for each in there if not each.startswith(("127.", "::1", "::ffff:127."))} == set()


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="pc-", dir="/tmp"))
    place.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    subprocess.run(["rm", "-rf", place], check=True)


@pytest.mark.parametrize("how", ["os.mkdir({0!r}, 0o777)", "os.symlink('/tmp', {0!r})", "open({0!r}, 'w')"])
def test_a_folder_that_another_user_made_first(temporary: Path, how: str) -> None:
    _as_other("import os; os.umask(0); " + how.format(str(temporary / f"prodcheck-demo-{os.getuid()}")))
    with pytest.raises((DemoError, FileExistsError)):
        folders.base()
