"""Backups that pgBackRest really made, of a real cluster, and what is wrong with them."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_prodcheck.demo.postgres import heap_page
from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.evidence.backups.pgbackrest_barman import (
    pgbackrest_file,
    pgbackrest_info,
    pgbackrest_wal,
)
from pytest_prodcheck.evidence.backups.wal_archive import listing_of
from pytest_prodcheck.evidence.backups.wal_names import HistoryEntry
from pytest_prodcheck.evidence.content.recording import record_content
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.evidence.tools import landlock, write_guard
from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.records.backups import Archiving, Backups, RestoreRun, Verification, WalArchive
from suites.data_integrity.test_backups import test_the_newest_backup_is_whole as whole
from suites.pre_deploy.test_backups import test_the_last_backup_is_recent as recent
from tests.evidence.backups.backup_tools import (
    Tool,
    archived,
    changed,
    cluster,
    not_shut_in,
    other_byte,
    program_path,
)
from tests.evidence.contexts import problem_of
from tests.evidence.stores import Stores
from tests.suites.test_data_integrity import outcome

__all__ = ["cluster"]


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
    program = program_path("pgbackrest")
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
    archived(cluster, 1)
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
    lost = archived(cluster, 3)[1]
    (file,) = (pgbackrest.folder / "repo").rglob(f"{lost}-*.gz")
    with changed(file, Path.unlink):
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
    with changed(file, other_byte):
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
        archived(cluster, 1)
        judged = two.judged()
        newest = judged.backups.found[-1]
        assert (judged.age, judged.manifest, judged.wal) == ("passed", "passed", "passed")
        assert newest.label == judged.archive.label
        assert judged.backups.complaints == ()
        run: RestoreRun = two.find("postgres-restore")
        assert (run.wrong, run.label) == ((), newest.label)
        segment = next(each for each in sorted(folder.glob("repo2/archive/shop/*/*/0*")) if "backup" not in each.name)
        with changed(segment, lambda path: path.write_bytes(b"x" * 100)):
            damaged = problem_of(lambda: two.find("postgres-wal-archive"))
        assert "verify" in damaged.message
        assert "cipher" in damaged.message
    finally:
        one = f"{program} --config={folder / 'pgbackrest.conf'} --stanza=shop archive-push %p"
        primary.configure(archive_command=one)
