"""What a service uses whose process has workers: really forked, really busy."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from pytest_prodcheck.evidence.load.process_family import FamilyUse, ProcessFamily
from pytest_prodcheck.evidence.load.process_sockets import sockets_of

MEMORY = 60_000_000  # bytes that each of two workers takes for itself
MASTER = f"""
import os, socket, sys
shared = bytearray(b"x" * {MEMORY})
listening = socket.create_server(("127.0.0.1", 0))
for number in range(2):
    if not os.fork():
        own = bytearray(b"x" * {MEMORY})
        client = socket.create_connection(listening.getsockname())
        os.write(1, b"ready\\n")
        while True:
            pass
sys.stdin.read()
"""


@pytest.fixture
def master() -> Iterator[psutil.Process]:
    words = [sys.executable, "-c", MASTER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0) as started:
        assert started.stdout is not None
        try:
            assert [started.stdout.readline(), started.stdout.readline()] == [b"ready\n"] * 2
            yield psutil.Process(started.pid)
        finally:
            os.killpg(started.pid, 9)


def used(family: ProcessFamily, least: float) -> FamilyUse:
    """What is used until the workers had so much of a processor."""
    use = family.look()
    until = time.monotonic() + 60
    while use.cpu < least and time.monotonic() < until:
        time.sleep(0.2)
        use = family.look()
    return use


def test_workers_are_part_of_the_service(master: psutil.Process) -> None:
    """benoitc/gunicorn#124, #326: the id in the file is that of the arbiter, which does nothing itself."""
    family = ProcessFamily(master)
    use = used(family, 0.1)
    assert use.cpu >= 0.1
    assert use.memory > 3 * MEMORY
    assert (use.connections, use.fullest) == (3, 2), "the socket that all listen on counts once"
    assert use.descriptors == psutil.Process().rlimit(psutil.RLIMIT_NOFILE)[0]
    (worker, _) = master.children()
    worker.kill()
    until = time.monotonic() + 60
    while len(master.children()) == 2 and master.children()[0].status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert family.look().cpu >= 0


def test_its_sockets_are_those_that_psutil_finds(master: psutil.Process) -> None:
    """Also those that came from this process, whose pages of /proc are full of other sockets."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        members = [psutil.Process(), master, *master.children()]
        found = [len(each) for each in sockets_of(members)]
        assert found == [len(each.net_connections("tcp")) for each in members]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere psutil is asked for each process")
def test_many_workers_on_a_machine_with_many_sockets_cost_little(master: psutil.Process) -> None:
    """A look that took longer than the time between two looks left too few of them to judge."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        for _ in range(300):
            stack.enter_context(socket.create_connection(server.getsockname()))

        def cost(members: int) -> float:
            began = time.thread_time()
            sockets_of([master] * members)
            return time.thread_time() - began

        assert min(cost(64) for _ in range(5)) < 5 * min(cost(1) for _ in range(5)) + 0.005


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what processes share")
def test_what_they_share_counts_once(master: psutil.Process) -> None:
    assert ProcessFamily(master).look().memory < 4.5 * MEMORY


def test_who_started_us_is_watched_alone() -> None:
    """As in `make demo` and tests: the load generator is no part of a service."""
    with socket.create_server(("127.0.0.1", 0)), subprocess.Popen([sys.executable, "-c", "input()"],
                                                                  stdin=subprocess.PIPE) as child:  # fmt: skip
        alone = ProcessFamily(psutil.Process())
        assert alone.alone
        assert alone.look().memory == pytest.approx(psutil.Process().memory_info().rss, rel=0.1)
        child.kill()
