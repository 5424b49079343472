"""Hostile dumps and base backups on the versions of PostgreSQL that wheels bring, beside the demo's own (15)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from tests.evidence.postgres.servers import PASSWORD, WHEELS, Server, installed, server
from tests.evidence.restore import traps
from tests.evidence.restore.as_user import CANARY, Outcome
from tests.evidence.restore.traps import SWALLOWED, TABLE, Trap

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=f"restores cannot be shut in here: {why_unavailable()}")
ON_DDL = """
create function public.on_ddl() returns event_trigger language plpgsql as $$ begin
  begin execute 'copy (select 1) to program ''id > LOOT/owned'''; exception when others then null; end;
  raise exception 'an event trigger ran'; end $$;
create event trigger on_ddl on ddl_command_start execute function public.on_ddl();
create event trigger on_login on login execute function public.on_ddl();
alter event trigger on_login enable always;
"""
# what fits a call of amcheck better than its own functions, by each version's arguments
_SAYS = "returns void language plpgsql as $$begin raise exception 'called'; end$$;\n"
BESIDE_AMCHECK = "".join(
    f"create function public.bt_index_check(index oid, heapallindexed boolean{more}) {_SAYS}"
    for more in ("", ", checkunique boolean")
)


@dataclass
class Version:
    """A server of one version, with archived WAL and a database that somebody without rights has laid traps in."""

    shop: Server
    archive: Path


@pytest.fixture(scope="module", params=sorted(WHEELS))
def version(request: pytest.FixtureRequest) -> Iterator[Version]:
    programs = installed().get(request.param)
    if programs is None:
        pytest.skip(f"no PostgreSQL {request.param}; install: pip install {WHEELS[request.param][1]}")
    archive = {"archive_mode": "on", "archive_command": "cp %p ../../archive/%f", "wal_level": "replica"}
    with server(programs, **archive) as shop:
        place = shop.spawner.folder(shop.place / "archive")
        shop.run(f"alter role postgres password '{PASSWORD}'")
        yield Version(shop, place)


@pytest.fixture
def trap(version: Version, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Trap]:
    cluster = SimpleNamespace(primary=version.shop.node, archive=version.archive)
    made = traps.trapped(traps.USERS[-1], cast(Any, cluster), PASSWORD)
    with made as found:
        found.more = {"user": "postgres"}
        yield found


def test_a_dump(version: Version, trap: Trap) -> None:
    """Loaded as a superuser, which gives up the loader's boundary: event triggers, programs, namesakes of amcheck's."""
    text = SWALLOWED.replace("LOOT", str(trap.loot)).replace("PLACE", str(trap.place))
    text = f"CREATE SCHEMA app;\n{text};\n{TABLE}{ON_DDL.replace('LOOT', str(trap.loot))}"
    found: Outcome = trap.dump(
        "CREATE EXTENSION amcheck WITH SCHEMA public;\n" + BESIDE_AMCHECK + text, as_superuser=True,
        programs=str(version.shop.programs),
    )  # fmt: skip
    assert found.good, found
    assert found.tables == 3
    assert "not restored, for it would act: 3 event trigger" in found.notes


def test_a_base_backup(version: Version, trap: Trap) -> None:
    """Event triggers, also of logins (17 and newer), and settings of roles and of the server: none acts."""
    shop, made = version.shop, version.shop.spawner.folder(version.shop.place / "backups") / "monday"
    with shop.node.connect() as connection:
        connection.execute("create table t as select 1 as i")
        connection.execute("alter role postgres in database shop set statement_timeout = '1ms'")
        connection.execute("alter role postgres set search_path = public, pg_catalog")
        connection.execute("create function public.count(text) returns bigint language sql as 'select 1::bigint'")
        connection.execute(ON_DDL.replace("LOOT", str(trap.loot)).replace("raise exception", "raise log"))
    reach = f"host=127.0.0.1 port={shop.node.port} user=postgres password={PASSWORD}"
    words: list[Any] = [shop.programs / "pg_basebackup", "-d", reach, "-D", made, "-c", "fast", "-X", "fetch"]
    shop.spawner.run(words, shop.place / "log")
    with shop.node.connect("postgres") as connection:  # not in shop: a millisecond may be too short to drop anything
        connection.execute("alter role postgres in database shop reset all; alter role postgres reset all")
    with shop.node.connect() as connection:
        connection.execute("set event_triggers = off; drop event trigger on_login; drop event trigger on_ddl")
    for each in trap.loot.iterdir():
        each.unlink()  # the source's own logins and DDL fired them too
    (trap.place / "base").mkdir()
    base = trap.place / "base" / "monday"
    shutil.copytree(made, base, symlinks=True)
    evil = f"archive_mode = on\narchive_command = 'id > {trap.loot}/owned'\nlisten_addresses = '*'\n"
    evil += f"restore_command = 'id > {trap.loot}/owned'\nshared_preload_libraries = 'evil'\n"
    for name in ("postgresql.conf", "postgresql.auto.conf"):
        (base / name).write_text(evil)
    (base / "standby.signal").write_text("")
    found = trap.run("basebackup", "base", programs=str(shop.programs))
    assert (found.wrong, found.problem) == ((), ""), found
    assert found.tables >= 1
    assert CANARY not in found.text
