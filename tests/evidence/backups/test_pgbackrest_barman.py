"""Backups that pgBackRest and Barman really made, of a real cluster, and what is wrong with them."""

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres import heap_page
from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.runtime.waiting import until
from pytest_prodcheck.evidence.backups.pgbackrest_barman import (
    barman_wal,
    pgbackrest_file,
    pgbackrest_info,
    pgbackrest_wal,
)
from pytest_prodcheck.evidence.backups.wal_archive import listing_of
from pytest_prodcheck.evidence.backups.wal_names import HistoryEntry
from pytest_prodcheck.evidence.content.recording import record_content
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.restore import fetch
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.evidence.tools import landlock, write_guard
from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.records.backups import Archiving, Backups, RestoreRun, Verification, WalArchive
from suites.data_integrity.test_backups import test_the_newest_backup_is_whole as whole
from suites.data_integrity.test_backups import test_wal_leads_on_without_a_gap as leads_on
from suites.pre_deploy.test_backups import test_finished_wal_is_archived as backlog
from suites.pre_deploy.test_backups import test_the_last_backup_is_recent as recent
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.stores import Stores, address_of
from tests.suites.test_data_integrity import outcome

_SWITCH = "select pg_walfile_name(pg_switch_wal()) from (select pg_logical_emit_message(false, 'demo', 'x')) as m"


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


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}; install: apt-get install {name}")
    return found


def _archived(cluster: Cluster, count: int) -> list[str]:
    """Finishes so many WAL files; returns their names when they are archived."""
    names = [str(cluster.primary.ask(_SWITCH)) for _ in range(count)]
    done = "select last_archived_wal >= %s from pg_stat_archiver"
    until(lambda: cluster.primary.ask(done, names[-1]), "WAL is archived", 30)
    return names


@contextlib.contextmanager
def _changed(path: Path, change: Callable[[Path], Any]) -> Iterator[None]:
    content, owner = path.read_bytes(), path.stat()
    change(path)
    try:
        yield
    finally:
        path.write_bytes(content)
        os.chown(path, owner.st_uid, owner.st_gid)


def _other_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# -- pgBackRest

_PGBACKREST = """\
[global]
repo1-path={folder}/repo
lock-path={folder}/lock
spool-path={folder}/spool
log-level-file=off
log-level-console=warn
start-fast=y
compress-level=1
repo1-retention-full=2
[shop]
pg1-path={data}
pg1-port={port}
pg1-socket-path={sockets}
pg1-user=postgres
[other]
pg1-path={folder}/other
"""


@pytest.fixture(scope="module")
def pgbackrest(running: Stores, cluster: Cluster) -> Tool:
    program = _program("pgbackrest")
    folder = cluster.spawner.folder(cluster.folder / "pgbackrest")
    for name in ("repo", "lock", "spool"):
        cluster.spawner.folder(folder / name)
    conf, primary = folder / "pgbackrest.conf", cluster.primary
    conf.write_text(_PGBACKREST.format(folder=folder, data=primary.data, port=primary.port, sockets=cluster.folder))
    cluster.spawner.own(conf)
    words = (program, f"--config={conf}")
    tool = Tool(running, cluster, folder, words, {"kind": "pgbackrest", "stanza": "shop"})
    as_server(tool, "--stanza=shop", "stanza-create")
    primary.configure(archive_command=f"{program} --config={conf} --stanza=shop archive-push %p")
    as_server(tool, "--stanza=shop", "--type=full", "backup")
    return tool


def as_server(tool: Tool, *what: str) -> None:
    """Runs pgBackRest as the user whom the cluster is of."""
    tool.cluster.spawner.run([*tool.words, *what], tool.folder / "log", 120)


def test_a_stanza_and_a_restore_from_it(pgbackrest: Tool, cluster: Cluster) -> None:
    with cluster.primary.connect() as connection, cluster.primary.connect() as witness:
        (cluster.records / "tool.json").write_text(record_content(connection, witness).text())
    _archived(cluster, 1)
    judged = pgbackrest.judged()
    assert (judged.age, judged.manifest, judged.wal) == ("passed", "passed", "passed")
    backups = judged.backups
    (one,) = backups.found
    assert (one.kind, one.problem, backups.complaints, backups.running) == ("full", "", (), 0)
    assert one.system_identifier == str(cluster.primary.ask("select system_identifier from pg_control_system()"))
    restore = {"folder": "pg/scratch", "check": "database", "record": "pg/records/tool.json"}
    run: RestoreRun = pgbackrest.find("postgres-restore", restore=restore)
    assert (run.wrong, len(run.compared), run.label) == ((), 9, one.label)


