"""The content hash of a table by chunks, against one SELECT that hashes all of it, on the same server.

Processor time of the server is compared, for these machines are noisy; our own memory is measured too.
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import row
from pytest_prodcheck.demo.runtime.processes import Spawner, end
from pytest_prodcheck.demo.runtime.programs import postgres_programs
from pytest_prodcheck.environments.project import Environment
from pytest_prodcheck.environments.redaction import Redactor
from pytest_prodcheck.environments.secrets import SecretResolver
from pytest_prodcheck.evidence.content.hash_sql import FIXED
from pytest_prodcheck.evidence.content.page_ranges import Chunk, chunks_of, digest, parts_of
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.postgres.session import Session, on_primary

ROWS = 10_000_000
PAGES = 4096  # the default of `content.chunk`
PEER = "select count(*), sum(hashtext(t::text)) from orders as t"
_FILL = """
create table orders as select n as id, 'customer-' || n %% 99991 as customer, n * 7 %% 100000 as total,
 timestamptz '2026-01-01' + n * interval '1 second' as placed_at from generate_series(1, %d) as n
"""
_TICK = os.sysconf("SC_CLK_TCK")


@contextmanager
def server() -> Iterator[tuple[int, int]]:
    """A server on loopback; yields its port and process id."""
    import psycopg

    programs = postgres_programs()
    with tempfile.TemporaryDirectory(prefix="prodcheck-bench-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        spawner = Spawner(place)
        data = spawner.folder(place / "data")
        made = ["-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        spawner.run([programs / "initdb", "-D", data, *made], place / "log", 60)
        port = 54000 + os.getpid() % 1000
        set_ = [
            f"port={port}", "fsync=off", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=8GB", "jit=off",
            "shared_buffers=128MB", "unix_socket_directories=", "autovacuum=off", "checkpoint_timeout=1h",
        ]  # fmt: skip
        options = [word for each in set_ for word in ("-c", each)]
        child = spawner.spawn([programs / "postgres", "-D", data, *options], place / "log", death=signal.SIGQUIT)
        try:
            for _ in range(300):
                try:
                    psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres").close()
                    break
                except psycopg.OperationalError:
                    time.sleep(0.1)
            yield port, child.pid
        finally:
            end(child, signal.SIGQUIT)
            spawner.end_all()


def spent(pid: int) -> float:
    """Processor seconds of a server's children that have ended: sessions and their parallel workers."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / _TICK


def taken(pid: int, act: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of the server's processors."""
    time.sleep(0.3)
    before, began = spent(pid), time.perf_counter()
    act()
    wall = time.perf_counter() - began
    time.sleep(0.5)  # the server has to notice who has gone
    return wall, spent(pid) - before


def peer(port: int, parallel: bool) -> None:
    """One SELECT in a session of its own."""
    import psycopg

    with psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres") as connection:
        if not parallel:
            connection.execute("set max_parallel_workers_per_gather = 0")
        connection.execute(PEER).fetchone()


def ours(context: Context, workers: int) -> int:
    """All chunks, as a comparison reads them on each node; returns the rows."""
    deadline, rows = Deadline(3600), list[int]()
    jobs: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
    with on_primary("bench", context, deadline) as session:
        for chunk in chunks_of(parts_of(session, "orders")[0], PAGES, session.version):
            jobs.put(chunk)

    def work() -> None:
        with on_primary("bench", context, deadline) as mine:
            mine.local = FIXED
            _drain(mine, jobs, rows)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rows)


def _drain(session: Session, jobs: queue.SimpleQueue[Chunk], rows: list[int]) -> None:
    while True:
        try:
            chunk = jobs.get_nowait()
        except queue.Empty:
            return
        rows.append(digest(session, chunk, 600)[0])


def main(rows: int = ROWS, runs: int = 3) -> bool:
    """Prints the ratios; whether all bounds are kept."""
    import psycopg

    with server() as (port, pid):
        with psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", autocommit=True) as one:
            one.execute(_FILL % rows)
            one.execute("vacuum (freeze, analyze) orders")
        settings = {"nodes": [f"127.0.0.1:{port}"], "user": "postgres", "tls": {"mode": "disable"}}
        environment = Environment.model_validate({"postgres": {"bench": settings}})
        context = Context(environment, Path.cwd(), secrets=SecretResolver(Path.cwd()), redactor=Redactor())
        assert ours(context, 2) == rows
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pairs = [(taken(pid, lambda: peer(port, False)), taken(pid, lambda: ours(context, 1))) for _ in range(runs)]
        abreast = [(taken(pid, lambda: peer(port, True)), taken(pid, lambda: ours(context, 2))) for _ in range(runs)]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    what = "content hash by chunks / SELECT count(*), sum(hashtext(t::text))"
    cpu = statistics.median(mine[1] / theirs[1] for theirs, mine in pairs)
    wall = statistics.median(mine[0] / theirs[0] for theirs, mine in abreast)
    aside = f"  ({statistics.median(mine[1] for _, mine in pairs):.2f} s, {rows} rows)"
    kept = [
        row(f"{what}: the server's processor", cpu, 1.5, aside),
        row("the same by the clock, two sessions / parallel workers as the server likes", wall, 1.5),
        row("our memory, MB more over six readings", max(grown / 1024, 0.0), 8.0),
    ]
    return all(kept)


if __name__ == "__main__":
    main()
