"""Archiving designs other than an archive_command."""

from __future__ import annotations

import pytest

from pytest_prodcheck.demo.runtime.programs import postgres_programs
from pytest_prodcheck.demo.runtime.waiting import until
from suites.pre_deploy.test_backups import test_finished_wal_is_archived as backlog
from tests.evidence.contexts import gather
from tests.evidence.postgres.servers import server
from tests.judged import outcomes

_SWITCH = "select pg_switch_wal() from (select pg_logical_emit_message(false, 'demo', 'x')) as m"


def test_an_archive_library() -> None:
    """PostgreSQL 15 and newer: basic_archive instead of a command; archive_command is empty, and that is well."""
    programs = postgres_programs()
    if not (programs.parent / "lib" / "basic_archive.so").exists():
        pytest.skip("this server has no basic_archive (PostgreSQL 15 and newer have)")
    with server(programs, archive_mode="on", archive_command="") as postgres:
        node, folder = postgres.node, postgres.spawner.folder(postgres.place / "library")
        node.configure(**{"archive_library": "basic_archive", "basic_archive.archive_directory": str(folder)})
        backups = {"kind": "basebackup", "folder": "b", "archive": str(folder)}
        given = postgres.context(backups=backups)
        postgres.grant(given)
        node.ask(_SWITCH)
        until(lambda: node.ask("select archived_count > 0 from pg_stat_archiver"), "WAL is archived", 30)
        assert outcomes(backlog, gather("postgres-archiving", "shop", given)) == "passed"
        node.configure(**{"basic_archive.archive_directory": str(folder / "gone")})
        node.ask(_SWITCH)
        ready = "select count(*) > 0 from pg_ls_archive_statusdir() where name like '%.ready'"
        until(lambda: node.ask(ready), "it waits")
        archiving = gather("postgres-archiving", "shop", postgres.context(backups=backups))
    assert archiving.waiting == 1


def test_a_command_that_keeps_nothing() -> None:
    """paunin/PostDock#220, pgbackrest#2456, #524: switched off without a restart: no file ever waits, none is kept."""
    with server(postgres_programs(), archive_mode="on", archive_command="/bin/true") as postgres:
        backups = {"kind": "basebackup", "folder": "b", "archive": "a"}
        given = postgres.context(backups=backups)
        postgres.grant(given)
        postgres.node.ask(_SWITCH)
        until(lambda: postgres.node.ask("select archived_count > 0 from pg_stat_archiver"), "it is told as archived")
        assert "archive_command keeps no copy" in outcomes(backlog, gather("postgres-archiving", "shop", given))
        streamed = postgres.context(backups={**backups, "receiver": "pg_receivewal"})
        assert "pg_receivewal is not connected" in outcomes(backlog, gather("postgres-archiving", "shop", streamed))
        postgres.node.configure(archive_command="")
        nothing = outcomes(backlog, gather("postgres-archiving", "shop", postgres.context(backups=backups)))
        assert "archive_command keeps no copy" in nothing
        postgres.node.configure(archive_command="cp %p /nowhere/%f")
        assert outcomes(backlog, gather("postgres-archiving", "shop", postgres.context(backups=backups))) == "passed"


def test_a_receiver_that_is_declared() -> None:
    """archive_mode off, and pg_receivewal named in `receiver`: without it nothing reaches the archive."""
    with server(postgres_programs(), archive_mode="off") as postgres:
        backups = {"kind": "basebackup", "folder": "b", "archive": "a"}
        given = postgres.context(backups=backups)
        postgres.grant(given)
        assert "backups.receiver" in outcomes(backlog, gather("postgres-archiving", "shop", given))
        given = postgres.context(backups={**backups, "receiver": "pg_receivewal"})
        said = outcomes(backlog, gather("postgres-archiving", "shop", given))
    assert "pg_receivewal is not connected" in said
