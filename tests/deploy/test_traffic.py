"""Deployments under real traffic, through a real HAProxy: what is lost, and what a kill leaves.

`make soak` sends 10,000 requests and kills 170 deployers a strategy. `PRODCHECK_KILLS`, `PRODCHECK_REQUESTS` and
`PRODCHECK_SEED` are for other numbers; with `-n 0 -s` it says how far it is.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.deploy.quick import deployer, ended, killed_after
from tests.deploy.site import Site, Traffic, site
from tests.soak import SOAK, times

REQUESTS = times("REQUESTS", 10_000, 400)
KILLS = times("KILLS", 170, 1)
SEED = int(os.environ.get("PRODCHECK_SEED") or random.randrange(10**6))
MANY = SOAK or KILLS > 1
MORE = "" if MANY else 'steps = ["50%", "100%"]'


@pytest.mark.parametrize("strategy", ["rolling", "blue-green", "canary"])
def test_healthy_deployments_lose_nothing(strategy: str, tmp_path: Path) -> None:
    more = MORE if strategy == "canary" else ""
    with site(tmp_path / "s", strategy, monitor="100ms", least=100, more=more) as there:
        with Traffic(there.port, clients=2) as traffic:
            number = 1
            while number < 2 or traffic.sent < REQUESTS:
                number += 1
                assert ended(deployer(there.folder, f"r{number}")) == 0, trouble(there)
        assert traffic.lost == []
        assert traffic.answers[f"r{number}"] > 0
        live = {revision for revision in there.observe().values() if revision == f"r{number}"}
        assert live
        print(f"{strategy}: {traffic.sent} requests, {number - 1} deployments, none lost")


def trouble(there: Site) -> str:
    log = there.folder / "trouble.log"
    return log.read_text() if log.exists() else ""


def test_without_drain_some_are_lost(tmp_path: Path) -> None:
    """The control: the same copies, replaced under traffic."""
    with site(tmp_path / "s", "rolling") as there:
        with Traffic(there.port, clients=2) as traffic:
            while traffic.sent < 50:
                time.sleep(0.01)
            for slot in there.ports:
                there.script("start", slot, "r2")
        assert traffic.lost != []
        assert traffic.answers["r2"] > 0


@pytest.mark.parametrize(("strategy", "revision"), [("canary", "r2-errors"), ("rolling", "r2-sick")])
def test_a_bad_revision_is_brought_back_and_costs_no_more_than_its_share(
    strategy: str, revision: str, tmp_path: Path
) -> None:
    with site(tmp_path / "s", strategy, monitor="100ms", least=100) as there:
        with Traffic(there.port, clients=2) as traffic:
            assert ended(deployer(there.folder, revision)) == 20, trouble(there)
            sent = traffic.sent
            while traffic.sent < sent + 20:
                time.sleep(0.01)
        from_canary = traffic.answers[revision]
        assert len(traffic.lost) <= 2 * from_canary + 5, (traffic.lost[:5], traffic.answers)
        assert set(traffic.lost) <= {"status 503"}
        if strategy == "rolling":
            assert (traffic.lost, from_canary) == ([], 0)
        assert set(there.observe().values()) <= {"r1", "-"}


@pytest.mark.parametrize("strategy", ["rolling", "blue-green", "canary"] if MANY else ["blue-green"])
def test_killed_at_random_moments(strategy: str, tmp_path: Path) -> None:
    """After `--resume` or `--undo` all traffic is on one smoked revision; a healthy deployment never needs a person."""
    print(f"{strategy}: seed {SEED}", flush=True)
    source, codes, killed, number = random.Random(SEED), Counter[int](), 0, 2
    more = MORE if strategy == "canary" else ""
    a_site = site(tmp_path / "s", strategy, monitor="50ms", least=100, more=more)
    with a_site as there, Traffic(there.port, clients=1) as traffic:
        began = time.monotonic()
        assert ended(deployer(there.folder, "r2")) == 0, trouble(there)
        whole = time.monotonic() - began
        while killed < KILLS:
            number += 1
            assert number < 20 + 5 * KILLS, "most deployers end before they are killed"
            first = deployer(there.folder, f"r{number}")
            if not killed_after(first, source.uniform(0, 1.1) * whole):
                continue
            killed += 1
            verb = source.choice(["resume", "undo"])
            if source.random() < 0.3:
                killed += killed_after(deployer(there.folder, "", verb), source.uniform(0, 0.5) * whole)
            codes[survived(there, verb)] += 1
            assert traffic.lost == [], (traffic.lost[:5], codes, trouble(there))
            told = f"{killed} of {KILLS} kills, {traffic.sent} requests, none lost, codes {dict(codes)}"
            print(f"{strategy}: {told}, {time.monotonic() - began:.0f} s", flush=True)


def survived(there: Site, verb: str) -> int:
    code = ended(deployer(there.folder, "", verb))
    assert code in (0, 20, 4, 22), (code, verb, trouble(there))  # 4, 22: killed before it had changed anything
    shown = there.observe()
    slots_with_traffic = {shown[slot] for slot, percent in shares(there).items() if percent}
    assert len(slots_with_traffic) == 1, (code, shown, shares(there))
    assert "-" not in slots_with_traffic
    return code


def shares(there: Site) -> dict[str, int]:
    from pytest_prodcheck.deploy.driver_table import create_driver
    from tests.deploy.test_drivers import made

    return dict(create_driver(made(there)).observe().shares)
