"""One restore in a process of its own, as another user where that is asked for, with canaries in its environment."""

from __future__ import annotations

import atexit
import functools
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from pytest_prodcheck.demo.runtime.programs import reachable
from tests.evidence.contexts import context
from tests.soak import SOAK

ROOT = Path(__file__).parents[3]
CANARY = "canary-0a1b2c3d"
ENVIRON = ("PRODCHECK_KEY", "PRODCHECK_DB", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "PGOPTIONS", "PGHOST", "PGUSER",
           "SSH_AUTH_SOCK", "DATABASE_URL")  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How a restore came out. wrong: what was found. problem: why it could not be told; good: neither."""

    wrong: tuple[str, ...] = ()
    problem: str = ""
    tables: int = 0
    notes: tuple[str, ...] = ()
    text: str = ""
    confined: bool = True

    @property
    def good(self) -> bool:
        return not self.wrong and not self.problem


def python_for(user: str) -> str:
    """An interpreter that a user may run."""
    if not user or reachable(Path(sys.executable).resolve()):
        return sys.executable
    other = shutil.which(f"python{sys.version_info.major}.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    if other is None or not reachable(Path(other).resolve()):
        pytest.skip("no Python that another user may run; install: apt-get install python3")
    return other


class _Server:
    """A process of a user that makes each restore in a fork of itself: half a second of processor less each time."""

    def __init__(self, user: str) -> None:
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        paths = [str(ROOT), *(each for each in sys.path if "site-packages" in each)]
        environ = {
            "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1",
            **dict.fromkeys(ENVIRON, CANARY),
        }  # fmt: skip
        who: dict[str, Any] = {}
        if user:
            found = pwd.getpwnam(user)
            who = {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
        words = [python_for(user), "-m", "tests.evidence.restore.as_user", str(other.fileno())]
        with other:
            self._child = subprocess.Popen(words, cwd="/", env=environ, pass_fds=(other.fileno(),), **who)
        atexit.register(self.close)

    def run(self, request: dict[str, Any], out: IO[bytes], err: IO[bytes], seconds: float) -> int:
        """The exit code of a restore whose output goes to these files."""
        self._socket.settimeout(seconds)
        socket.send_fds(self._socket, [json.dumps(request).encode()], [out.fileno(), err.fileno()])
        return int(self._socket.recv(100) or b"-1")

    def close(self) -> None:
        self._socket.close()  # it ends when it finds nobody there
        self._child.wait(10)


_server = functools.cache(_Server)


def restore(root: Path, tables: dict[str, Any], user: str = "", seconds: float = 60, path: str = "",
            umask: int = -1) -> Outcome:  # fmt: skip
    """`postgres-restore` of `shop`. path: where programs are looked for, else where ours are."""
    request = {"root": str(root), "tables": tables, "seconds": seconds, "umask": umask}
    request["environ"] = {"HOME": str(root), **({"PATH": path} if path else {})}
    server = _server(user)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = server.run(request, out, err, seconds + 60)
        said = []
        for each in (out, err):
            each.seek(0)
            said.append(each.read().decode())
    if SOAK:  # a new interpreter each time
        server.close()
        _server.cache_clear()
    if code:
        pytest.fail(f"{user or 'self'}: {said[1][-3000:]}")
    assert CANARY not in "".join(said)
    told = json.loads(said[0].splitlines()[-1])
    kept = {name: told[name] for name in ("problem", "tables", "confined")}
    return Outcome(tuple(told["wrong"]), notes=tuple(told["notes"]), text=said[0], **kept)


def _serve(asked: socket.socket) -> None:
    """Makes each restore that is asked for in a forked process, and tells its exit code."""
    import psycopg  # noqa: F401 - a restore needs it

    from pytest_prodcheck.evidence.table import find

    backups = {"kind": "dump", "folder": "d", "restore": {"folder": "s", "check": "database"}}
    shop = {"nodes": ["127.0.0.1:1"], "database": "d", "password": {"file": "f"}, "backups": backups}
    context(Path("/"), postgres={"shop": shop})
    _ = find("postgres-restore").gather  # imports its module
    while True:
        request, descriptors, _, _ = socket.recv_fds(asked, 1024 * 1024, 2)
        if not request:
            return
        child = os.fork()
        if not child:
            for descriptor, standard in zip(descriptors, (1, 2), strict=True):
                os.dup2(descriptor, standard)
                os.close(descriptor)
            asked.close()
            _restore(**json.loads(request))
            return
        for descriptor in descriptors:
            os.close(descriptor)
        asked.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def _restore(root: str, tables: dict[str, Any], seconds: float, umask: int, environ: dict[str, str]) -> None:
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.table import find
    from pytest_prodcheck.records import EvidenceProblem

    if umask >= 0:
        os.umask(umask)
    os.environ.update(environ)
    os.chdir(root)
    deadline = Deadline(seconds)
    told: dict[str, Any] = {"wrong": [], "problem": "", "tables": 0, "confined": True}
    try:
        run = find("postgres-restore").gather("shop", context(Path(root), **tables), deadline)
        told |= {"wrong": run.wrong, "tables": run.tables, "confined": run.confined}
    except EvidenceProblem as error:
        told["problem"] = f"{error.problem.kind}: {error.problem}"
    told["notes"] = list(deadline.notes)
    print(json.dumps(told))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _serve(given)
