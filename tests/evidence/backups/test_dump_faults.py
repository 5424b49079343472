"""The fault matrix of dumps: real files of pg_dump, each broken in one way, judged by the checks of backups.

Not in the demo, where a second cluster that is dumped and loaded would make each of its runs two seconds longer.
"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.faults.fault import Fault
from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.records import EvidenceProblem
from suites.data_integrity.test_backups import test_a_backup_comes_up as comes_up
from suites.data_integrity.test_backups import test_the_newest_backup_is_whole as whole
from suites.pre_deploy.test_backups import test_the_last_backup_has_its_usual_size as usual
from suites.pre_deploy.test_backups import test_the_last_backup_is_recent as recent
from tests.evidence.contexts import context, gather
from tests.evidence.stores import Stores, address_of
from tests.suites.test_data_integrity import outcome

AGE, SIZE, MANIFEST, RESTORE = "age", "size", "manifest", "restore"
HOUR = 3600.0


class Dumps:
    """The folder of nightly dumps: three good ones, and the newest, which a fault is made of."""

    def __init__(self, running: Stores, cluster: Cluster, form: str) -> None:
        self.running, self.cluster, self.form = running, cluster, form
        self.folder = cluster.folder / f"dumps-{form}"
        cluster.spawner.folder(self.folder)
        self.newest = self.folder / f"shop-4.{'sql.gz' if form == 'plain' else 'dump'}"
        self.dump()
        self.good = self.newest.read_bytes()

    def fresh(self) -> None:
        """All good, the newest of now."""
        for each in self.folder.iterdir():
            each.unlink()
        self.newest.write_bytes(self.good)
        for days in (1, 2, 3):
            earlier = self.folder / self.newest.name.replace("4", str(4 - days))
            earlier.write_bytes(self.good)
            os.utime(earlier, (time.time() - days * 24 * HOUR,) * 2)

    def dump(self, *options: str, database: str = "shop") -> None:
        """The newest one, by pg_dump."""
        made = self.folder / "made.tmp"
        words: list[str | Path] = [self.cluster.programs / "pg_dump", "-h", self.cluster.folder, "-U", "postgres", "-f"]
        words += [made, "-p", str(self.cluster.primary.port), f"--format={self.form}", *options, database]
        self.cluster.spawner.run(words, self.cluster.folder / "dump.log")
        content = made.read_bytes()
        made.unlink()
        self.newest.write_bytes(gzip.compress(content) if self.form == "plain" else content)

    def red(self, restored: bool = True) -> dict[str, str]:
        """Which checks do not pass, and how they come out. restored: the check that restores is one of them."""
        backups = {"kind": "dump", "folder": str(self.folder), "pattern": "shop-*",
                   "restore": {"folder": "pg/scratch", "check": "database"}}  # fmt: skip
        settings = {
            "nodes": [address_of("db-1", self.cluster.nodes[0].entrance)], "database": "shop", "tls": {"ca": "ca.pem"},
            "password": {"file": self.running.known.postgres}, "backups": backups,
        }  # fmt: skip
        given = context(self.running.place, nameserver=self.running.nameserver, postgres={"shop": settings})

        def find(name: str) -> Any:
            return gather(name, "shop", given, 60)

        def listed() -> tuple[Any, dict[str, Any]]:
            return find("postgres-backups"), {"postgres_archiving": find("postgres-archiving")}

        def judged(check: Callable[..., None], look: Callable[[], tuple[Any, dict[str, Any]]]) -> str:
            try:
                record, more = look()
            except EvidenceProblem:
                return "errored"
            return outcome(check, record, **more)

        found = {
            AGE: judged(recent, listed), SIZE: judged(usual, listed),
            MANIFEST: judged(whole, lambda: (find("postgres-backups"), {
                "postgres_backup_verification": find("postgres-backup-verification"), **listed()[1]})),
        }  # fmt: skip
        if restored:
            found[RESTORE] = judged(comes_up, lambda: (find("postgres-restore"), {}))
        return {name: each for name, each in found.items() if each != "passed"}


def _cut(dumps: Dumps) -> None:
    with dumps.newest.open("r+b") as file:
        file.truncate(dumps.newest.stat().st_size * 2 // 3)


def _empty(dumps: Dumps) -> None:
    dumps.newest.write_bytes(b"")


def _aged(days: float) -> Callable[[Dumps], None]:
    def act(dumps: Dumps) -> None:
        dumps.newest.unlink()
        for each in dumps.folder.iterdir():
            os.utime(each, (each.stat().st_mtime - days * 24 * HOUR,) * 2)

    return act


def _from_tomorrow(dumps: Dumps) -> None:
    os.utime(dumps.newest, (time.time() + 24 * HOUR,) * 2)


def _gone(dumps: Dumps) -> None:
    for each in dumps.folder.iterdir():
        each.unlink()


def _of_another(dumps: Dumps) -> None:
    dumps.dump(database="postgres")


def _only_of_another(dumps: Dumps) -> None:
    """Ours are missing for three days."""
    _aged(3)(dumps)
    _of_another(dumps)


def _part(dumps: Dumps) -> None:
    """A foreign key refers to a table that is not in it."""
    dumps.dump("--table=payments")


def _flipped(dumps: Dumps) -> None:
    content = bytearray(dumps.newest.read_bytes())
    content[len(content) // 2] ^= 0x55
    dumps.newest.write_bytes(content)


_DATES = "dates"  # of faults that leave the files as they are
# each with what makes it, and the forms of dumps that it is tried with
FAULTS: tuple[tuple[Fault, Callable[[Dumps], None], tuple[str, ...]], ...] = (
    (Fault("empty", "the newest dump is empty", (MANIFEST,), (SIZE, AGE)), _empty, ("custom", "plain")),
    (Fault("truncated", "a third of it is missing", (MANIFEST, RESTORE), (SIZE,)), _cut, ("custom", "plain")),
    (Fault("other-database", "it is of another database", (RESTORE,), (SIZE,)), _of_another, ("custom",)),
    (Fault("only-other-database", "ours are old, one of another database is new", (AGE,), (SIZE,), part=_DATES),
     _only_of_another, ("custom",)),
    (Fault("old", "no dump came for three days", (AGE,), part=_DATES), _aged(3), ("plain",)),
    (Fault("late", "the last dump is of yesterday morning", (AGE,), outcome="warned", part=_DATES), _aged(0.2),
     ("plain",)),
    (Fault("future", "it was written tomorrow: a clock is wrong", (AGE,), part=_DATES), _from_tomorrow, ("plain",)),
    (Fault("none", "there is no dump at all", (AGE,), (SIZE, MANIFEST), part=_DATES), _gone, ("plain",)),
    (Fault("part", "it does not restore without errors", (RESTORE,), (SIZE,)), _part, ("custom", "plain")),
    (Fault("flipped", "a byte in its middle is another", (MANIFEST, RESTORE)), _flipped, ("plain",)),
)


@pytest.fixture(scope="module")
def cluster(running: Stores) -> Cluster:
    cluster = running.start_postgres()
    cluster.standby.stop()
    if not (cluster.programs / "pg_dump").exists():
        pytest.skip("no pg_dump beside the server; install: apt-get install postgresql")
    return cluster


@pytest.fixture(scope="module")
def made(running: Stores, cluster: Cluster) -> dict[str, Dumps]:
    """One folder for each form of dumps."""
    return {form: Dumps(running, cluster, form) for form in ("custom", "plain")}


@pytest.fixture
def dumps(made: dict[str, Dumps], request: pytest.FixtureRequest) -> Dumps:
    """A folder of good ones."""
    made[request.param].fresh()
    return made[request.param]


@pytest.mark.parametrize("dumps", ["custom", "plain"], indirect=True)
def test_good_dumps_are_silent(dumps: Dumps) -> None:
    assert dumps.red() == {}


@pytest.mark.parametrize(
    ("dumps", "fault", "act"),
    [pytest.param(form, fault, act, id=f"{fault.name}-{form}") for fault, act, forms in FAULTS for form in forms],
    indirect=["dumps"],
)
def test_fault(dumps: Dumps, fault: Fault, act: Callable[[Dumps], None]) -> None:
    act(dumps)
    red = dumps.red(restored=fault.part != _DATES)
    assert set(fault.notices) <= set(red) <= {*fault.notices, *fault.also}, red
    assert {red[each] for each in fault.notices} == {fault.outcome}, red
