"""The restore check against what a person would do by hand with the same backup.

*Bare*: copy, recover to the same position with the server's own settings, wait until it takes writes, count one table's
rows, stop; *cold* with a backup that the page cache does not hold, as one that lies there since last night. *Fast*: the
same with the scratch server's settings, which flush nothing. *Whole*: fast, and the hashes and pg_amcheck besides, one
after the other. *Dump*: `pg_restore --dbname` as a superuser who is not shut in, into such a server, with the hashes
and pg_amcheck side by side: what the check of a dump was before it was shut in.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.measure import row
from pytest_prodcheck.demo.postgres.cluster import Cluster
from pytest_prodcheck.demo.runtime.processes import end
from pytest_prodcheck.demo.switches.backups import finish_segments
from pytest_prodcheck.evidence.content.hash_sql import FIXED, digest_of
from pytest_prodcheck.evidence.content.recording import record_content
from tests.evidence.contexts import context, gather
from tests.evidence.stores import Stores, address_of, stores

SAMPLE = 0.05
ROWS = 25_000_000  # with its index 2.4 GB
_FILL = "create table big as select n as id, md5(n::text) as a, n * 7 as b from generate_series(1, %d) as n"
_FAST = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "4GB", "checkpoint_timeout": "1h",
         "shared_buffers": "64MB", "autovacuum": "off"}  # fmt: skip


def by_hand(cluster: Cluster, fast: bool, look: bool) -> float:
    """Copies, configures, starts, waits, counts; where `look` hashes and runs pg_amcheck; seconds."""
    began = time.perf_counter()
    place = cluster.spawner.folder(cluster.folder / "hand")
    data, record = place / "data", json.loads((cluster.records / "base-1.json").read_text())
    cluster.spawner.run(["cp", "-a", cluster.base, data], place / "log", 600)
    lines = {
        "listen_addresses": "", "unix_socket_directories": str(place), "archive_mode": "off", "port": "5498",
        "restore_command": f'cp {cluster.archive}/"%f" "%p"', "recovery_target_lsn": record["lsn"],
        "recovery_target_inclusive": "off", "recovery_target_action": "promote", "hba_file": str(place / "hba"),
        "max_prepared_transactions": "10", "hot_standby": "off", **(_FAST if fast else {}),
    }  # fmt: skip
    (place / "conf").write_text("".join(f"{name} = '{value}'\n" for name, value in lines.items()))
    (place / "hba").write_text("local all all trust\n")
    (data / "recovery.signal").write_text("")
    (data / "postgresql.auto.conf").write_text("")
    for each in (place / "conf", place / "hba", data / "recovery.signal", data / "postgresql.auto.conf"):
        cluster.spawner.own(each)
    words: list[str | Path] = [cluster.programs / "postgres", "-D", data, "-c", f"config_file={place / 'conf'}"]
    child = cluster.spawner.spawn(words, place / "log", death=signal.SIGQUIT)
    try:
        while not _ask(place, record, look):
            assert child.poll() is None, (place / "log").read_text()[-1000:]
            time.sleep(0.1)
        if look:
            whom = ["-h", str(place), "-p", "5498", "-U", "postgres", "-d", "shop"]
            how = ["--install-missing", "-j", "2"]
            check: list[str | Path] = [cluster.programs / "pg_amcheck", *whom, *how]
            subprocess.run(check, check=True, capture_output=True)
    finally:
        end(child, signal.SIGQUIT)
        shutil.rmtree(place)
    return time.perf_counter() - began


def _ask(place: Path, record: dict[str, Any], look: bool) -> bool:
    """Whether the server answers by now: then a table's rows were counted."""
    import psycopg

    try:
        connection = psycopg.connect(host=str(place), port=5498, user="postgres", dbname="shop", autocommit=True)
    except psycopg.OperationalError:
        return False
    with connection:
        connection.execute("select count(*) from big")
        connection.execute("".join(f"set {each};" for each in FIXED))
        for table, held in record["tables"].items() if look else ():
            connection.execute(digest_of(table, held["form"]).encode())
    return True


