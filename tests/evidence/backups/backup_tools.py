"""pgBackRest and Barman on a real cluster: how they are run, and how the checks judge what they made."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.runtime.waiting import until
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.tools import write_guard
from pytest_prodcheck.records.backups import Archiving, Backups, Verification, WalArchive
from suites.data_integrity.test_backups import test_the_newest_backup_is_whole as whole
from suites.data_integrity.test_backups import test_wal_leads_on_without_a_gap as leads_on
from suites.pre_deploy.test_backups import test_the_last_backup_is_recent as recent
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.stores import Stores, address_of
from tests.suites.test_data_integrity import outcome

SWITCH_WAL = "select pg_walfile_name(pg_switch_wal()) from (select pg_logical_emit_message(false, 'demo', 'x')) as m"


@pytest.fixture(scope="module")
def cluster(running: Stores) -> Cluster:
    cluster = running.start_postgres()
    cluster.standby.stop()
    return cluster


@dataclass(frozen=True)
class Judged:
    """Records, and how the checks of age, of the manifest and of WAL come out."""

    backups: Backups
    archive: WalArchive
    age: str
    manifest: str
    wal: str


@dataclass
class Tool:
    """One of the two: its folder, how it is asked, and how the configuration of prodcheck names it."""

    running: Stores
    cluster: Cluster
    folder: Path
    words: tuple[str, ...]
    declared: dict[str, Any]
    receiver: int = 0  # process group of what receives WAL

    def run(self, *what: str) -> str:
        """Runs it as ourselves."""
        done = subprocess.run([*self.words, *what], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def find(self, name: str, **changes: Any) -> Any:
        """A record of evidence."""
        return gather(name, "shop", self.context(**changes), 120)

    def context(self, **changes: Any) -> Context:
        """The cluster with these backups declared."""
        settings = {
            "nodes": [address_of("db-1", self.cluster.nodes[0].entrance)], "database": "shop", "tls": {"ca": "ca.pem"},
            "password": {"file": self.running.known.postgres},
            "backups": {**self.declared, "tool": self.words, "restore": {"folder": "pg/scratch", "check": "database"},
                        **changes},
        }  # fmt: skip
        return context(self.running.place, nameserver=self.running.nameserver, postgres={"shop": settings})

    def judged(self) -> Judged:
        """Records, and how the checks of age, of the manifest and of WAL come out."""
        given = self.context()
        backups: Backups = gather("postgres-backups", "shop", given, 120)
        archiving: Archiving = gather("postgres-archiving", "shop", given, 120)
        verified: Verification = gather("postgres-backup-verification", "shop", given, 120)
        archive: WalArchive = gather("postgres-wal-archive", "shop", given, 120)
        return Judged(
            backups, archive,
            age=outcome(recent, backups, postgres_archiving=archiving),
            manifest=outcome(whole, backups, postgres_backup_verification=verified, postgres_archiving=archiving),
            wal=outcome(leads_on, archive, postgres_archiving=archiving),
        )  # fmt: skip


def program_path(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}; install: apt-get install {name}")
    return found


def archived(cluster: Cluster, count: int) -> list[str]:
    """Finishes so many WAL files; returns their names when they are archived."""
    names = [str(cluster.primary.ask(SWITCH_WAL)) for _ in range(count)]
    done = "select last_archived_wal >= %s from pg_stat_archiver"
    until(lambda: cluster.primary.ask(done, names[-1]), "WAL is archived", 30)
    return names


@contextlib.contextmanager
def changed(path: Path, change: Callable[[Path], Any]) -> Iterator[None]:
    content, owner = path.read_bytes(), path.stat()
    change(path)
    try:
        yield
    finally:
        path.write_bytes(content)
        os.chown(path, owner.st_uid, owner.st_gid)


def other_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def not_shut_in(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule of dumps: errored with what to install; accepted, it is told in the verdict."""
    monkeypatch.setattr(write_guard, "guarded_by", lambda: "bwrap")
    monkeypatch.setattr(write_guard, "why_unavailable", lambda: "bwrap is not installed (apt-get install bubblewrap)")
    problem = problem_of(lambda: tool.find("postgres-restore"))
    assert "cannot be kept from writing them: bwrap is not installed (apt-get install bubblewrap)" in problem.message
    assert "backups.restore.unconfined = true" in (problem.hint or "")
