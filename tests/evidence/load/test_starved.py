"""A load whose client gets no processor, because others keep all of them busy: errored or good, never failed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

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

RUNS = 20
BURNERS = os.cpu_count() or 1


@pytest.fixture
def busy() -> Iterator[None]:
    """Keeps all processors busy; the burners end by themselves too."""
    words = [sys.executable, "-c", "import time\nwhile time.process_time() < 600: pass"]
    burners = [subprocess.Popen(words) for _ in range(BURNERS)]
    try:
        yield
    finally:
        for each in burners:
            each.kill()
            each.wait(10)


@pytest.mark.skipif(not SOAK, reason="keeps all processors busy: make soak")
def test_a_starved_client_fails_nothing(busy: None, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    worst = 0.0
    with server() as (port, _):
        for number in range(RUNS):
            context = context_of(tmp_path, port, duration="1.5s", compare={"p95": "20ms", "p99": "50ms"})
            context.key = b"k" * 32
            run = load_run.gather("it", context, Deadline(120))
            found = outcomes(run) | {f"slower {name}": outcome_of(name, context, run) for name in CHECKS}
            light = load_latency.gather("light", context, Deadline(60))
            found["light"] = judged(test_latency.test_most_answers_are_quick, light, Limit(fail="1s")).outcome
            if number == 0:
                assert context.state is not None
                accept(context.state, context.key, context.environment, run, "first", 0.0, "r1")
            seen.update(f"{name} {outcome.value}" for name, outcome in found.items())
            lag = run.lag.percentile(95) or 0.0
            waited = max(each.starved for each in run.workers)
            worst = max(worst, waited)
            told = " ".join(f"{name}={outcome.value}" for name, outcome in found.items())
            print(f"{number}: waited {waited:.0%}, began {1000 * lag:.1f} ms late (P95) {told}", flush=True)
    print(f"{RUNS} runs, up to {worst:.0%} of five seconds without a processor: {dict(sorted(seen.items()))}")
    assert not [each for each in seen if each.endswith(Outcome.FAILED.value)]
