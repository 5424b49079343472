"""Drivers: one contract for all, on a real HAProxy and real copies; and what each of them refuses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_prodcheck.deploy.commands_driver import CommandsDriver, parse_slot_values
from pytest_prodcheck.deploy.driver_table import create_driver
from pytest_prodcheck.deploy.drivers import Driver, DriverContext, DriverProblem
from pytest_prodcheck.deploy.haproxy_driver import HaproxyDriver
from pytest_prodcheck.deploy.plan import PlanProblem, even_shares
from pytest_prodcheck.deploy.programs import ProgramRunner
from pytest_prodcheck.environments.loading import load
from tests.deploy.contract import keeps_the_contract
from tests.deploy.model import ModelDriver, reality
from tests.deploy.site import Site, site

OWN = """\
from tests.deploy.model import ModelDriver, reality

def driver(site):
    return ModelDriver(reality("blue-green"))
"""


def made(there: Site, **changed: object) -> DriverContext:
    configuration = load(there.folder / "prodcheck.toml")
    deploy = configuration.project.environments["production"].deploy
    assert deploy is not None
    settings = deploy.model_copy(update=changed)
    return DriverContext(settings, configuration.root, "", (), ProgramRunner(configuration.root))


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site"), "blue-green", driver="haproxy") as there:
        yield there


def commands(there: Site) -> Driver:
    """The same site, driven by its script alone."""
    settings = made(there).settings
    assert settings.commands is not None
    from pytest_prodcheck.environments.sections.deploy import ShareCommands

    start = settings.commands.copy_.start[:3]
    share = ShareCommands(do=(*start, "share", "{shares}"), observe=(*start, "shared"))
    both = settings.commands.model_copy(update={"share": share})
    return CommandsDriver(made(there, driver="commands", commands=both))


def test_the_contract_on_the_model() -> None:
    keeps_the_contract(ModelDriver(reality("blue-green")))


def test_the_contract_by_commands(balanced: Site) -> None:
    keeps_the_contract(commands(balanced))


def test_the_contract_by_haproxy(balanced: Site) -> None:
    keeps_the_contract(create_driver(made(balanced)))


def test_a_reload_of_haproxy_keeps_the_share_and_a_file_that_disagrees_is_told(balanced: Site) -> None:
    driver = create_driver(made(balanced))
    driver.share((("blue", 70), ("green", 30)))
    balanced.reload()
    assert driver.observe().shares == (("blue", 70), ("green", 30))
    (balanced.folder / "share.map").write_text("green 5\n")
    assert "after a reload, by share.map, it would by blue 95, green 5" in driver.observe().problem
    driver.share((("blue", 100), ("green", 0)))
    assert driver.observe().problem == ""


def test_haproxy_that_somebody_reloads_while_traffic_is_moved(balanced: Site) -> None:
    there = made(balanced)
    assert there.settings.haproxy is not None
    patient = there.settings.haproxy.model_copy(update={"timeout": 60.0, "drain": 60.0})
    driver, percent = create_driver(made(balanced, haproxy=patient)), 0
    with ThreadPoolExecutor(1) as threads:
        reload = threads.submit(balanced.reload)
        while not reload.done() or percent < 3:
            percent += 1
            driver.share((("blue", 100 - percent), ("green", percent)))
        reload.result()
    assert driver.observe().shares == (("blue", 100 - percent), ("green", percent))
    driver.share((("blue", 100), ("green", 0)))
    assert driver.observe().problem == ""


def test_rolling_servers_by_haproxy(tmp_path: Path) -> None:
    with site(tmp_path / "s", "rolling") as there:
        driver = create_driver(made(there))
        everybody = even_shares(("a", "b", "c"), frozenset("abc"))
        assert driver.observe().shares == everybody
        without = even_shares(("a", "b", "c"), frozenset("bc"))
        driver.share(without)
        there.reload()
        assert (driver.observe().shares, driver.observe().problem) == (without, "")
        (there.folder / "server.state").write_text("1\n")
        assert "no states of servers" in driver.observe().problem
        driver.share(everybody)
        assert driver.observe().shares == everybody


def test_a_balancer_that_is_gone(balanced: Site) -> None:
    settings = made(balanced).settings.haproxy
    assert settings is not None
    gone = made(balanced, haproxy=settings.model_copy(update={"socket": "not-there.sock"}))
    with pytest.raises(DriverProblem, match="socket"):
        HaproxyDriver(gone).observe()


@pytest.mark.parametrize("text", ["", "blue r1", "blue r1\nblue r1", "blue r1\ngreen r1\nred r1", "blue r1 x\ngreen -"])
def test_what_a_program_observes_is_whole_or_nothing(text: str) -> None:
    with pytest.raises(DriverProblem):
        parse_slot_values(text, ("blue", "green"), "observe")
    assert parse_slot_values("green -\n\nblue r1\n", ("blue", "green"), "observe") == {"green": "-", "blue": "r1"}


def test_a_driver_of_ones_own_is_one_file(balanced: Site) -> None:
    (balanced.folder / "own.py").write_text(OWN)
    keeps_the_contract(create_driver(made(balanced, driver="own.py")))
    for text in ("def driver(site): return 1", "1/0", "x = 1"):
        (balanced.folder / "own.py").write_text(text)
        with pytest.raises(PlanProblem, match=r"own\.py") as error:
            create_driver(made(balanced, driver="own.py"))
        assert error.value.code == 2
