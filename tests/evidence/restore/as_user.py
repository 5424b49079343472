"""One restore in a process of its own, as another user where that is asked for, with canaries in its environment."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.runtime.programs import reachable

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


def restore(root: Path, tables: dict[str, Any], user: str = "", seconds: float = 60, path: str = "",
            umask: int = -1) -> Outcome:  # fmt: skip
    """`postgres-restore` of `shop`. path: where programs are looked for, else where ours are."""
    words = [python_for(user), "-m", "tests.evidence.restore.as_user", str(root), json.dumps(tables), str(seconds)]
    paths = [str(ROOT), *(each for each in sys.path if "site-packages" in each)]
    environ = {
        "PATH": path or os.environ["PATH"], "HOME": str(root), "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1", **dict.fromkeys(ENVIRON, CANARY),
    }  # fmt: skip
    who: dict[str, Any] = {}
    if user:
        found = pwd.getpwnam(user)
        who = {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    done = subprocess.run(
        words, cwd=root, env=environ, capture_output=True, text=True, timeout=seconds + 60, check=False,
        umask=umask, **who
    )  # fmt: skip
    if done.returncode:
        pytest.fail(f"{user or 'self'}: {done.stderr[-3000:]}")
    assert CANARY not in done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    kept = {name: told[name] for name in ("problem", "tables", "confined")}
    return Outcome(tuple(told["wrong"]), notes=tuple(told["notes"]), text=done.stdout, **kept)


def main() -> None:
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.table import find
    from pytest_prodcheck.records import EvidenceProblem
    from tests.evidence.contexts import context

    root, tables, seconds = Path(sys.argv[1]), json.loads(sys.argv[2]), float(sys.argv[3])
    deadline = Deadline(seconds)
    told: dict[str, Any] = {"wrong": [], "problem": "", "tables": 0, "confined": True}
    try:
        run = find("postgres-restore").gather("shop", context(root, **tables), deadline)
        told |= {"wrong": run.wrong, "tables": run.tables, "confined": run.confined}
    except EvidenceProblem as error:
        told["problem"] = f"{error.problem.kind}: {error.problem}"
    told["notes"] = list(deadline.notes)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
