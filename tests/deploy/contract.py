"""What every driver keeps, whatever it moves: the tests of `DriverContract` run for each."""

from __future__ import annotations

from pytest_prodcheck.deploy.drivers import Driver
from pytest_prodcheck.deploy.plan import ObservedState, Shares

OLD, NEW = "r1", "r2"


def whole(world: ObservedState) -> None:
    assert sum(percent for _, percent in world.shares) == 100
    assert {slot for slot, _ in world.shares} == set(world.revisions)
    assert world.problem == ""


def keeps_the_contract(driver: Driver, *percents: int) -> None:
    """For two slots: the first one runs the old revision and has all traffic. percents: what the second one gets."""
    before = driver.observe()
    (live, all_of_it), (idle, none) = before.shares
    whole(before)
    assert (all_of_it, none, before.revisions[live]) == (100, 0, OLD)
    assert driver.observe() == before, "observing changed something"

    for _ in range(2):  # where to arrive: the second time is no other one
        driver.start(idle, NEW)
        there = driver.observe()
        assert there.revisions == {live: OLD, idle: NEW}
        assert there.shares == before.shares, "starting a copy moved traffic"

    for percent in percents or (10, 10, 100):
        shares: Shares = ((live, 100 - percent), (idle, percent))
        driver.share(shares)
        there = driver.observe()
        whole(there)
        assert there.shares == shares
        assert there.revisions == {live: OLD, idle: NEW}, "moving traffic changed a copy"

    for _ in range(2):
        driver.stop(live)
        assert driver.observe().revisions == {live: "", idle: NEW}
    driver.start(live, OLD)
    driver.share(before.shares)
    driver.stop(idle)
    assert driver.observe() == ObservedState({live: OLD, idle: ""}, before.shares)