def checked(
    running: Stores, cluster: Cluster, every_row: bool = False, sample: float = 1.0, kind: str = "basebackup"
) -> float:
    """The check's evidence; seconds."""
    how: dict[str, Any] = {"folder": "pg/scratch", "check": "database", "heapallindexed": every_row, "sample": sample}
    backups: dict[str, Any] = {"kind": kind, "folder": "pg/backups", "archive": "pg/archive"}
    how["record"] = "pg/records/{label}.json"
    if kind == "dump":
        backups, how["record"] = {"kind": kind, "folder": "pg/dumps"}, "pg/dump.json"
    backups["restore"] = how
    settings = {
        "nodes": [address_of("db-1", cluster.nodes[0].entrance)], "database": "shop", "tls": {"ca": "ca.pem"},
        "password": {"file": running.known.postgres}, "backups": backups,
    }  # fmt: skip
    given = context(running.place, nameserver=running.nameserver, postgres={"shop": settings})
    began = time.perf_counter()
    run = gather("postgres-restore", "shop", given, 1800)
    taken = time.perf_counter() - began
    assert (run.wrong, run.record_problem) == ((), ""), run
    times = f"fetched {run.fetch_seconds:.1f} s, recovered {run.recovery_seconds:.1f} s, all {run.seconds:.1f} s"
    print(f"      {run.seen}; {times}", flush=True)
    return taken


def dump_by_hand(cluster: Cluster) -> float:
    """initdb, start, pg_restore, hashes and pg_amcheck at once, stop; seconds."""
    began = time.perf_counter()
    place, spawner = cluster.spawner.folder(cluster.folder / "hand"), cluster.spawner
    data, record = place / "data", json.loads((cluster.folder / "dump.json").read_text())
    spawner.run([cluster.programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8",
                 "--locale=C"], place / "log", 60)  # fmt: skip
    lines = {"listen_addresses": "", "unix_socket_directories": str(place), "port": "5498", **_FAST}
    options = [word for name, value in lines.items() for word in ("-c", f"{name}={value}")]
    child = spawner.spawn([cluster.programs / "postgres", "-D", data, *options], place / "log", death=signal.SIGQUIT)
    whom = ["-h", str(place), "-p", "5498", "-U", "postgres", "-d"]
    try:
        while not _answers(place, "create database shop template template0"):
            assert child.poll() is None, (place / "log").read_text()[-1000:]
            time.sleep(0.05)
        how: list[str | Path] = ["--no-owner", "--no-acl", "--exit-on-error", cluster.folder / "dumps" / "shop.dump"]
        spawner.run([cluster.programs / "pg_restore", *whom, "shop", *how], place / "log", 1800)
        check: list[str | Path] = [cluster.programs / "pg_amcheck", *whom, "shop", "--install-missing", "-j", "2"]
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(subprocess.run, check, check=True, capture_output=True)
            assert _ask(place, record, True)
            reading.result()
    finally:
        end(child, signal.SIGQUIT)
        shutil.rmtree(place)
    return time.perf_counter() - began


def _answers(place: Path, statement: str) -> bool:
    import psycopg

    try:
        with psycopg.connect(host=str(place), port=5498, user="postgres", dbname="template1", autocommit=True) as given:
            given.execute(statement.encode())
    except psycopg.OperationalError:
        return False
    return True


def dump(cluster: Cluster) -> None:
    """A dump of all in custom format, and its record."""
    place = cluster.spawner.folder(cluster.folder / "dumps") / "shop.dump"
    whom: list[str | Path] = ["-h", cluster.folder, "-p", str(cluster.primary.port), "-U", "postgres"]
    cluster.spawner.run([cluster.programs / "pg_dump", *whom, "-Fc", "-f", place, "shop"], cluster.folder / "log", 900)
    with cluster.primary.connect() as connection, cluster.primary.connect() as witness:
        (cluster.folder / "dump.json").write_text(record_content(connection, witness, physical=False).text())


