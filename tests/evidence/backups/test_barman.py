"""Backups that Barman really made, of a real cluster, and what is wrong with them."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres import heap_page
from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.runtime.waiting import until
from pytest_prodcheck.evidence.backups.pgbackrest_barman import (
    barman_wal,
)
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.restore import fetch
from pytest_prodcheck.evidence.tools import write_guard
from pytest_prodcheck.records.backups import Archiving, Backups, RestoreRun, Verification, WalArchive
from suites.data_integrity.test_backups import test_wal_leads_on_without_a_gap as leads_on
from suites.pre_deploy.test_backups import test_finished_wal_is_archived as backlog
from suites.pre_deploy.test_backups import test_the_last_backup_is_recent as recent
from tests.evidence.backups.backup_tools import (
    SWITCH_WAL,
    Tool,
    archived,
    changed,
    cluster,
    not_shut_in,
    program_path,
)
from tests.evidence.contexts import problem_of
from tests.evidence.stores import Stores
from tests.suites.test_data_integrity import outcome

__all__ = ["cluster"]


_BARMAN = """\
[barman]
barman_home={folder}
barman_user={user}
barman_lock_directory={folder}
log_file={folder}/log
[shop]
description=shop
conninfo=host={sockets} port={port} user=postgres dbname=postgres
streaming_conninfo=host={sockets} port={port} user=postgres
backup_method=postgres
archiver=on
path_prefix={programs}
"""


@pytest.fixture(scope="module")
def barman(running: Stores, cluster: Cluster) -> Tool:
    program = program_path("barman")
    folder = cluster.spawner.folder(cluster.folder / "barman")
    incoming = cluster.spawner.folder(cluster.spawner.folder(folder / "shop") / "incoming")
    user = cluster.spawner.user or pwd.getpwuid(os.geteuid())
    conf = folder / "barman.conf"
    conf.write_text(_BARMAN.format(folder=folder, user=user.pw_name, sockets=cluster.folder, port=cluster.primary.port,
                                   programs=cluster.programs))  # fmt: skip
    cluster.spawner.own(conf)
    # Barman runs as its own user alone, also when the scratch server asks it for WAL
    as_user = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--keep-groups")
    words = (*(as_user if os.geteuid() == 0 else ()), program, "-c", str(conf))
    tool = Tool(running, cluster, folder, words, {"kind": "barman", "server": "shop"})
    cluster.primary.configure(archive_command=f"cp %p {incoming}/%f")
    archived(cluster, 1)
    tool.run("archive-wal", "shop")
    tool.run("backup", "shop")
    archived(cluster, 3)
    tool.run("archive-wal", "shop")
    return tool


def test_a_server_of_barman(barman: Tool) -> None:
    judged = barman.judged()
    assert (judged.age, judged.manifest, judged.wal) == ("passed", "passed", "passed")
    backups, archive = judged.backups, judged.archive
    (one,) = backups.found
    assert (one.kind, one.problem, backups.complaints, backups.running) == ("full", "", (), 0)
    assert one.size is not None
    assert one.size > 20_000_000
    assert (archive.missing, archive.complaints) == ((), ())
    assert archive.needed >= 3


def test_tablespaces_of_barman_stay_where_they_are(barman: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Barman writes over the live ones: it is asked first, and told to do nothing."""
    started: list[Any] = []
    monkeypatch.setattr(fetch, "guarded", lambda *given: started.append(given))
    monkeypatch.setattr(fetch, "barman_tablespaces", lambda *_: [{"name": "fast", "location": "/live"}])
    problem = problem_of(lambda: barman.find("postgres-restore"))
    assert "has tablespaces" in problem.message
    assert started == []


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare; install: apt-get install util-linux")
def test_a_restore_by_barman(barman: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shut in without bubblewrap; with it, pgBackRest is."""
    monkeypatch.setattr(write_guard, "guarded_by", lambda: "unshare")
    run: RestoreRun = barman.find("postgres-restore")
    assert (run.wrong, run.tables) == ((), 9)


def test_without_namespaces_barman_does_not_restore(barman: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    not_shut_in(barman, monkeypatch)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text.replace("status=DONE", "status=FAILED"), "Barman says FAILED"),
        (lambda text: re.sub(r"(begin|end)_time=20(\d\d)", r"\1_time=19\2", text), ""),
    ],
    ids=["failed", "old"],
)
def test_a_backup_of_barman_that_does_not_count(barman: Tool, change: Callable[[str], str], expected: str) -> None:
    (info,) = (barman.folder / "shop" / "base").glob("*/backup.info")
    with changed(info, lambda path: path.write_text(change(path.read_text()))):
        backups: Backups = barman.find("postgres-backups")
        archiving: Archiving = barman.find("postgres-archiving")
        assert [each.problem for each in backups.found] == [expected]
        assert outcome(recent, backups, postgres_archiving=archiving) == "failed"


def test_a_backup_of_barman_whose_files_are_damaged(barman: Tool, cluster: Cluster) -> None:
    path = str(cluster.primary.ask("select pg_relation_filepath('payments')"))
    (file,) = (barman.folder / "shop" / "base").glob(f"*/data/{path}")
    with changed(file, lambda path: heap_page.flip(path, 8192 - 40)):
        verified: Verification = barman.find("postgres-backup-verification")
        assert [each.good for each in verified.backups] == [False]
        assert path in verified.backups[0].said


def test_a_server_of_barman_that_lacks_wal(barman: Tool) -> None:
    """Barman lists what its own list names, whether the file is there or not."""
    files = sorted(each for each in (barman.folder / "shop" / "wals").rglob("*") if len(each.name) == 24)
    with changed(files[-2], Path.unlink):
        archive: WalArchive = barman.find("postgres-wal-archive")
        assert archive.missing == (files[-2].name,)
    given = barman.context().environment.postgres["shop"].backups
    assert given is not None
    history = files[0].parents[1] / "00000002.history"
    history.write_text("1\t0/5000000\tno recovery target specified\n")
    assert barman_wal(given, history.name, barman.folder, Deadline(60)) == history.read_text()
    with pytest.raises(ValueError, match=r"00000003\.history"):
        barman_wal(given, "00000003.history", barman.folder, Deadline(60))
    history.unlink()


def test_a_server_of_barman_of_another_cluster(barman: Tool) -> None:
    def change(path: Path) -> None:
        known = json.loads(path.read_text())
        path.write_text(json.dumps({**known, "systemid": "7000000000000000001"}))

    with changed(barman.folder / "shop" / "identity.json", change):
        backups: Backups = barman.find("postgres-backups")
    assert ["systemid_coherence" in each for each in backups.complaints] == [True]
    assert outcome(recent, backups, postgres_archiving=barman.find("postgres-archiving")) == "failed"


_STREAMING = """\
[barman]
barman_home={folder}
barman_user={user}
barman_lock_directory={folder}
log_file={folder}/log
path_prefix={programs}
[streamed]
description=streamed
conninfo=host={sockets} port={port} user=postgres dbname=postgres
streaming_conninfo=host={sockets} port={port} user=postgres
backup_method=postgres
archiver=off
streaming_archiver=on
slot_name=barman
create_slot=auto
"""


@pytest.fixture
def streaming(running: Stores, cluster: Cluster) -> Iterator[Tool]:
    """A server of Barman that streams alone, archive_mode off, as Barman recommends (barman#720, #88)."""
    program = program_path("barman")
    folder = cluster.spawner.folder(cluster.folder / "streamed")
    primary, conf = cluster.primary, folder / "barman.conf"
    archived = primary.settings["archive_mode"]
    primary.stop()
    primary.settings["archive_mode"] = "off"
    primary.start()
    conf.write_text(_STREAMING.format(
        folder=folder, user=pwd.getpwuid(os.getuid()).pw_name, programs=cluster.programs, sockets=cluster.folder,
        port=primary.port,
    ))  # fmt: skip
    words = (program, "-c", str(conf))
    tool = Tool(running, cluster, folder, words, {"kind": "barman", "server": "streamed"})
    tool.run("receive-wal", "--create-slot", "streamed")
    receiver = subprocess.Popen([*words, "receive-wal", "streamed"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    try:
        until(lambda: cluster.primary.ask("select active from pg_replication_slots"), "Barman receives WAL", 30)
        tool.receiver = receiver.pid
        yield tool
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(receiver.pid, signal.SIGKILL)
        receiver.wait(10)
        until(lambda: not cluster.primary.ask("select bool_or(active) from pg_replication_slots"), "it is gone", 30)
        cluster.primary.ask("select pg_drop_replication_slot('barman')")
        primary.stop()
        primary.settings["archive_mode"] = archived
        primary.start()


def test_a_server_of_barman_that_streams_alone(streaming: Tool, cluster: Cluster) -> None:
    cluster.primary.ask(SWITCH_WAL)
    streaming.run("switch-wal", "--force", "--archive", "--archive-timeout", "30", "streamed")
    streaming.run("backup", "streamed", "--wait")
    cluster.primary.ask(SWITCH_WAL)
    archiving: Archiving = streaming.find("postgres-archiving")
    assert (archiving.mode, archiving.receiver) == ("off", "barman")
    assert outcome(backlog, archiving) == "passed"
    archive: WalArchive = streaming.find("postgres-wal-archive")
    assert outcome(leads_on, archive, postgres_archiving=archiving) == "passed"
    os.killpg(streaming.receiver, signal.SIGKILL)
    until(lambda: not cluster.primary.ask("select bool_or(active) from pg_replication_slots"), "it is gone", 30)
    archiving = streaming.find("postgres-archiving")
    assert outcome(backlog, archiving) == "failed"
    assert outcome(leads_on, archive, postgres_archiving=archiving) == "failed"
