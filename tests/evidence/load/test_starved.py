"""A load whose client gets a small part of a processor, because others keep all of them busy: errored throughout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.baseline import accept
from pytest_prodcheck.evidence.load.run import load_latency, load_run
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.outcomes import Outcome
from suites.performance import test_latency
from tests.evidence.load.servers import server
from tests.evidence.load.test_load import context_of, judged, outcomes
from tests.evidence.load.test_regression import CHECKS, outcome_of
from tests.soak import SOAK

RUNS, LIGHT = 20, 5  # loads, and how many of them latency without load is asked for beside
BURNERS = 24  # of each processor: one alone, or all in one session, leave a process that mostly sleeps its turn
USERS = """\
from locust import FastHttpUser, constant, task

class Visitor(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def look(self):
        self.client.get("/it")
"""


@pytest.fixture
def busy() -> Iterator[None]:
    """Keeps each processor busy, by sessions of their own: Linux shares it among sessions (sched(7), autogroup)."""
    words = "import os, sys, time\nos.sched_setaffinity(0, [int(sys.argv[1])])\nwhile time.process_time() < 600: pass"
    burners = [
        subprocess.Popen([sys.executable, "-c", words, str(processor)], start_new_session=True)
        for processor in os.sched_getaffinity(0)
        for _ in range(BURNERS)
    ]
    try:
        yield
    finally:
        for each in burners:
            each.kill()
            each.wait(10)


@pytest.mark.skipif(not SOAK, reason="keeps all processors busy: make soak")
@pytest.mark.parametrize("kind", ["open", "users"])
def test_a_starved_client_is_errored_throughout(kind: str, busy: None, tmp_path: Path) -> None:
    """Open arrivals, and users of a Locust file; latency without load beside them fails nothing."""
    seen: Counter[str] = Counter()
    load: dict[str, Any] = {"duration": "1.5s", "compare": {"p95": "20ms", "p99": "50ms"}}
    if kind == "users":
        (tmp_path / "locustfile.py").write_text(USERS)
        load |= {"locustfile": "locustfile.py", "users": 10, "rate": None}
    with server() as (port, _):
        for number in range(RUNS):
            context = context_of(tmp_path, port, **load)
            context.key = b"k" * 32
            run = load_run.gather("it", context, Deadline(120))
            found = outcomes(run) | {f"slower {name}": outcome_of(name, context, run) for name in CHECKS}
            if kind == "open" and number < LIGHT:
                light = load_latency.gather("light", context, Deadline(60))
                found["light"] = judged(test_latency.test_most_answers_are_quick, light, Limit(fail="1s")).outcome
            if number == 0:
                assert context.state is not None
                accept(context.state, context.key, context.environment, run, "first", 0.0, "r1")
            seen.update(f"{name} {outcome.value}" for name, outcome in found.items())
            lag = run.lag.percentile(95) or 0.0
            waited = max(each.starved for each in run.workers)
            told = " ".join(f"{name}={outcome.value}" for name, outcome in found.items())
            print(f"{number}: waited {waited:.0%}, began {1000 * lag:.1f} ms late (P95) {told}", flush=True)
    print(f"{RUNS} runs: {dict(sorted(seen.items()))}")
    assert not [each for each in seen if each.endswith(Outcome.FAILED.value)]
    assert {each for each in seen if not each.startswith("light ")} == {
        f"{name} errored"
        for name in ("validity", "errors", "throughput", "p50", "p95", *(f"slower {each}" for each in CHECKS))
    }