def dumps(rows: int = ROWS // 5, runs: int = 3) -> bool:
    """Prints the ratio of dumps; whether its bound is kept."""
    hand: list[float] = []
    mine: list[float] = []
    with stores() as running:
        cluster = running.start_postgres()
        fill(cluster, rows)
        dump(cluster)
        for _ in range(runs):
            hand.append(dump_by_hand(cluster))
            mine.append(checked(running, cluster, kind="dump"))
    print(f"      all runs: by hand {_listed(hand)}; check {_listed(mine)}", flush=True)
    ours, theirs = statistics.median(mine), statistics.median(hand)
    what = "restore check of a dump (-Fc) / pg_restore, hashes and amcheck by hand, not shut in"
    return row(what, ours / theirs, 1.3, f"  ({ours:.1f} s / {theirs:.1f} s)")


def _listed(seconds: list[float]) -> str:
    return ", ".join(f"{each:.1f}" for each in seconds)


def evict(folder: Path) -> None:
    """Takes a folder's files out of the page cache."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def fill(cluster: Cluster, rows: int) -> None:
    """A large table with its index, a base backup with it, and its record."""
    command = cluster.primary.settings["archive_command"]
    cluster.standby.stop()
    cluster.primary.configure(archive_command="true")
    cluster.primary.ask(_FILL % rows)
    cluster.primary.ask("alter table big add primary key (id)")
    cluster.primary.ask("grant select on big to prodcheck")
    cluster.primary.ask("vacuum (freeze, analyze) big")
    cluster.primary.ask("checkpoint")
    cluster.primary.configure(archive_command=command)
    shutil.rmtree(cluster.base)
    options = [*cluster.primary.backup_options(), "-D", cluster.base, "-X", "fetch", "-c", "fast"]
    cluster.spawner.run([cluster.programs / "pg_basebackup", *options], cluster.folder / "backup.log", 900)
    with cluster.primary.connect() as connection, cluster.primary.connect() as witness:
        (cluster.records / "base-1.json").write_text(record_content(connection, witness, parts=True).text())
    finish_segments(cluster, 1)


def main(rows: int = ROWS, runs: int = 3) -> bool:
    """Prints the ratios; whether all bounds are kept."""
    taken: dict[str, list[float]] = {name: [] for name in ("bare", "some", "check", "every row", "fast", "whole")}
    cold: dict[str, list[float]] = {"bare": [], "some": [], "check": []}
    with stores() as running:
        cluster = running.start_postgres()
        fill(cluster, rows)
        size = sum(each.stat().st_size for each in cluster.base.rglob("*") if each.is_file()) / 1e9
        for _ in range(runs):
            taken["bare"].append(by_hand(cluster, False, False))
            taken["some"].append(checked(running, cluster, sample=SAMPLE))
            taken["check"].append(checked(running, cluster))
            taken["every row"].append(checked(running, cluster, every_row=True))
            taken["fast"].append(by_hand(cluster, True, False))
            taken["whole"].append(by_hand(cluster, True, True))
            evict(cluster.base)
            cold["bare"].append(by_hand(cluster, False, False))
            evict(cluster.base)
            cold["some"].append(checked(running, cluster, sample=SAMPLE))
            evict(cluster.base)
            cold["check"].append(checked(running, cluster))
    bare, some, check, every_row, fast, whole = (statistics.median(each) for each in taken.values())
    cold_bare, cold_some, cold_check = (statistics.median(each) for each in cold.values())
    all_runs = [f"{name} {_listed(found)}" for name, found in taken.items()]
    print(f"      {size:.1f} GB; all runs: {'; '.join(all_runs)}", flush=True)
    kept = [
        row(f"restore check with sample = {SAMPLE:.0%} / bare restore", some / bare, 1.2,
            f"  ({some:.1f} s / {bare:.1f} s)"),
        row("the same, the backup read from the disk", cold_some / cold_bare, 1.2,
            f"  ({cold_some:.1f} s / {cold_bare:.1f} s)"),
        row("restore check / the same by hand, nothing flushed, hashes and amcheck one after the other",
            check / whole, 1.2),
    ]  # fmt: skip
    for what, mine, theirs in (("every row hashed / bare restore", check, bare),
                               ("every row hashed, the backup read from the disk", cold_check, cold_bare),
                               ("with heapallindexed / bare restore", every_row, bare),
                               ("restore check / bare restore, nothing flushed either", check, fast)):  # fmt: skip
        print(f"      {mine / theirs:6.2f} x   {what}", flush=True)
    return all([*kept, dumps()])


if __name__ == "__main__":
    main()
