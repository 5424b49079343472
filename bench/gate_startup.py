"""Measures a whole `prodcheck gate` that answers "open" against a bare interpreter: prints both and the ratio.

Usage: python bench/gate_startup.py [RUNS]. The two run in turn, so that a busy machine slows both; exits 1 above LIMIT.
Byte code is cached, as it is wherever the package is installed (PYTHONDONTWRITEBYTECODE would add 0.9).
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_prodcheck.gates.desk import GateDesk, run_key
from pytest_prodcheck.gates.policy import suite_policy
from pytest_prodcheck.gates.store import Key
from pytest_prodcheck.outcomes import Judgement, Outcome, Planned, Result, RunRecord

LIMIT = 2.5
CHECKS = 50


def open_verdict(root: Path) -> None:
    """Leaves an open verdict of a run of 50 checks in `root`."""
    file = root / "prodcheck.toml"
    file.write_text('version = 1\n[environments.staging.services.shop]\nurl = "https://shop.example"\n')
    state = root / ".prodcheck"
    now = time.time()
    judgement = Judgement("answered in", 0.2, Outcome.PASSED, "s", "at_most", 0.5, 1.0, 0.8)
    ids = [f"smoke.bench.c{number}" for number in range(CHECKS)]
    run = RunRecord(
        "bench",
        "staging",
        results=tuple(
            Result(each, "shop", Outcome.PASSED, suite="smoke", judgements=(judgement,), gathered_at=now)
            for each in ids
        ),
        planned=tuple(Planned(each, "shop") for each in ids),
        known=tuple(ids),
        configuration={"prodcheck.toml": hashlib.sha256(file.read_bytes()).hexdigest()},
    )
    desk = GateDesk(state, run_key(state, root))
    desk.open_run(run.id, [Key("staging", "", "", "smoke")])
    problems = desk.publish(desk.settle(run, [suite_policy("smoke", {})], now))
    if problems:
        raise SystemExit("; ".join(problems))


def seconds(command: list[str], root: Path) -> float:
    """Wall seconds of one whole process that must answer 0."""
    unwanted = ("PRODCHECK_", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    begin = time.perf_counter()
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    bare = [sys.executable, "-c", "pass"]
    program = str(Path(sys.executable).with_name("prodcheck"))
    gate = [program, "gate", "smoke", "--env", "staging", "--max-age", "15m"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        open_verdict(root)
        for command in (bare, gate):
            seconds(command, root)
        pairs = [(seconds(bare, root), seconds(gate, root)) for _ in range(runs)]
    ratio = statistics.median(second / first for first, second in pairs)
    for place, name in enumerate(("python -c pass", "prodcheck gate")):
        times = [each[place] for each in pairs]
        print(f"{name:15} median {statistics.median(times) * 1000:6.1f} ms  least {min(times) * 1000:6.1f} ms")
    print(f"ratio           median {ratio:6.2f}     limit {LIMIT}")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
