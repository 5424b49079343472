"""Canaries are compared by requests to real servers: what the plan states is found, equals are let through.

A usual run looks once; how often shows in many: `PRODCHECK_LOOKS=200 PRODCHECK_DEPLOYMENTS=1000 pytest -n 0 -s` and
this file. Servers draw from a seed, which is printed (`PRODCHECK_SEED`).
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest

from pytest_prodcheck.deploy import canary
from pytest_prodcheck.deploy.analysis import Finding, Sample, judge, level
from pytest_prodcheck.deploy.power import at_least, errors_found, shift_found, tail_found
from pytest_prodcheck.environments.loading import load
from pytest_prodcheck.environments.sections.deploy import DeployAnalysis
from tests.field.web.support import free_port, running
from tests.soak import times

LOOKS = times("LOOKS", 200, 1)
DEPLOYMENTS = times("DEPLOYMENTS", 1000, 1)
SEED = int(os.environ.get("PRODCHECK_SEED") or random.randrange(10**6))
PLANNED = 3  # looks of a deployment
MARGIN = 1.1 if LOOKS > 1 else 2.5  # of what is found with 90 %: one look alone has to find it
EVERY = 10  # so many looks or deployments between two lines of progress
SETTINGS = DeployAnalysis(least=200, rate=75)
LOOSE = SETTINGS.model_copy(update={"alpha": 0.05})
EACH = level(SETTINGS, PLANNED)
TOML = """\
version = 1
project = "shop"
[environments.production.services.shop]
url = "http://127.0.0.1:{0}"
endpoints.product = {{ request = "GET /product", status = 200, contains = "revision" }}
[environments.production.slots]
blue  = {{ connect_to = "127.0.0.1:{0}" }}
green = {{ connect_to = "127.0.0.1:{1}" }}
[environments.production.deploy]
strategy = "canary"
slots    = ["blue", "green"]
analysis = {{ least = 200, rate = 75 }}
[environments.production.deploy.commands]
copy  = {{ start = ["true"], observe = ["true"] }}
share = {{ do = ["true"], observe = ["true"] }}
"""
STATED = {
    "errors": {"errors": errors_found(SETTINGS, EACH) * MARGIN},
    "median": {"slower": 1 + (shift_found(SETTINGS, EACH) - 1) * MARGIN},
    "tail": {"tail": tail_found(SETTINGS, EACH) * MARGIN},
}


class Pair:
    """Two servers; `look` compares the second with the first, and remembers what was asked."""

    def __init__(self, folder: Path, ports: tuple[int, int]) -> None:
        (folder / "prodcheck.toml").write_text(TOML.format(*ports))
        self.ports = ports
        self._canary = canary.Canary(load(folder / "prodcheck.toml"), "production", "", PLANNED, lambda text: None)
        self.samples: tuple[Sample, Sample] | None = None

    def judge(self, of: Sample, beside: Sample, settings: DeployAnalysis, looks: int, again: int) -> Finding:
        self.samples = of, beside
        return judge(of, beside, settings, looks, again)

    def behave(self, **how: float) -> None:
        """The canary is so, else as the server beside it."""
        usual = {"errors": 0.001, "slower": 1.0, "tail": 0.0}
        query = "&".join(f"{name}={value!r}" for name, value in {**usual, **how}.items())
        with urlopen(f"http://127.0.0.1:{self.ports[1]}/as?{query}", timeout=60) as answer:
            assert answer.status == 200

    def look(self, again: int = 0) -> tuple[int, str]:
        self.samples = None
        answer = self._canary.compare("green", "blue", again)
        return answer.code, answer.text


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("servers")
    program = str(Path(__file__).with_name("worse_server.py"))
    print(f"seed {SEED}", flush=True)
    with ExitStack() as stack:
        ports = free_port(), free_port()
        for number, port in enumerate(ports):
            stack.enter_context(running([sys.executable, "-S", program, str(port), str(SEED + number)], port, folder))
        yield Pair(folder, ports)


@pytest.fixture
def pair(servers: Pair, monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setattr(canary, "judge", servers.judge)
    return servers


@pytest.mark.parametrize("what", STATED)
def test_what_the_plan_states_is_found(what: str, pair: Pair) -> None:
    """Of looks that can tell at least nine in ten find it, by the test that it is for."""
    pair.behave(**STATED[what])
    found: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(1, LOOKS + 1):
        code, text = pair.look()
        named = code == 1 and any(line.startswith(f"worse: {what}") for line in text.splitlines())
        found["cannot tell" if code == 3 else what if named else "another" if code == 1 else "missed"] += 1
        assert code in (0, 1, 3), text
        if number % EVERY == 0 or number == LOOKS:
            print(f"{what} {STATED[what]}: {number} of {LOOKS} looks, {dict(found)}, {since(began)}", flush=True)
    told = LOOKS - found["cannot tell"]
    if not told and LOOKS == 1:
        pytest.skip(f"the machine is too busy to compare: {text}")
    assert found[what] >= 0.9 * told, found
    assert told > LOOKS / 2, found


def since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


def test_a_copy_that_is_as_good_is_let_through(pair: Pair) -> None:
    """Of many deployments as many are undone as `alpha` allows, by chance; and of the same samples for 5 %."""
    pair.behave()
    alarms: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(1, DEPLOYMENTS + 1):
        again = 0
        for planned in range(PLANNED):
            for repetition in (0, 1):  # what cannot tell is looked at once more
                again += repetition
                code, text = pair.look(again if repetition else 0)
                if code == 1:
                    alarms["alarms"] += 1
                    print(f"deployment {number}, look {planned + 1}: {text}", flush=True)
                if pair.samples is not None and judge(*pair.samples, LOOSE, PLANNED, repetition and again).code == 1:
                    alarms["alarms for 5 %"] += 1
                if code != 3:
                    break
                alarms["cannot tell"] += 1
        if number % EVERY == 0 or number == DEPLOYMENTS:
            print(f"as good: {number} of {DEPLOYMENTS} deployments, {dict(alarms)}, {since(began)}", flush=True)
    for name, alpha in (("alarms", SETTINGS.alpha), ("alarms for 5 %", LOOSE.alpha)):
        assert at_least(alarms[name], DEPLOYMENTS, alpha) > 0.001, alarms


def test_a_canary_that_does_not_answer_is_no_better(pair: Pair) -> None:
    pair.behave(errors=1.0)
    code, text = pair.look()
    assert code in (1, 3), text
