"""Deployments under real traffic, through a real HAProxy: what is lost, what a kill leaves, what a comparison finds.

`make soak` sends 10,000 requests a strategy, and kills 500 deployers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_prodcheck.deploy.canary import Canary
from pytest_prodcheck.environments.loading import load
from tests.deploy.quick import deployer, ended, killed_after
from tests.deploy.site import Site, Traffic, site
from tests.soak import SOAK

REQUESTS = 10_000 if SOAK else 400
KILLS = 500 if SOAK else 1
MORE = "" if SOAK else 'steps = ["50%", "100%"]'


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


@pytest.mark.parametrize("strategy", ["blue-green", "rolling", "canary"] if SOAK else ["blue-green"])
def test_killed_at_random_moments(strategy: str, tmp_path: Path) -> None:
    """After `--resume` or `--undo` all traffic is on one smoked revision; a healthy deployment never needs a person."""
    source, codes = random.Random(1 if SOAK else time.time()), []
    kills = KILLS // (3 if SOAK else 1) + 1
    with site(tmp_path / "s", strategy, monitor="50ms", least=100, more=MORE if strategy == "canary" else "") as there:
        began = time.monotonic()
        with Traffic(there.port, clients=1) as traffic:
            assert ended(deployer(there.folder, "r2")) == 0, trouble(there)
            whole, number, killed = time.monotonic() - began, 2, 0
            while killed < kills:
                number += 1
                first = deployer(there.folder, f"r{number}")
                if not killed_after(first, source.uniform(0, 1.1) * whole):
                    continue
                killed += 1
                verb = source.choice(["resume", "undo"])
                if source.random() < 0.3:
                    killed += killed_after(deployer(there.folder, "", verb), source.uniform(0, 0.5) * whole)
                codes.append(survived(there, verb))
        assert traffic.lost == [], (traffic.lost[:5], codes)
        print(f"{strategy}: {killed} kills, {traffic.sent} requests, codes {sorted(set(codes))}")


def survived(there: Site, verb: str) -> int:
    code = ended(deployer(there.folder, "", verb))
    assert code in (0, 20, 4, 22), (code, verb, trouble(there))  # 4, 22: killed before it had changed anything
    shown = there.observe()
    carrying = {shown[slot] for slot, percent in shares(there).items() if percent}
    assert len(carrying) == 1, (code, shown, shares(there))
    assert "-" not in carrying
    return code


def shares(there: Site) -> dict[str, int]:
    from pytest_prodcheck.deploy.driver_table import driver_of
    from tests.deploy.test_drivers import made

    return dict(driver_of(made(there)).observe().shares)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> object:
    with site(tmp_path_factory.mktemp("site"), "blue-green", least=200) as there:
        configuration = load(there.folder / "prodcheck.toml")
        canary = Canary(configuration, "production", "", 3, lambda text: None)

        def look(revision: str) -> tuple[int, str]:
            there.script("stop", "green")
            there.script("start", "green", revision)
            answer = canary.compare("green", "blue", 0)
            return answer.code, answer.text

        yield look


Look = Callable[[str], tuple[int, str]]


@pytest.mark.parametrize(
    ("revision", "word"), [("r2-errors", "worse: errors"), ("r2-slow", "worse: median"), ("r2-tail", "worse: tail")]
)
def test_regressions_are_found_on_real_servers(revision: str, word: str, compared: Look) -> None:
    for _ in range(20 if SOAK else 1):
        code, text = compared(revision)
        found = [line for line in text.splitlines() if line.startswith("worse")]
        assert (code, [line for line in found if line.startswith(word)] != []) == (1, True), text
        if revision == "r2-tail":
            assert not any(line.startswith("worse: errors") for line in found)


def test_a_copy_that_is_as_good_is_let_through_on_real_servers(compared: Look) -> None:
    looks = [compared("r2") for _ in range(100 if SOAK else 1)]
    assert [text for code, text in looks if code == 1] == []
    told = [code for code, _ in looks]
    assert set(told) <= {0, 3}  # a machine that is too busy cannot tell


def test_a_canary_that_does_not_answer_is_no_better(compared: Look) -> None:
    code, text = compared("r2-down")
    assert code in (1, 3), text
