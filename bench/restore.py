"""The restore check against a script that restores the same backup by hand and looks at the same things."""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import subprocess
import time
from typing import Any

from bench.measure import row
from pytest_prodcheck.demo.backup_switches import finish_segments
from pytest_prodcheck.demo.postgres import Cluster
from pytest_prodcheck.demo.processes import end
from pytest_prodcheck.evidence.content_sql import FIXED, digest_of
from tests.evidence.store_servers import Stores, at, context, gather, stores

ROWS = 1_000_000
_FILL = "create table big as select n as id, md5(n::text) as a, n * 7 as b from generate_series(1, %d) as n"


def by_hand(cluster: Cluster, look: bool) -> float:
    """Copies, configures, starts, waits, and where `look` compares and runs pg_amcheck; seconds."""
    import psycopg

    began = time.perf_counter()
    place = cluster.spawner.folder(cluster.folder / "hand")
    data, lsn = place / "data", json.loads((cluster.records / "base-1.json").read_text())
    cluster.spawner.run(["cp", "-a", cluster.base, data], place / "log", 120)
    lines = {
        "listen_addresses": "", "unix_socket_directories": str(place), "archive_mode": "off", "fsync": "off",
        "port": "5498", "restore_command": f'cp {cluster.archive}/"%f" "%p"', "recovery_target_lsn": lsn["lsn"],
        "recovery_target_inclusive": "off", "recovery_target_action": "promote", "hot_standby": "off",
        "autovacuum": "off", "shared_buffers": "64MB", "hba_file": str(place / "hba"), "checkpoint_timeout": "1h",
        "max_wal_senders": "0", "full_page_writes": "off", "max_wal_size": "4GB",
    }  # fmt: skip
    (place / "conf").write_text("".join(f"{name} = '{value}'\n" for name, value in lines.items()))
    (place / "hba").write_text("local all all trust\n")
    (data / "recovery.signal").write_text("")
    (data / "postgresql.auto.conf").write_text("")
    for each in (place / "conf", place / "hba", data / "recovery.signal", data / "postgresql.auto.conf"):
        cluster.spawner.own(each)
    words = [cluster.programs / "postgres", "-D", data, "-c", f"config_file={place / 'conf'}"]
    child = cluster.spawner.spawn(words, place / "log", death=signal.SIGQUIT)
    reach: dict[str, Any] = {"host": str(place), "port": 5498, "user": "postgres", "dbname": "shop"}
    try:
        while True:
            try:
                psycopg.connect(**reach).close()
                break
            except psycopg.OperationalError:
                time.sleep(0.02)
        if look:
            with psycopg.connect(**reach) as connection:
                connection.execute("".join(f"set {each};" for each in FIXED))
                for table in lsn["tables"]:
                    connection.execute(digest_of(table, "text")).fetchone()
            check = [cluster.programs / "pg_amcheck", "-h", place, "-p", "5498", "-U", "postgres", "-d", "shop"]
            words = [*check, "--install-missing", "--heapallindexed", "-j", "2"]
            subprocess.run(words, check=True, capture_output=True)
    finally:
        end(child, signal.SIGQUIT)
        shutil.rmtree(place)
    return time.perf_counter() - began


def checked(running: Stores, cluster: Cluster) -> float:
    """The check's evidence; seconds."""
    restore = {"folder": "pg/scratch", "record": "pg/records/{label}.json", "check": "database"}
    backups = {"kind": "basebackup", "folder": "pg/backups", "archive": "pg/archive", "restore": restore}
    settings = {
        "nodes": [at("db-1", cluster.nodes[0].entrance)], "database": "shop", "tls": {"ca": "ca.pem"},
        "password": {"file": running.known.postgres}, "backups": backups,
    }  # fmt: skip
    given = context(running.place, nameserver=running.nameserver, postgres={"shop": settings})
    began = time.perf_counter()
    run = gather("postgres-restore", "shop", given, 600)
    taken = time.perf_counter() - began
    assert run.wrong == (), run.wrong
    return taken


def main(rows: int = ROWS, runs: int = 3) -> bool:
    """Prints the ratios; whether all bounds are kept."""
    with stores() as running:
        cluster = running.start_postgres()
        cluster.primary.ask(_FILL % rows)
        cluster.primary.ask("grant select on big to prodcheck")
        shutil.rmtree(cluster.base)
        cluster.primary.backup(cluster.base)
        cluster.record("base-1")
        finish_segments(cluster, 1)
        triples = [(by_hand(cluster, True), checked(running, cluster), by_hand(cluster, False)) for _ in range(runs)]
    same = statistics.median(mine / theirs for theirs, mine, _ in triples)
    bare = statistics.median(mine / theirs for _, mine, theirs in triples)
    kept = row("restore check / the same by hand (copy, recover, hashes, amcheck)", same, 1.2, f"  ({rows} rows)")
    print(f"      {bare:6.2f} x   restore check / copy and recover alone, nothing looked at", flush=True)
    return kept
