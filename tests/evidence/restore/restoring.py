"""Calls of prodcheck restore and record-backup for the cluster of the tests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.environments.grants import grants
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.records.backups import RestoreRun
from tests.evidence.contexts import gather
from tests.evidence.stores import Stores, address_of

Make = Callable[..., Context]


def tables(running: Stores, cluster: Cluster, restore: dict[str, Any], **changes: Any) -> dict[str, Any]:
    restore = {"unconfined": bool(why_unavailable()), **restore}  # where bubblewrap is not installed
    backups = {
        "kind": "basebackup", "folder": "pg/backups", "archive": "pg/archive", "restore_record": "pg/restored.json",
        "restore": {"folder": "pg/scratch", "record": "pg/records/{label}.json", "check": "database", **restore},
    }  # fmt: skip
    if changes:
        backups = {"restore": {"folder": "pg/scratch", "check": "database", **restore}, **changes}
    settings = {
        "nodes": [address_of("db-1", cluster.nodes[0].entrance)], "database": "shop", "tls": {"ca": "ca.pem"},
        "password": {"file": running.known.postgres}, "backups": backups,
    }  # fmt: skip
    return {"nameserver": running.nameserver, "postgres": {"shop": settings}}


def restored(given: Context) -> RestoreRun:
    run: RestoreRun = gather("postgres-restore", "shop", given, 60)
    return run


def dump(cluster: Cluster, name: str, *options: str) -> Path:
    folder = cluster.folder / "dumps"
    if not folder.exists():
        cluster.spawner.folder(folder)
    words: list[str | Path] = [cluster.programs / "pg_dump", "-h", cluster.folder, "-p", str(cluster.primary.port)]
    cluster.spawner.run([*words, "-U", "postgres", "-f", folder / name, *options, "shop"], cluster.folder / "dump.log")
    return folder / name


TOML = """\
version = 1
[environments.test]
revision = "r"
nameserver = "{nameserver}"
[environments.test.postgres.shop]
nodes = ["{node}"]
database = "shop"
tls = {{ ca = "ca.pem" }}
password = {{ file = "password" }}
backups = {{ kind = "basebackup", folder = "pg/backups", archive = "pg/archive", restore = {restore} }}
"""


def declare(running: Stores, cluster: Cluster, restore: str = "{}") -> None:
    """The prodcheck.toml of a backup job, and the file with its password."""
    node = address_of("db-1", cluster.nodes[0].entrance)
    text = TOML.format(nameserver=running.nameserver, node=node, restore=restore)
    (running.place / "prodcheck.toml").write_text(text)
    (running.place / "password").write_text(running.known.postgres)
    (running.place / "password").chmod(0o600)


def allow(cluster: Cluster, given: Context) -> None:
    """What `prodcheck grants` prints for records, of which some lines print others."""
    lines = list(grants("shop", given.environment.postgres["shop"]))
    about = "-- prodcheck record-backup: positions in WAL, and every table of the database"
    rights, *printing = [line.removesuffix("\\gexec").strip() for line in lines[lines.index(about) + 1 :]]
    with cluster.primary.connect() as connection:
        connection.execute(rights)
        found = [row[0] for line in printing for row in connection.execute(line).fetchall()]
        assert {"GRANT SELECT ON orders TO prodcheck", "GRANT USAGE ON SCHEMA public TO prodcheck"} <= set(found)
        for line in found:
            connection.execute(line)


def record_backup(running: Stores, *words: str) -> tuple[int, str]:
    """`prodcheck record-backup`, as a backup job runs it."""
    command = [sys.executable, "-m", "pytest_prodcheck.cli", "record-backup", "shop", "--env", "test", *words]
    done = subprocess.run(command, cwd=running.place, capture_output=True, text=True, check=False, timeout=60)
    assert running.known.postgres not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def eventually(condition: Callable[[], Any], child: subprocess.Popen[bytes] | None) -> Any:
    for _ in range(300):
        if found := condition():
            return found
        assert child is None or child.poll() is None, child.stdout and child.stdout.read()
        time.sleep(0.1)
    raise AssertionError("not within 30 s")
