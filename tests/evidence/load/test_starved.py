"""A load whose client gets a small part of a processor, because others keep it busy: errored throughout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.baseline import accept
from pytest_prodcheck.evidence.load.run import load_run
from pytest_prodcheck.judging.load_validity import STARVED
from pytest_prodcheck.outcomes import Outcome
from tests.evidence.load.servers import server
from tests.evidence.load.test_load import context_of, outcomes
from tests.evidence.load.test_regression import CHECKS, outcome_of
from tests.soak import SOAK

RUNS = 20 if SOAK else 1
BURNERS = 24  # one alone, or all in one session, leave a process that mostly sleeps its turn
BURNER = "import sys, time\nsys.stdin.read()\nwhile time.process_time() < 5: pass"
USERS = """\
from locust import FastHttpUser, constant, task

class Visitor(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def look(self):
        self.client.get("/it")
"""


@pytest.fixture
def one_processor() -> Iterator[int]:
    """What this thread starts runs on one processor, the last one; the server's thread may use all."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield max(allowed)
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def burners() -> Iterator[Callable[[], None]]:
    """Processes that keep this processor busy once the yielded function is called, and end by themselves too.

    In sessions of their own: Linux divides a processor among sessions first (sched(7), autogroup).
    """
    waiting, begin = os.pipe()
    words = [sys.executable, "-S", "-c", BURNER]
    started = [subprocess.Popen(words, stdin=waiting, start_new_session=True) for _ in range(BURNERS)]
    os.close(waiting)
    ends = [begin]

    def start() -> None:
        while ends:
            os.close(ends.pop())

    try:
        yield start
    finally:
        for each in started:
            each.kill()
            each.wait(10)
        start()


@pytest.mark.parametrize("kind", ["open", "users"])
def test_a_starved_client_is_errored_throughout(kind: str, one_processor: int, tmp_path: Path) -> None:
    """Open arrivals, and users of a Locust file; beside a run that was accepted, and without one."""
    seen: Counter[str] = Counter()
    load: dict[str, Any] = {"duration": "1.5s", "compare": {"p95": "20ms", "p99": "50ms"}}
    if kind == "users":
        (tmp_path / "locustfile.py").write_text(USERS)
        load |= {"locustfile": "locustfile.py", "users": 10, "rate": None}
    for number in range(RUNS):
        with burners() as start:

            def delay(number: int, at: float, start: Callable[[], None] = start) -> float:
                start()
                return 0.0

            with server(delay) as (port, _):
                context = context_of(tmp_path, port, **load)
                context.key = b"k" * 32
                run = load_run.gather("it", context, Deadline(120))
        waited = max(each.starved for each in run.workers)
        if waited < STARVED and not SOAK:
            pytest.skip(f"waited {waited:.0%}: others on this machine kept the neighbours from starving it")
        assert waited >= STARVED, f"waited {waited:.0%}"
        for _ in range(2 if number == 0 else 1):
            found = outcomes(run) | {f"slower {name}": outcome_of(name, context, run) for name in CHECKS}
            seen.update(f"{name} {outcome.value}" for name, outcome in found.items())
            if number == 0:
                assert context.state is not None
                accept(context.state, context.key, context.environment, run, "first", 0.0, "r1")
        late = run.lag.percentile(95) or 0.0
        print(f"{number}: waited {waited:.0%}, began {1000 * late:.1f} ms late (P95)", flush=True)
    print(f"{RUNS} runs: {dict(sorted(seen.items()))}")
    names = {"validity", "errors", "throughput", "p50", "p95", *(f"slower {each}" for each in CHECKS)}
    assert set(seen) == {f"{name} {Outcome.ERRORED.value}" for name in names}
