"""What reads a backup's bytes sees nothing else, writes nothing and reaches nobody; backups as they are still read."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.evidence.backups.verification import _owner, reading_place
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.backups import Verification
from tests.evidence.contexts import context, gather

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=f"nothing can be shut in here: {why_unavailable()}")
PROGRAMS = Path("/usr/lib/postgresql/0/bin")


def test_what_reads_a_backup_acts_on_nothing(tmp_path: Path) -> None:
    for name in ("private", "backup"):
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / "backup" / "file").write_text("x")
    (tmp_path / "secret").write_text("canary-0a1b2c3d")
    place = reading_place(
        tmp_path / "private", (tmp_path / "backup",), PROGRAMS, ("none",), _owner(tmp_path / "backup"), Deadline(20)
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = f"""
cat {tmp_path}/backup/file
(echo y > {tmp_path}/backup/file) 2>/dev/null && echo WROTE
(echo y > {tmp_path}/backup/new) 2>/dev/null && echo MADE
cat {tmp_path}/secret {tmp_path}/private/* /etc/shadow /proc/self/environ /root/.pgpass 2>/dev/null && echo READ
(exec 3<>/dev/tcp/127.0.0.1/{listener.getsockname()[1]}) 2>/dev/null && echo SPOKE
env
"""
        done = place.run(("/bin/bash", "-c", script), Deadline(20), system=True)
        listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listener.accept()
    words = done.output.split()
    assert words[0].startswith("x"), done
    assert not {"WROTE", "MADE", "READ", "SPOKE"} & set(words)
    assert "canary" not in done.output
    assert all(each not in done.output for each in os.environ if each.startswith(("PYTEST_", "PRODCHECK")))


@pytest.fixture
def own(cluster: Cluster, tmp_path: Path) -> Path:
    """A project with a base backup, and with an archive that belongs to another user where we are root."""
    if not (cluster.programs / "pg_verifybackup").exists():
        pytest.skip("no pg_verifybackup beside the server; install: apt-get install postgresql")
    shutil.copytree(cluster.base, tmp_path / "base" / "monday", symlinks=True)
    shutil.copytree(cluster.archive, tmp_path / "archive")
    for path in (tmp_path / "base", *(tmp_path / "base").rglob("*")) if os.geteuid() == 0 else ():
        os.chown(path, pwd.getpwnam("nobody").pw_uid, -1, follow_symlinks=False)
    return tmp_path


def verified(root: Path, cluster: Cluster, **backups: Any) -> Verification:
    settings = {"kind": "basebackup", "folder": "base", "archive": "archive", "programs": str(cluster.programs)}
    shop = {"nodes": ["127.0.0.1:1"], "backups": {**settings, **backups}}
    found: Verification = gather("postgres-backup-verification", "shop", context(root, postgres={"shop": shop}), 60)
    return found


def test_backups_and_archives_of_different_owners(own: Path, cluster: Cluster) -> None:
    shutil.rmtree(own / "base" / "monday" / "pg_wal")
    (own / "base" / "monday" / "pg_wal").mkdir()
    (one,) = verified(own, cluster).backups
    assert (one.good, one.said) == (True, "")


def test_a_damaged_file_is_still_found(own: Path, cluster: Cluster) -> None:
    with (own / "base" / "monday" / "base" / "1" / "1259").open("r+b") as file:
        file.write(b"\xff" * 100)
    (one,) = verified(own, cluster).backups
    assert "checksum mismatch" in one.said


def test_rows_in_what_is_damaged(own: Path, cluster: Cluster) -> None:
    """Rows lie where a table, WAL and the manifest were; pg_verifybackup and pg_waldump read all three."""
    row, base = "Muster, Diagnose F32", own / "base" / "monday"
    for path in (base / "base" / "1" / "1259", *(base / "pg_wal").glob("0" * 7 + "?*"), base / "backup_manifest"):
        with path.open("r+b") as file:
            file.write(row.encode() * 400)
        try:
            told = repr(verified(own, cluster))
        except EvidenceProblem as error:
            told = repr(error.problem)
        assert "good=True" not in told
        assert "Muster" not in told