ELSEWHERE = """#!/bin/bash
[ "$PGBACKREST_PROCESS_MAX" = 2 ] || exit 91
[ -z "$PRODCHECK_CANARY" ] || exit 92
for place in {places}; do (echo x > "$place/owned") 2>/dev/null; done
cat /proc/{pid}/environ > /dev/null 2>&1 && exit 93
exec {program} "$@"
"""


@pytest.mark.skipif(bool(why_unavailable()), reason=f"restores cannot be shut in here: {why_unavailable()}")
@pytest.mark.parametrize("by", ["bwrap", "unshare", "landlock"])
def test_what_it_is_asked_and_a_restore_write_nowhere_else(
    pgbackrest: Tool, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """A program in its place tries what a manifest with other paths would have it do, then is pgBackRest."""
    if by == "landlock" and (os.geteuid() == 0 or not landlock.usable()):
        pytest.skip("Landlock shuts in ordinary users' tools, with Linux 6.2 and newer")
    if by != "landlock" and shutil.which(by) is None:
        pytest.skip(f"no {by}; install: apt-get install {'bubblewrap' if by == 'bwrap' else 'util-linux'}")
    monkeypatch.setattr(write_guard, "guarded_by", lambda: by)
    places = [tmp_path, cluster.primary.data, pgbackrest.folder / "repo", pgbackrest.running.place, Path("/etc")]
    monkeypatch.setenv("PGBACKREST_PROCESS_MAX", "2")
    monkeypatch.setenv("PRODCHECK_CANARY", "canary")
    script = tmp_path / "pgbackrest"
    script.write_text(ELSEWHERE.format(
        places=" ".join(map(str, places)), pid=os.getpid(), program=pgbackrest.words[0]
    ))  # fmt: skip
    script.chmod(0o755)
    tool = Tool(pgbackrest.running, cluster, pgbackrest.folder, (str(script), *pgbackrest.words[1:]),
                pgbackrest.declared)  # fmt: skip
    judged = tool.judged()
    assert (judged.age, judged.manifest, judged.wal) == ("passed", "passed", "passed")
    run: RestoreRun = tool.find("postgres-restore")
    assert (run.wrong, run.tables) == ((), 9)
    assert [each for each in places if (each / "owned").exists()] == []


def test_what_is_asked_without_namespaces_is_told(pgbackrest: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_guard, "guarded_by", lambda: "bwrap")
    monkeypatch.setattr(write_guard, "why_unavailable", lambda: "bwrap is not installed (apt-get install bubblewrap)")
    deadline = Deadline(60)
    assert find("postgres-backups").gather("shop", pgbackrest.context(), deadline).found
    assert [each for each in deadline.notes if "can write where this user may" in each]


def test_without_namespaces_pgbackrest_does_not_restore(pgbackrest: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    not_shut_in(pgbackrest, monkeypatch)
    restore = {"folder": "pg/scratch", "check": "database", "unconfined": True}
    run: RestoreRun = pgbackrest.find("postgres-restore", restore=restore)
    assert (run.wrong, run.confined) == ((), False)


def not_shut_in(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule of dumps: errored with what to install; accepted, it is told in the verdict."""
    monkeypatch.setattr(write_guard, "guarded_by", lambda: "bwrap")
    monkeypatch.setattr(write_guard, "why_unavailable", lambda: "bwrap is not installed (apt-get install bubblewrap)")
    problem = problem_of(lambda: tool.find("postgres-restore"))
    assert "cannot be kept from writing them: bwrap is not installed (apt-get install bubblewrap)" in problem.message
    assert "backups.restore.unconfined = true" in (problem.hint or "")


@pytest.mark.parametrize(("words", "root", "why"), [
    (("sudo", "-u", "postgres", "pgbackrest"), False, "sudo becomes another user"),
    (("sudo", "-u", "postgres", "pgbackrest"), True, ""), (("ssh", "backup-1", "barman"), False, ""),
    (("/opt/bin/pgbackrest",), False, ""), (("our-wrapper",), False, ""),
])  # fmt: skip
def test_which_tools_can_be_shut_in(
    words: tuple[str, ...], root: bool, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_guard, "why_unavailable", lambda: "")
    monkeypatch.setattr("os.geteuid", lambda: 0 if root else 1000)
    assert write_guard.why_unguarded(words).startswith(why)
    assert bool(write_guard.why_unguarded(words)) == bool(why)


def test_a_stanza_that_is_too_old(pgbackrest: Tool) -> None:
    backups: Backups = pgbackrest.find("postgres-backups", expect={"any": "1d"})
    archiving: Archiving = pgbackrest.find("postgres-archiving")
    for days, expected in ((0.0, "passed"), (1.6, "warned"), (3.0, "failed")):
        later = replace(backups, now=backups.now + days * 86400)
        assert outcome(recent, later, postgres_archiving=archiving) == expected


def test_a_backup_with_damaged_pages(pgbackrest: Tool, cluster: Cluster) -> None:
    """PgBackRest finishes it, ends with 0 and lists it: only its `error` tells."""
    cluster.primary.ask("checkpoint")
    path = cluster.primary.data / str(cluster.primary.ask("select pg_relation_filepath('payments')"))
    heap_page.flip(path, 8192 - 40)
    try:
        as_server(pgbackrest, "--stanza=shop", "--type=incr", "backup")
    finally:
        heap_page.flip(path, 8192 - 40)
    newest = pgbackrest.find("postgres-backups").found[-1]
    try:
        assert (newest.kind, newest.problem) == ("incremental", "pgBackRest found damaged pages in it")
        backups: Backups = pgbackrest.find("postgres-backups")
        archiving: Archiving = pgbackrest.find("postgres-archiving")
        assert outcome(recent, backups, postgres_archiving=archiving) == "passed"  # the one before it can be restored
        none = Verification("pgbackrest verify", (), 0.0)
        assert outcome(whole, backups, postgres_backup_verification=none, postgres_archiving=archiving) == "failed"
    finally:
        as_server(pgbackrest, "--stanza=shop", f"--set={newest.label}", "expire")
    assert [each.kind for each in pgbackrest.find("postgres-backups").found] == ["full"]


def test_a_stanza_that_lacks_wal(pgbackrest: Tool, cluster: Cluster) -> None:
    """`pgbackrest verify` says of a gap: status ok, missing 0."""
    lost = _archived(cluster, 3)[1]
    (file,) = (pgbackrest.folder / "repo").rglob(f"{lost}-*.gz")
    with _changed(file, Path.unlink):
        archive: WalArchive = pgbackrest.find("postgres-wal-archive")
        assert (archive.missing, archive.complaints) == ((lost,), ())


def test_history_files_are_read_through_the_tools(pgbackrest: Tool, cluster: Cluster) -> None:
    """A failover leaves one: without it WAL on the new timeline seems to come from nowhere."""
    path = cluster.primary.data / "pg_wal" / "00000002.history"
    path.write_text("1\t0/5000000\tno recovery target specified\n")
    cluster.spawner.own(path)
    as_server(pgbackrest, "--stanza=shop", "archive-push", str(path))
    path.unlink()
    given = pgbackrest.context().environment.postgres["shop"].backups
    assert given is not None
    info = pgbackrest_info(given, pgbackrest.folder, Deadline(60))
    of = info["backup"][0]["database"]
    names = pgbackrest_wal(given, info, of, pgbackrest.folder, Deadline(60))
    first = str(info["backup"][0]["archive"]["start"])

    def read(name: str) -> str:
        return pgbackrest_file(given, info, of, names[name], pgbackrest.folder, Deadline(60))

    listing = listing_of(names, first, read)
    assert listing.histories == {2: (HistoryEntry(1, 0x5000000),)}
    assert first in listing.segments


def test_a_stanza_whose_files_are_damaged(pgbackrest: Tool) -> None:
    label = pgbackrest.find("postgres-backups").found[-1].label
    files = (pgbackrest.folder / "repo" / "backup" / "shop" / label).rglob("*.gz")
    file = max(files, key=lambda one: one.stat().st_size)
    with _changed(file, _other_byte):
        verified: Verification = pgbackrest.find("postgres-backup-verification")
        assert [(each.label, each.good) for each in verified.backups] == [(label, False)]


def test_a_stanza_without_backups_and_one_of_another_cluster(pgbackrest: Tool, cluster: Cluster) -> None:
    gone: Backups = pgbackrest.find("postgres-backups", stanza="nowhere")
    assert (gone.found, "missing stanza path" in gone.complaints[0]) == ((), True)
    options: list[str | Path] = ["-D", pgbackrest.folder / "other", "-U", "postgres", "-N", "-E", "UTF8", "--locale=C"]
    cluster.spawner.run([cluster.programs / "initdb", *options], pgbackrest.folder / "log")
    as_server(pgbackrest, "--stanza=other", "--no-online", "stanza-create")
    none: Backups = pgbackrest.find("postgres-backups", stanza="other")
    assert (none.found, "no valid backups" in none.complaints[0]) == ((), True)
    archiving: Archiving = pgbackrest.find("postgres-archiving")
    assert outcome(recent, none, postgres_archiving=archiving) == "failed"
    as_server(pgbackrest, "--stanza=other", "--no-online", "--type=full", "backup")
    other: Backups = pgbackrest.find("postgres-backups", stanza="other")
    assert [each.problem for each in other.found] == [""]
    assert outcome(recent, other, postgres_archiving=archiving) == "failed"


def test_two_repositories_of_which_one_is_encrypted(pgbackrest: Tool, cluster: Cluster) -> None:
    """Backups of both count, each with the WAL of its own repository; `verify` has to be asked of each."""
    folder, primary, program = pgbackrest.folder, cluster.primary, pgbackrest.words[0]
    conf = folder / "two.conf"
    text = (folder / "pgbackrest.conf").read_text()
    second = f"repo2-path={cluster.spawner.folder(folder / 'repo2')}\nrepo2-retention-full=2\n" \
             "repo2-cipher-type=aes-256-cbc\nrepo2-cipher-pass=not-a-secret\n"  # fmt: skip
    conf.write_text(text.replace("[shop]", second + "[shop]", 1))
    cluster.spawner.own(conf)
    two = replace(pgbackrest, words=(program, f"--config={conf}"))
    as_server(two, "--stanza=shop", "stanza-create")
    primary.configure(archive_command=f"{program} --config={conf} --stanza=shop archive-push %p")
    try:
        as_server(two, "--stanza=shop", "--repo=2", "--type=full", "backup")
        _archived(cluster, 1)
        judged = two.judged()
        newest = judged.backups.found[-1]
        assert (judged.age, judged.manifest, judged.wal) == ("passed", "passed", "passed")
        assert newest.label == judged.archive.label
        assert judged.backups.complaints == ()
        run: RestoreRun = two.find("postgres-restore")
        assert (run.wrong, run.label) == ((), newest.label)
        segment = next(each for each in sorted(folder.glob("repo2/archive/shop/*/*/0*")) if "backup" not in each.name)
        with _changed(segment, lambda path: path.write_bytes(b"x" * 100)):
            damaged = problem_of(lambda: two.find("postgres-wal-archive"))
        assert "verify" in damaged.message
        assert "cipher" in damaged.message
    finally:
        one = f"{program} --config={folder / 'pgbackrest.conf'} --stanza=shop archive-push %p"
        primary.configure(archive_command=one)


# -- Barman

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
    program = _program("barman")
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
    _archived(cluster, 1)
    tool.run("archive-wal", "shop")
    tool.run("backup", "shop")
    _archived(cluster, 3)
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
def test_a_backup_of_barman_that_does_not_count(
    barman: Tool, change: Callable[[str], str], expected: str
) -> None:
    (info,) = (barman.folder / "shop" / "base").glob("*/backup.info")
    with _changed(info, lambda path: path.write_text(change(path.read_text()))):
        backups: Backups = barman.find("postgres-backups")
        archiving: Archiving = barman.find("postgres-archiving")
        assert [each.problem for each in backups.found] == [expected]
        assert outcome(recent, backups, postgres_archiving=archiving) == "failed"


def test_a_backup_of_barman_whose_files_are_damaged(barman: Tool, cluster: Cluster) -> None:
    path = str(cluster.primary.ask("select pg_relation_filepath('payments')"))
    (file,) = (barman.folder / "shop" / "base").glob(f"*/data/{path}")
    with _changed(file, lambda path: heap_page.flip(path, 8192 - 40)):
        verified: Verification = barman.find("postgres-backup-verification")
        assert [each.good for each in verified.backups] == [False]
        assert path in verified.backups[0].said


def test_a_server_of_barman_that_lacks_wal(barman: Tool) -> None:
    """Barman lists what its own list names, whether the file is there or not."""
    files = sorted(each for each in (barman.folder / "shop" / "wals").rglob("*") if len(each.name) == 24)
    with _changed(files[-2], Path.unlink):
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

    with _changed(barman.folder / "shop" / "identity.json", change):
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
    program = _program("barman")
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
    cluster.primary.ask(_SWITCH)
    streaming.run("switch-wal", "--force", "--archive", "--archive-timeout", "30", "streamed")
    streaming.run("backup", "streamed", "--wait")
    cluster.primary.ask(_SWITCH)
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
